from pathlib import Path

import pyarrow as pa
import pytest
import torch
from PIL import Image

from data_manifest.errors import StoreError, UserError
from data_manifest.images.images_folder import ImagesUrl
from evaluation.descriptors.image_dataset import ImageDataset
from tests.object_server import ObjectServer


def test_pixels_are_uint8_channels_first(tmp_path: Path) -> None:
    image = Image.new("RGB", (3, 2), (0, 0, 0))
    image.putpixel((2, 1), (255, 128, 51))
    image.save(tmp_path / "a.png")
    tensor = ImageDataset(tmp_path, pa.array(["a.png"]))[0]
    assert tensor.dtype == torch.uint8
    assert tensor.tolist() == [[[0, 0, 0], [0, 0, value]] for value in (255, 128, 51)]


def test_images_keep_their_own_size_unless_resized(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    paths = pa.array(["a.png"])
    assert ImageDataset(tmp_path, paths)[0].shape == (3, 20, 30)
    assert ImageDataset(tmp_path, paths, resized_to=10)[0].shape == (3, 10, 15)


def test_resized_images_follow_the_interpolation(tmp_path: Path) -> None:
    photo = Image.effect_noise((40, 30), 80).convert("RGB")
    photo.save(tmp_path / "a.png")
    bilinear, bicubic = (
        ImageDataset(tmp_path, pa.array(["a.png"]), 15, interpolation=each)[0] for each in ("bilinear", "bicubic")
    )
    expected = photo.resize((20, 15), Image.Resampling.BICUBIC)
    assert bicubic[0].tolist() == [[expected.getpixel((x, y))[0] for x in range(20)] for y in range(15)]  # type: ignore[index]
    assert not torch.equal(bilinear, bicubic)


def test_a_side_of_0_pixels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image_size = 0"):
        ImageDataset(tmp_path, pa.array(["a.png"]), resized_to=0)


def test_grayscale_images_have_one_channel(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), (255, 0, 0)).save(tmp_path / "a.png")
    grey = ImageDataset(tmp_path, pa.array(["a.png"]), mode="L")[0]
    assert grey.tolist() == [[[76] * 3] * 2]


def test_images_from_a_bucket(tmp_path: Path, objects: ObjectServer) -> None:
    names = [f"{number} é.jpg" for number in range(3)]
    for number, name in enumerate(names):
        Image.effect_noise((40, 30 + number), 80).convert("RGB").save(tmp_path / name)
        objects.put(f"db/{name}", (tmp_path / name).read_bytes())
    of_folder = ImageDataset(tmp_path, pa.array(names), 20)
    of_bucket = ImageDataset(ImagesUrl.parse("s3://bucket/db"), pa.array([*names, "no.jpg"]), 20)
    assert all(map(torch.equal, of_bucket.read([2, 0, 1]), of_folder.read([2, 0, 1])))
    with pytest.raises(UserError, match=r"^s3://bucket/db/no\.jpg cannot be opened as an image \(no such object"):
        of_bucket[3]
    objects.failures[f"db/{names[0]}"] = [503] * 100
    with pytest.raises(StoreError, match=r"^s3://bucket/db/0 é\.jpg: cannot be read"):
        list(of_bucket.read([1, 0]))
