import logging
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_manifest.__main__ import main
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.metadata.fields import heading_in_range
from pipeline.planning.count_images import count_images
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from tests.helpers import tables_in
from tests.pipeline.conftest import write

NameWith = Callable[..., str]
Headings = Callable[..., dict[str, float | None]]
UNKNOWN, KEPT = (
    "-1, taken as unknown",
    "-1, taken as 359 degrees because other headings are negative",
)
NEGATIVE = "below 0, turned by 360 degrees"
OUTSIDE = "outside -360 to 450 degrees, taken as unknown"


@pytest.fixture
def from_names(tmp_path: Path, name_with: NameWith) -> Callable[..., Path]:
    """Build the manifest of images with the given headings, one folder each."""

    def from_names(*written: object, artifacts: str = "A") -> Path:
        lines = [f"{number}/{name_with(pano_id=number, heading=each)}" for number, each in enumerate(written)]
        (tmp_path / "train_images_paths.txt").write_text("\n".join(lines))
        return build_manifest(tmp_path / "train", tmp_path / artifacts, "city")

    return from_names


@pytest.fixture
def from_table(tmp_path: Path) -> Callable[..., Path]:
    """Build the manifest of photos with the given headings in a table."""

    def from_table(*written: object, artifacts: str = "A") -> Path:
        photos, table = tmp_path / "photos", tmp_path / "photos.csv"
        write(photos, *(f"{number}.jpg" for number in range(len(written))))
        rows = [f"{number}.jpg,48.85,2.33{number:02d},{each}" for number, each in enumerate(written)]
        table.write_text("\n".join(["path,lat,lon,heading", *rows]))
        source = make_source(SourceSettings(source="table", table=table))
        return build_manifest(photos, tmp_path / artifacts, "city", source=source)

    return from_table


def headings(manifest: Path) -> list[float | None]:
    return read_table(manifest, "manifest").sort("latitude", "longitude", "path")["heading"].to_list()


def odd(manifest: Path) -> dict[str, int]:
    return {what: count for what, count in read_recipe(manifest)["summary"]["headings"].items() if count}


CASES = [  # as written, as read, and what is counted
    ((-1, 0, 174), [None, 0, 174], {UNKNOWN: 1}),
    ((-1, -1, -1), [None, None, None], {UNKNOWN: 3}),
    ((-1, -90, 5), [359, 270, 5], {KEPT: 1, NEGATIVE: 1}),
    ((-1, -0.5), [359, 359.5], {KEPT: 1, NEGATIVE: 1}),
    ((-1, -1.0001), [359, 358.9999], {KEPT: 1, NEGATIVE: 1}),
    ((-1, -9999, 511), [None, None, None], {UNKNOWN: 1, OUTSIDE: 2}),  # marks of unknown are no negative headings
    ((-1, -1e-12, "-0.0"), [None, 360 - 1e-12, 0], {UNKNOWN: 1}),  # nor are zeros of arithmetic
    ((-9999, 999, 65535, 32767), [None] * 4, {OUTSIDE: 4}),
    ((360, 360.5, 372, -180), [0, 0.5, 12, 180], {NEGATIVE: 1}),
]


@pytest.mark.parametrize(("written", "read", "counted"), CASES)
def test_headings_of_names(
    written: tuple[object, ...], read: list[float | None], counted: dict[str, int], from_names: Callable[..., Path]
) -> None:
    manifest = from_names(*written)
    assert headings(manifest) == pytest.approx(read)
    assert odd(manifest) == counted


@pytest.mark.parametrize(("written", "read", "counted"), CASES)
def test_headings_of_a_table(
    written: tuple[object, ...], read: list[float | None], counted: dict[str, int], from_table: Callable[..., Path]
) -> None:
    manifest = from_table(*written)
    assert headings(manifest) == pytest.approx(read)
    assert odd(manifest) == counted
    sources = read_table(manifest, "manifest")["heading_source"]
    assert sources.null_count() == read.count(None)


def test_odd_headings_are_logged_and_shown(
    from_names: Callable[..., Path], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "pipeline.manifest.build_manifest")
    manifest = from_names(999, -1, -1, 30)
    assert "city: 1 with heading outside -360 to 450 degrees, taken as unknown" in caplog.messages
    assert "city: 2 with heading -1, taken as unknown" in caplog.messages
    main(["summary", str(manifest)])
    lines = filter(None, capsys.readouterr().out.splitlines())
    shown = {line.strip().rpartition(" ")[0].strip(): line.split()[-1] for line in lines}
    assert (shown[f"headings: {OUTSIDE}"], shown[f"headings: {UNKNOWN}"]) == ("1", "2")


def test_the_heading_of_a_reject_is_ignored(tmp_path: Path, name_with: NameWith) -> None:
    names = [name_with(pano_id="a", heading=-1), name_with(pano_id="b", heading=-90, latitude=91)]
    (tmp_path / "train_images_paths.txt").write_text("\n".join(names))
    assert headings(build_manifest(tmp_path / "train", tmp_path / "A")) == [None]


