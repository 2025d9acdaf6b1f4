"""The data sets of small_sets.py: toy cities of few images, and a street's photos."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measure import note

from cosplace.demo.city.dataset import write_city
from cosplace.demo.city.settings import CitySettings

BY_HEADING = {"alpha": "60", "N": "1", "L": "1", "min_images_per_class": "3"}
WIDE = {**BY_HEADING, "alpha": "90"}
BY_PLACE = {**BY_HEADING, "alpha": "360"}
CITY = {"M": "20", "positive_dist_threshold": "10", "image_size": "64", "groups_num": "1"}
STREET = {"M": "5", "positive_dist_threshold": "5", "image_size": "64", "resize_test_imgs": "true", "groups_num": "1"}
ID_FIELD, HEADING_FIELD = 7, 9
STREET_THRESHOLD_M, APART_M = 5.0, 10.0


@dataclass(frozen=True)
class SmallSet:
    """A data set with its grouping: the parameters of EvaluateCosPlace that are not studied."""

    name: str
    parameters: dict[str, str]


def make_sets(work: Path, weights: Path, street: Path | None) -> list[SmallSet]:
    """Return the sets, and write those that are missing into the folder `work`.

    Args:
        work: The folder of the study.
        weights: ImageNet weights of the backbone.
        street: Folder with train, val and test; None leaves out its sets.
    """
    city = _render(work / "city", CitySettings(places=16, train_years=4))
    less = _render(work / "less-of-other-city", CitySettings(seed=1, places=16, train_years=1))
    other = _render(work / "other-city", CitySettings(seed=1, places=16, train_years=4))
    blind = _without_headings(city / "train", work / "city-without-headings")
    start = {"backbone_weights": str(weights)}
    random = {"backbone_weights": "none", "train_all_layers": "true"}
    seen = {"dataset_folder": str(city), **CITY}
    sets = [
        SmallSet("city", {**seen, **BY_HEADING, **start}),
        SmallSet("city-no-headings", {**seen, "train_folder": str(blind), **BY_PLACE, **start}),
        SmallSet("city-random", {**seen, **BY_HEADING, **random}),
        SmallSet("city-elsewhere", {**seen, "train_folder": str(other / "train"), **BY_HEADING, **start}),
        SmallSet("city-elsewhere-192", {**seen, "train_folder": str(less / "train"), **WIDE, **start}),
    ]
    if street is None:
        return sets
    seen = {"dataset_folder": str(_cut(street, work / "street", -math.inf)), **STREET}
    blind = _without_headings(work / "street" / "train", work / "street-without-headings")
    apart = {"dataset_folder": str(_cut(street, work / "street-elsewhere", APART_M)), **STREET}
    return [
        *sets,
        SmallSet("street", {**seen, **BY_HEADING, **start}),
        SmallSet("street-no-headings", {**seen, "train_folder": str(blind), **BY_PLACE, **start}),
        SmallSet("street-elsewhere", {**apart, **BY_HEADING, **start}),
    ]


def _render(out: Path, settings: CitySettings) -> Path:
    if not out.is_dir():
        note(f"rendering {out}")
        staging = out.with_name(f".{out.name}")
        shutil.rmtree(staging, ignore_errors=True)
        write_city(staging, settings, processes=1)
        staging.rename(out)
    return out


def _cut(street: Path, out: Path, metres: float) -> Path:
    """Copy a street without the queries and database images that have no counterpart within the threshold.

    Training images within `metres` of a remaining one are left out as well.
    """
    if out.is_dir():
        return out
    staging = out.with_name(f".{out.name}")
    shutil.rmtree(staging, ignore_errors=True)
    kept: list[Path] = []
    for part, queries in (("val", "queries"), ("test", "queries_v1")):
        folders = [list(_images(street / part / role)) for role in ("database", queries)]
        for images, others in (folders, folders[::-1]):
            kept += [image for image in images if _distance(image, others) <= STREET_THRESHOLD_M]
    train = [image for image in _images(street / "train") if _distance(image, kept) > metres]
    for image in (*kept, *train):
        target = staging / image.relative_to(street)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, target)
    staging.rename(out)
    return out


def _without_headings(images: Path, out: Path) -> Path:
    """Copy images under names that have no heading."""
    if not out.is_dir():
        staging = out.with_name(f".{out.name}")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        for image in _images(images):
            fields = image.name.split("@")
            fields[ID_FIELD] += f"-{fields[HEADING_FIELD]}"  # distinguishes the views of a place
            fields[HEADING_FIELD] = ""
            shutil.copyfile(image, staging / "@".join(fields))
        staging.rename(out)
    return out


def _images(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.jpg")


def _distance(image: Path, others: list[Path]) -> float:
    """Return the distance in metres to the nearest of other images."""
    return min(math.dist(_position(image), _position(other)) for other in others)


def _position(image: Path) -> tuple[float, float]:
    east, north = image.name.split("@")[1:3]
    return float(east), float(north)
