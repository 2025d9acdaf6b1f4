"""Every long phase shows progress: its slow function waits until a line appears."""

import importlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifest import progress
from data_manifest.images import file_states
from data_manifest.tables import read_table
from evaluation.metrics.evaluation import evaluate_matches
from evaluation.metrics.precision_recall import auprc_table
from evaluation.search.find_matches import exact_matches
from evaluation.settings import Threshold
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import list_images
from pipeline.manifest.build_manifest import build_manifest
from pipeline.manifest.settings import SplitSettings
from pipeline.manifest.split_manifest import split_manifest
from pipeline.panoramas.crop_panoramas import crop_panoramas
from pipeline.panoramas.settings import CropSettings
from pipeline.planning.advise import advise
from pipeline.planning.plan_groups import EpochSettings, plan_groups
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.verification.settings import HEADER
from pipeline.verification.verify_images import verify_images
from training.data.reads.write_reads import write_reads
from training.settings import TrainingSettings

GROUPING = GroupSettings(min_images_per_class=1)
WAIT_S = 30  # until a phase without progress is given up


class Lines(logging.Handler):
    """Progress lines, with threads that wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self.changed:
            self.shown.append(record.getMessage())
            self.changed.notify_all()

    def wait_for_another(self) -> str | None:
        """Return the next line that is shown, or None if there is none for long."""
        with self.changed:
            count = len(self.shown)
            self.changed.wait_for(lambda: len(self.shown) > count, WAIT_S)
            return self.shown[count] if len(self.shown) > count else None


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    monkeypatch.setattr(progress, "SECONDS_TO_FIRST_LINE", 0.02)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.02)
    handler = Lines()
    caplog.set_level(logging.INFO, progress.logger.name)
    progress.logger.addHandler(handler)
    yield handler
    progress.logger.removeHandler(handler)


Hold = Callable[[str], list[str | None]]


@pytest.fixture
def hold(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Make the first call of a function wait for a progress line; return a list that gets the line."""

    def hold(target: str) -> list[str | None]:
        module_name, name = target.rsplit(".", 1)
        module, seen, lock = importlib.import_module(module_name), list[str | None](), threading.Lock()
        original = getattr(module, name)

        def waiting(*arguments: Any, **named: Any) -> Any:
            with lock:
                if not seen:
                    seen.append(lines.wait_for_another())
            return original(*arguments, **named)

        monkeypatch.setattr(module, name, waiting)
        return seen

    return hold


def name(number: int) -> str:
    east, north = 545981.19 + 40 * (number % 8), 4184971.70 + 300 * (number // 8)
    return f"@{east:.2f}@{north:.2f}@10@S@@@pano{number}@@174@@@@{201401 + number % 12}@@.jpg"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """An images folder with a list file in mixed order."""
    text = "".join(f"{number % 7}/{name(number)}\n" for number in range(200))
    (tmp_path / "train_images_paths.txt").write_text(text)
    return tmp_path / "train"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in range(64):
        path = tmp_path / "train" / str(number % 3) / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 4)).save(path)
    return tmp_path / "train"


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("pipeline.listing.read_list._digest", "reading train_images_paths.txt: 0 of 1 blocks"),
        ("pipeline.listing.shuffle.hash_lines", "sorting train_images_paths.txt: 0 of 1 blocks"),
        ("pipeline.manifest.build_manifest.build_partition", "manifest of city: 0 of 1 partitions"),
        ("data_manifest.store.publish.fsync", "publishing manifest city: 0 s so far"),
    ],
)
def test_manifest_from_a_list(listed: Path, tmp_path: Path, hold: Hold, slow: str, shown: str) -> None:
    seen = hold(slow)
    build_manifest(listed, tmp_path / "A", "city")
    assert str(seen[0]).startswith(shown)


def test_listing_of_a_tree(tree: Path, hold: Hold) -> None:
    seen = hold("pipeline.listing.folder_scan._list")
    list_images(tree)
    assert str(seen[0]).startswith(f"listing {tree}: 0 folders")


def test_a_tree_is_sorted(tree: Path, tmp_path: Path, hold: Hold) -> None:
    seen = hold("pipeline.listing.list_images.read_folders")
    build_manifest(tree, tmp_path / "A", "city")
    assert str(seen[0]).startswith("sorting train: 0 of 1 blocks")