@pytest.mark.parametrize("with_negative", [False, True])
def test_partitions_and_order_change_nothing(
    with_negative: bool,
    tmp_path: Path,
    from_names: Callable[..., Path],
    rows_per_partition: Callable[[int], None],
) -> None:
    written = [*[-1, 0, 174, -1, 360] * 12, -90 if with_negative else 90]
    whole = headings(from_names(*written))
    expected = [359.0 if each == -1 and with_negative else None if each == -1 else each % 360 for each in written]
    assert sorted(map(str, whole)) == sorted(str(None if each is None else float(each)) for each in expected)
    rows_per_partition(7)
    cut = from_names(*written, artifacts="B")
    assert len(list((cut / "manifest").iterdir())) > 5
    assert headings(cut) == whole
    names = (tmp_path / "train_images_paths.txt").read_text().splitlines()
    random.Random(1).shuffle(names)
    (tmp_path / "train_images_paths.txt").write_text("\n".join(names))
    shuffled = build_manifest(tmp_path / "train", tmp_path / "C", "city")
    assert tables_in(shuffled) == tables_in(cut)


def test_a_negative_heading_that_comes_and_goes(
    tmp_path: Path, name_with: NameWith, rows_per_partition: Callable[[int], None], an_hour_passes: Callable[[], None]
) -> None:
    """Partitions of before are linked, and -1 in them means what it does in a build from nothing."""
    rows_per_partition(12)
    train = tmp_path / "train"
    for number in range(20):
        names = (name_with(pano_id=f"{number}-{shot}", heading=-1 if number % 3 == 0 else 30) for shot in range(4))
        write(train / str(number), *names)
    an_hour_passes()

    def build() -> tuple[int, Path]:
        manifest = build_manifest(train, tmp_path / "A", "city")
        groups = build_groups(manifest, tmp_path / "A", GroupSettings(min_images_per_class=1))
        from_nothing = build_manifest(train, tmp_path / "B", "city")
        assert tables_in(manifest) == tables_in(from_nothing)
        assert tables_in(groups) == tables_in(
            build_groups(from_nothing, tmp_path / "B", GroupSettings(min_images_per_class=1))
        )
        shutil.rmtree(tmp_path / "B")
        return read_table(manifest, "manifest")["heading"].null_count(), manifest

    unknown, before = build()
    assert unknown == 28
    new = train / "4" / name_with(pano_id="new", heading=-90)
    new.touch()
    known, after = build()
    assert known == 0
    kept = {path.name for path in (before / "manifest").iterdir()} & {
        path.name for path in (after / "manifest").iterdir()
    }
    assert kept  # those without a heading of -1
    (train / "5" / name_with(pano_id="another", heading=-1)).touch()
    assert build()[0] == 0
    (train / "5" / name_with(pano_id="another", heading=-1)).unlink()
    new.unlink()
    assert build() == (28, before)


def test_a_plan_from_names_is_that_of_the_manifest(from_names: Callable[..., Path], tmp_path: Path) -> None:
    settings = GroupSettings(min_images_per_class=1)
    for written in ((-1, -90, -1, 350), (-1, 90, -1, 350)):
        counts = [
            count_images(images, tmp_path / "none", [settings]) for images in (from_names(*written), tmp_path / "train")
        ]
        by_class = [each.by_class[settings].sort("heading_bin") for each in counts]
        assert by_class[0].equals(by_class[1])
        assert [each.manifest is None for each in counts] == [False, True]
        summaries = [{key: each.summary[key] for key in ("headings", "without_heading")} for each in counts]
        assert summaries[0] == summaries[1]


def test_headings_are_in_range_at_the_edges() -> None:
    written = [-1e-300, -5e-15, -360.0, -0.25, 359.99999999999994, 450.0, math.nextafter(360, 400)]
    turned = pl.Series("heading", written).to_frame().select(heading_in_range(pl.col("heading")))["heading"]
    assert ((turned >= 0) & (turned < 360)).all()
    assert turned.to_list()[2:] == [0.0, 359.75, 359.99999999999994, 90.0, math.nextafter(360, 400) - 360]


def test_headings_agree_with_plain_python() -> None:
    turns = [turn / 7 for turn in range(-7 * 360, 7 * 450)]
    written = [value for turn in turns for value in (turn, math.nextafter(turn, 0), math.nextafter(turn, 1))]
    written = [value for value in written if value != -1]
    turned = pl.Series("heading", written).to_frame().select(heading_in_range(pl.col("heading")))["heading"]
    assert ((turned >= 0) & (turned < 360)).all()
    apart = [abs(value % 360 - found) % 360 for value, found in zip(written, turned, strict=True)]
    assert max(min(each, 360 - each) for each in apart) < 1e-9
