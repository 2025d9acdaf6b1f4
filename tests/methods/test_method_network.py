"""Descriptors of methods: checked, of unit length, and extracted from images of mixed sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from evaluation.descriptors.extract import extract_descriptors
from evaluation.descriptors.image_dataset import ImageDataset
from evaluation.descriptors.open_image import SizeRule
from evaluation.settings import Extraction
from methods.entry import Entry
from methods.method_network import MethodNetwork, digest_of_weights, wrap
from methods.settings import MethodSettings
from training.network.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

OWN = Entry("net.py", "build")
ON_CPU = Extraction(device="cpu", num_workers=0, batch_size=2)


class Function(nn.Module):
    """A network that computes a function, with a weight that it does not use."""

    def __init__(self, function: Callable[[Tensor], Any], **preprocessing: Any) -> None:
        super().__init__()
        self.function, self.preprocessing = function, preprocessing
        self.register_buffer("weight", torch.ones(2))


def network_of(function: Callable[[Tensor], Any], rule: SizeRule | None = None) -> MethodNetwork:
    module = Function(function)
    module.forward = function
    return MethodNetwork(module, "net.py:build", Preprocessing(), rule or SizeRule())


def means(images: Tensor) -> Tensor:
    return images.mean((2, 3))


@pytest.mark.parametrize("output", [lambda x: means(x) * 7, lambda x: (means(x), x), lambda x: [means(x).half()]])
def test_descriptors_have_unit_length(output: Callable[[Tensor], Any]) -> None:
    descriptors = network_of(output)(torch.rand(4, 3, 8, 8) + 1)
    assert descriptors.dtype == torch.float32
    assert descriptors.norm(dim=1).tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (lambda x: x, r"returns \[2, 3, 8, 6\] for 2 images, not \[2, 'dimensions'\]"),
        (lambda x: means(x)[:1], r"returns \[1, 3\] for 2 images"),
        (lambda x: {"descriptors": means(x)}, "returns a dict for 2 images"),
        (lambda x: (), "returns a tuple for 2 images"),
        (lambda x: x @ x, r"fails on images of 6 x 8 pixels: .*Give another --input-size, or the --input-multiple"),
    ],
)
def test_other_outputs_are_errors(output: Callable[[Tensor], Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        network_of(output)(torch.rand(2, 3, 8, 6))


def test_a_dimension_that_depends_on_the_size_is_an_error() -> None:
    network = network_of(lambda x: x.mean(1).flatten(1)[:, :], SizeRule(ImageSize(4, 6)))
    assert network.find_dimensions() == 24
    network(torch.rand(2, 3, 6, 4))
    with pytest.raises(UserError, match=r"returns \[2, 48\] for images of 6 x 8 pixels, not \[2, 24\]: its dimension"):
        network(torch.rand(2, 3, 8, 6))


def test_a_descriptor_that_is_not_finite_names_its_image(tmp_path: Path) -> None:
    for name, colour in (("grey", 128), ("black", 0)):
        Image.new("RGB", (30, 20), (colour,) * 3).save(tmp_path / f"{name}.png")
    black = Preprocessing().normalise(torch.zeros(1, 3, 1, 1))
    network = network_of(lambda x: means((x > black).float()))
    network.find_dimensions()
    with pytest.raises(UserError, match=r"black\.png: its descriptor is not finite"):
        extract_descriptors(network, ImageDataset(tmp_path, pa.array(["grey.png", "black.png"])), ON_CPU)


def test_extraction_normalises_and_resizes_as_the_method_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, size in (("a", (20, 30)), ("b", (40, 30)), ("c", (20, 30))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    seen: list[Tensor] = []

    def record(images: Tensor) -> Tensor:
        seen.extend(images.clone())
        return means(images)

    network = network_of(record, SizeRule(multiple_of=20))
    images = ImageDataset(tmp_path, pa.array(["a.png", "b.png", "c.png"]), size_rule=network.size_rule)
    descriptors = extract_descriptors(network, images, ON_CPU)
    assert [tuple(image.shape[1:]) for image in seen] == [(20, 40), (20, 40), (40, 40)]
    pixels = np.asarray(Image.open(tmp_path / "a.png").resize((40, 20), Image.Resampling.BILINEAR)) / 255
    expected = ((pixels - IMAGENET_MEAN) / IMAGENET_STD).mean((0, 1))
    np.testing.assert_allclose(descriptors[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_named_methods_have_the_sizes_of_their_row_unless_given() -> None:
    salad = Entry("serizba/salad", "dinov2_salad", name="SALAD")
    assert wrap(Function(means), salad, MethodSettings()).size_rule == SizeRule(ImageSize(322, 322), 14)
    given = MethodSettings(input_size=ImageSize(224, 448))
    assert wrap(Function(means), salad, given).size_rule.size_of(640, 480) == (448, 224)


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ({"means": [0, 0, 0]}, "preprocessing has no key means. Closest: mean."),
        ({"mean": [0, 0]}, "unknown preprocessing"),
        ({"std": [1, 0, 1]}, "unknown preprocessing"),
        ({"mean": [0], "std": [1]}, "invalid preprocessing"),
        ({"interpolation": "nearest"}, "unknown preprocessing"),
        ({"image_size": "big"}, "invalid preprocessing"),
        ({"image_size": [224, 0]}, "invalid preprocessing"),
        ({"multiple_of": 0}, "invalid preprocessing"),
    ],
)
def test_an_invalid_preprocessing_is_an_error(stated: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError) as raised:
        wrap(Function(means, **stated), OWN, MethodSettings())
    assert problem in str(raised.value)


def test_the_digest_follows_names_types_shapes_and_values() -> None:
    def digest(**buffers: Tensor) -> str:
        module = nn.Module()
        for name, value in buffers.items():
            module.register_buffer(name, value)
        return digest_of_weights(module)

    others = [
        *({"a": torch.zeros(4)}, {"b": torch.zeros(4)}, {"a": torch.zeros(2, 2)}, {"a": torch.ones(4)}),
        *(
            {"a": torch.zeros(4, dtype=torch.bfloat16)},
            {"a": torch.tensor(0)},
            {"a": torch.zeros(4), "b": torch.ones(1)},
        ),
    ]
    assert len({digest(**each) for each in others}) == len(others)
    assert digest(a=torch.arange(6.0).view(2, 3).T) == digest(a=torch.arange(6.0).view(2, 3).T.contiguous())