def test_manifest_from_exif(tree: Path, tmp_path: Path, hold: Hold) -> None:
    times, others = (
        hold("pipeline.sources.photo_states.stat_file"),
        hold("pipeline.sources.photo_source._warn_of_other_photos"),
    )
    with pytest.raises(Exception, match="none of the 64 files is a usable image"):
        build_manifest(tree, tmp_path / "A", "city", source=make_source(SourceSettings(source="exif")))
    assert str(times[0]).startswith("checking the times of photos: 0 photos")
    assert str(others[0]).startswith("opening the source of city")


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("data_manifest.images.file_states.settled_states", "checking image files: 0 of 64 images"),
        ("pipeline.verification.check_partition.check_piece", "verifying city: 0 of 64 images"),
        ("pipeline.verification.verify_images.summarise", "counting the checks"),
    ],
)
def test_verification(
    tree: Path, tmp_path: Path, hold: Hold, monkeypatch: pytest.MonkeyPatch, slow: str, shown: str
) -> None:
    monkeypatch.setattr(file_states, "MIN_AGE_NS", 0)
    manifest = build_manifest(tree, tmp_path / "A", "city")
    seen = hold(slow)
    verify_images(manifest, tree, tmp_path / "A", HEADER)
    assert str(seen[0]).startswith(shown)


def test_split(listed: Path, tmp_path: Path, hold: Hold) -> None:
    manifest = build_manifest(listed, tmp_path / "A", "city")
    seen = hold("pipeline.manifest.split_manifest.assign_parts")
    split_manifest(manifest, tmp_path / "A", SplitSettings(split="time"))
    assert str(seen[0]).startswith("splitting city")


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("pipeline.groups.build_groups.number_classes", "numbering the classes"),
        ("pipeline.groups.build_groups.spread_partition", "sorting images: 0 of 1 partitions"),
        ("pipeline.groups.build_groups.write_members", "writing groups: 0 of "),
    ],
)
def test_groups(listed: Path, tmp_path: Path, hold: Hold, slow: str, shown: str) -> None:
    manifest = build_manifest(listed, tmp_path / "A", "city")
    seen = hold(slow)
    build_groups(manifest, tmp_path / "A", GROUPING)
    assert str(seen[0]).startswith(shown)


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("training.data.reads.read_order.find_next_uses", "ordering reads: 0 of 2 epochs"),
        ("training.data.reads.write_reads.read_member_paths", "writing reads: 0 of 2 epochs"),
    ],
)
def test_order_of_reads(listed: Path, tmp_path: Path, hold: Hold, slow: str, shown: str) -> None:
    groups = build_groups(build_manifest(listed, tmp_path / "A", "city"), tmp_path / "A", GROUPING)
    seen = hold(slow)
    training = TrainingSettings(groups_num=1, batch_size=1, iterations_per_epoch=3)
    write_reads(groups, training, range(2), tmp_path / "reads.parquet")
    assert str(seen[0]).startswith(shown)


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("pipeline.panoramas.crop_panoramas.stat_images", "checking the times of panoramas: 0 of 64 panoramas"),
        ("pipeline.panoramas.crop_panoramas.read_panoramas", "reading where the panoramas were taken"),
        ("pipeline.panoramas.crop_panoramas.cut_batch", "cutting: 0 of 64 panoramas"),
    ],
)
def test_crops(tree: Path, tmp_path: Path, hold: Hold, slow: str, shown: str) -> None:
    seen = hold(slow)
    crop_panoramas(tree, tmp_path / "crops", tmp_path / "A", CropSettings(crop_size=8))
    assert str(seen[0]).startswith(shown)


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("pipeline.planning.count_images.count", "counting images: 0 of 1 partitions"),
        ("pipeline.planning.count_images.sum_counts", "adding up the counts"),
        ("pipeline.planning.plan_groups._make_plan", "comparing groupings"),
    ],
)
def test_plan(listed: Path, tmp_path: Path, hold: Hold, slow: str, shown: str) -> None:
    seen = hold(slow)
    plan_groups(listed, tmp_path / "A", [GROUPING], EpochSettings())
    assert str(seen[0]).startswith(shown)


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("pipeline.planning.advise.compute_statistics", "reading the manifest"),
        ("pipeline.planning.advise.make_remarks", "checking the images"),
    ],
)
def test_advice(listed: Path, tmp_path: Path, hold: Hold, slow: str, shown: str) -> None:
    manifest = build_manifest(listed, tmp_path / "A", "city")
    seen = hold(slow)
    advise(manifest, tmp_path / "A")
    assert str(seen[0]).startswith(shown)


def test_evaluation(listed: Path, tmp_path: Path, hold: Hold) -> None:
    table = read_table(build_manifest(listed, tmp_path / "A", "city"), "manifest")
    descriptors = np.random.default_rng(0).standard_normal((len(table), 8)).astype(np.float32)
    found, positives = hold("faiss.knn"), hold("evaluation.metrics.evaluation.find_positives")
    evaluation = evaluate_matches("", table, table, exact_matches(descriptors, descriptors, 5), Threshold(25.0), (1, 5))
    assert str(found[0]).startswith("searching: 0 of 200 database images")
    assert str(positives[0]).startswith("measuring the recalls")
    drawn = hold("evaluation.metrics.precision_recall.resampled_areas")
    auprc_table("", evaluation.certainty)
    assert str(drawn[0]).startswith("measuring the certainties")
