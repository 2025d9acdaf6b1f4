from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from evaluation.descriptors.extract import chunks_of, extract_chunks, extract_descriptors
from evaluation.descriptors.image_dataset import ImageDataset
from tests.evaluation.conftest import WriteImages, on_cpu

SIZES = [(24, 16), (16, 24), (24, 16), (9, 9), (24, 16), (16, 24), (40, 8)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def normalised(image: Tensor) -> Tensor:
    return torch.stack([(image[channel] / 255 - MEAN[channel]) / STD[channel] for channel in range(3)])


@pytest.mark.parametrize(("batch_size", "num_workers"), [(1, 0), (3, 0), (4, 2), (16, 0)])
def test_mixed_sizes_give_the_descriptors_of_single_images_in_order(
    tmp_path: Path, network: nn.Module, write_images: WriteImages, batch_size: int, num_workers: int
) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    found = extract_descriptors(network, images, on_cpu(batch_size, num_workers=num_workers))
    network.eval()
    with torch.no_grad():
        expected = np.stack([network(normalised(images[row])[None])[0].numpy() for row in range(len(SIZES))])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # No two images have the same descriptor, so the comparison means something.
    assert np.linalg.norm(expected[:, None] - expected[None], axis=2)[np.triu_indices(len(SIZES), 1)].min() > 1e-3


def test_images_of_one_shape_share_a_batch(tmp_path: Path, write_images: WriteImages) -> None:
    shapes = []

    class Recorder(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            shapes.append(tuple(images.shape))
            assert torch.is_inference_mode_enabled()
            return images.mean(dim=(2, 3))

    extract_descriptors(Recorder(), ImageDataset(tmp_path, write_images(SIZES)), on_cpu(6))
    assert sorted(shapes) == [(1, 3, 8, 40), (1, 3, 9, 9), (2, 3, 24, 16), (3, 3, 16, 24)]
    shapes.clear()
    extract_descriptors(Recorder(), ImageDataset(tmp_path, write_images(SIZES)), on_cpu(2))
    assert sorted(shapes) == [(1, 3, 8, 40), (1, 3, 9, 9), (1, 3, 16, 24), (2, 3, 16, 24), (2, 3, 24, 16)]


def test_chunks_start_at_any_row(tmp_path: Path, network: nn.Module, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    whole = extract_descriptors(network, images, on_cpu(3))
    rows = chunks_of(range(1, len(SIZES)), 5, 2)
    assert rows == [range(1, 4), range(4, 7)], "whole batches, with the borders of range(7)"
    chunks = list(extract_chunks(network, images, on_cpu(2), chunks=rows))
    np.testing.assert_allclose(np.concatenate(chunks), whole[1:], atol=1e-6)


def test_chunks_have_the_same_bytes_alone(tmp_path: Path, network: nn.Module, write_images: WriteImages) -> None:
    """The shapes alternate, so that batches wait for their shape, but not for another chunk."""
    images = ImageDataset(tmp_path, write_images(SIZES * 2))
    rows = chunks_of(range(14), 4, 2)
    together = list(extract_chunks(network, images, on_cpu(2), chunks=rows))
    alone = [next(extract_chunks(network, images, on_cpu(2), chunks=[each])) for each in rows]
    assert [len(each) for each in alone] == [4, 4, 4, 2]
    assert [each.tobytes() for each in alone] == [each.tobytes() for each in together]


def test_bf16_gives_nearly_the_same_descriptors(tmp_path: Path, network: nn.Module, write_images: WriteImages) -> None:
    images = ImageDataset(tmp_path, write_images(SIZES))
    full = extract_descriptors(network, images, on_cpu(4))
    half = extract_descriptors(network, images, on_cpu(4, precision="bf16"))
    assert half.dtype == np.float32
    assert 1e-5 < np.abs(full - half).max() < 0.05


def test_the_mode_of_each_module_is_restored(tmp_path: Path, network: nn.Module, write_images: WriteImages) -> None:
    network.train()
    batch_norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    batch_norm.eval()
    modes = [module.training for module in network.modules()]
    extract_descriptors(network, ImageDataset(tmp_path, write_images(SIZES)), on_cpu(4))
    assert [module.training for module in network.modules()] == modes
    with pytest.raises(UserError):
        extract_descriptors(network, ImageDataset(tmp_path, pa.array(["no.png"])), on_cpu(4))
    assert [module.training for module in network.modules()] == modes


def test_a_descriptor_that_is_not_finite_is_an_error(tmp_path: Path, write_images: WriteImages) -> None:
    class DividesByZero(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            values = images.mean(dim=(2, 3))
            return values / (images.shape[3] != 9)

    with pytest.raises(UserError, match=r"3\.png: its descriptor is not finite"):
        extract_descriptors(DividesByZero(), ImageDataset(tmp_path, write_images(SIZES)), on_cpu(16))


def test_too_little_device_memory_names_the_options_to_change(tmp_path: Path, write_images: WriteImages) -> None:
    class TooLarge(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError

    with pytest.raises(UserError, match=r"2 images of 24 x 16 .*--infer-batch-size"):
        extract_descriptors(TooLarge(), ImageDataset(tmp_path, write_images([(24, 16)] * 2)), on_cpu(2))


def test_an_empty_list_is_an_error(tmp_path: Path, network: nn.Module) -> None:
    with pytest.raises(UserError, match="no images"):
        extract_descriptors(network, ImageDataset(tmp_path, pa.array([], pa.string())), on_cpu(2))


def test_progress_reaches_the_end(tmp_path: Path, network: nn.Module, write_images: WriteImages) -> None:
    percentages: list[int] = []
    images = ImageDataset(tmp_path, write_images(SIZES))
    with Progress("extracting descriptors", len(images), "images", percentages.append) as progress:
        extract_descriptors(network, images, on_cpu(2), progress)
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100
