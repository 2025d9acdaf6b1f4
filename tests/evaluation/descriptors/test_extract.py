from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.progress import Progress
from evaluation.descriptors.extract import Extraction, describe_in_chunks, extract_descriptors
from evaluation.descriptors.images import ImageFiles

CPU = torch.device("cpu")
SIZES = [(24, 16), (16, 24), (24, 16), (9, 9), (24, 16), (16, 24), (40, 8)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as any text on it gives them
WriteImages = Callable[[list[tuple[int, int]]], pa.Array]


def normalised(image: Tensor) -> Tensor:
    return torch.stack([(image[channel] / 255 - MEAN[channel]) / STD[channel] for channel in range(3)])


@pytest.mark.parametrize(("batch_size", "num_workers"), [(1, 0), (3, 0), (4, 2), (16, 0)])
def test_mixed_sizes_give_the_descriptors_of_one_by_one_in_order(
    tmp_path: Path, network: nn.Module, write_images: WriteImages, batch_size: int, num_workers: int
) -> None:
    images = ImageFiles(tmp_path, write_images(SIZES))
    found = extract_descriptors(network, images, Extraction(batch_size, CPU, num_workers))
    network.eval()
    with torch.no_grad():
        expected = np.stack([network(normalised(images[row])[None])[0].numpy() for row in range(len(SIZES))])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # The comparison means something: no two images are described alike.
    assert np.linalg.norm(expected[:, None] - expected[None], axis=2)[np.triu_indices(len(SIZES), 1)].min() > 1e-3


def test_images_of_one_shape_go_through_the_network_together(tmp_path: Path, write_images: WriteImages) -> None:
    shapes = []

    class Recorder(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            shapes.append(tuple(images.shape))
            assert torch.is_inference_mode_enabled()
            return images.mean(dim=(2, 3))

    extract_descriptors(Recorder(), ImageFiles(tmp_path, write_images(SIZES)), Extraction(6, CPU))
    assert sorted(shapes) == [(1, 3, 8, 40), (1, 3, 9, 9), (2, 3, 24, 16), (3, 3, 16, 24)]
    shapes.clear()
    extract_descriptors(Recorder(), ImageFiles(tmp_path, write_images(SIZES)), Extraction(2, CPU))
    assert sorted(shapes) == [(1, 3, 8, 40), (1, 3, 9, 9), (1, 3, 16, 24), (2, 3, 16, 24), (2, 3, 24, 16)]


def test_chunks_follow_each_other_from_any_row_on(
    tmp_path: Path, network: nn.Module, write_images: WriteImages
) -> None:
    images = ImageFiles(tmp_path, write_images(SIZES))
    whole = extract_descriptors(network, images, Extraction(3, CPU))
    chunks = list(describe_in_chunks(network, images, Extraction(2, CPU), first_row=1, chunk_images=5))
    assert [len(chunk) for chunk in chunks] == [4, 2]
    np.testing.assert_allclose(np.concatenate(chunks), whole[1:], atol=1e-6)


def test_sixteen_bits_are_used_when_asked_for_and_give_nearly_the_same(
    tmp_path: Path, network: nn.Module, write_images: WriteImages
) -> None:
    images = ImageFiles(tmp_path, write_images(SIZES))
    full = extract_descriptors(network, images, Extraction(4, CPU))
    half = extract_descriptors(network, images, Extraction(4, CPU, precision="bf16"))
    assert half.dtype == np.float32
    assert 1e-5 < np.abs(full - half).max() < 0.05


def test_each_module_is_left_in_the_mode_it_was_in(
    tmp_path: Path, network: nn.Module, write_images: WriteImages
) -> None:
    network.train()
    batch_norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    batch_norm.eval()
    modes = [module.training for module in network.modules()]
    extract_descriptors(network, ImageFiles(tmp_path, write_images(SIZES)), Extraction(4, CPU))
    assert [module.training for module in network.modules()] == modes
    with pytest.raises(UserError):
        extract_descriptors(network, ImageFiles(tmp_path, pa.array(["no.png"])), Extraction(4, CPU))
    assert [module.training for module in network.modules()] == modes


def test_a_descriptor_that_is_not_finite_is_refused(tmp_path: Path, write_images: WriteImages) -> None:
    class DividesByZero(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            values = images.mean(dim=(2, 3))
            return values / (images.shape[3] != 9)

    with pytest.raises(UserError, match=r"3\.png is not finite"):
        extract_descriptors(DividesByZero(), ImageFiles(tmp_path, write_images(SIZES)), Extraction(16, CPU))


def test_too_little_memory_names_the_setting_to_lower(tmp_path: Path, write_images: WriteImages) -> None:
    class TooLarge(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError

    with pytest.raises(UserError, match=r"2 images of 24 x 16 .*infer_batch_size"):
        extract_descriptors(TooLarge(), ImageFiles(tmp_path, write_images([(24, 16)] * 2)), Extraction(2, CPU))


def test_an_empty_list_is_refused(tmp_path: Path, network: nn.Module) -> None:
    with pytest.raises(UserError, match="no images"):
        extract_descriptors(network, ImageFiles(tmp_path, pa.array([], pa.string())), Extraction(2, CPU))


def test_progress_reaches_the_end(tmp_path: Path, network: nn.Module, write_images: WriteImages) -> None:
    percentages: list[int] = []
    images = ImageFiles(tmp_path, write_images(SIZES))
    with Progress("extracting descriptors", len(images), "images", percentages.append) as progress:
        extract_descriptors(network, images, Extraction(2, CPU), progress)
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100
