"""A data set of a few small images, and Luigi as a user runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import run_module

ROOT = Path(__file__).parents[2]
PLACES, HEADINGS, VISITS = ((500005.0, 4000005.0), (500105.0, 4000005.0)), (15, 105, 195, 285), (2015, 2016)

Luigi = Callable[..., subprocess.CompletedProcess[str]]


def write_images(folder: Path, years: tuple[int, ...], shift_m: float = 0.0) -> None:
    """Write an image for each place, heading and year: each class has a colour of its own, each year its noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for place, (east, north) in enumerate(PLACES):
        for heading in HEADINGS:
            for year in years:
                colour = np.array([60 + 120 * place, heading * 2 // 3, 255 - heading * 2 // 3])
                pixels = np.clip(colour + rng.normal(0, 12, (40, 40, 3)), 0, 255).astype(np.uint8)
                name = f"@{east + shift_m:.2f}@{north:.2f}@10@S@@@pano{place}@@{heading}@@@@{year}06@@.jpg"
                Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A data set: two places, four headings, two visits to train on, one to look up and one to ask for."""
    dataset = tmp_path / "city"
    write_images(dataset / "train" / "36.14", VISITS)
    for split, queries in (("val", "queries"), ("test", "queries_v1")):
        write_images(dataset / split / "database", (2017,))
        write_images(dataset / split / queries, (2018,), shift_m=2.0)
    return dataset


@pytest.fixture
def luigi(tmp_path: Path) -> Luigi:
    """Run `luigi --module workflows ...` with the project's luigi.cfg and an artifacts folder of the test's own."""

    def run(*arguments: str, config: str = "") -> subprocess.CompletedProcess[str]:
        own_config, artifacts = tmp_path / "own.cfg", tmp_path / "artifacts"
        own_config.write_text(config)
        command = ("--module", "workflows", *arguments, "--artifacts-folder", str(artifacts))
        return run_module("luigi", *command, LUIGI_CONFIG_PATH=str(own_config), ARTIFACTS=str(artifacts))

    return run
