"""Manifests of generated cities, and the command `plan`."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.listing.list_images import Listing
from pipeline.manifest.build_manifest import build_manifest
from pipeline.planning.advise import Advice

NameWith = Callable[..., str]
ListingOf = Callable[..., Listing]
Run = Callable[..., str]


@pytest.fixture
def manifest_of(tmp_path: Path) -> Callable[[list[str]], Path]:
    """Build a manifest of names."""

    def manifest_of(names: list[str]) -> Path:
        (tmp_path / "city_images_paths.txt").write_text("\n".join(names))
        return build_manifest(tmp_path / "city", tmp_path / "A", "city")

    return manifest_of


def name(east: float, north: float, heading: object = "", when: object = 2015, shot: object = 0, zone: int = 10) -> str:
    return f"@{east:.2f}@{north:.2f}@{zone}@S@@@p{shot}@@{heading}@@@@{when}@@.jpg"


def texts(advice: Advice) -> str:
    return "\n".join(f"{kind}: {text}" for kind, text in advice.remarks)


def dense_city(per_place: int = 10, headings: tuple[object, ...] = (15, 105, 195, 285)) -> list[str]:
    """A street of 1,000 places, 10 metres apart, each seen several times in each direction."""
    generator = random.Random(0)
    return [
        name(500_005 + 10 * place, 4_000_005 + generator.uniform(-4, 4), heading, 2014 + visit % 2, f"{place}_{visit}")
        for place in range(1000)
        for heading in headings
        for visit in range(per_place)
    ]


def fields_at(seed: int) -> Iterator[dict[str, Any]]:
    """Fields of images on a small ground, some of them without a heading or a year."""
    choose = random.Random(seed)
    for number in range(500):
        yield {
            "utm_east": 500_000 + choose.randrange(-50, 50),
            "utm_north": 4_180_000 + choose.randrange(-50, 50),
            "heading": choose.choice(["", *range(0, 360, 30)]),
            "timestamp": choose.choice(["", 2013, 2014, 2015]),
            **{"pano_id": number, "latitude": "", "longitude": ""},
        }


@pytest.fixture
def train(tmp_path: Path, name_with: NameWith, listing_of: ListingOf) -> Path:
    """A folder of which only the list is there: 500 images, two of them listed again, and two rejects."""
    paths = [f"{number % 7}/{name_with(**fields)}" for number, fields in enumerate(fields_at(seed=1))]
    listing_of([*paths, *paths[:2], "0/@1@2.jpg", "notes.txt"])
    return tmp_path / "train"


@pytest.fixture
def run(train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on the folder, with the artifacts folder tmp_path/A, and return what it prints."""

    def run(*arguments: str, images: Path = train) -> str:
        main(["plan", str(images), "--artifacts-folder", str(tmp_path / "A"), *arguments])
        return capsys.readouterr().out

    return run
