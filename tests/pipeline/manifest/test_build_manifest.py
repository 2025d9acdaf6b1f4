import logging
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_manifest.errors import UserError
from data_manifest.store.find import list_artifacts, list_current
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import read_table
from pipeline.listing import read_list
from pipeline.listing.list_images import Listing
from pipeline.listing.read_list import clean_lines
from pipeline.manifest import build_manifest as manifest_module
from pipeline.manifest.build_manifest import build_manifest, manifest_recipe
from pipeline.metadata.fields import FIELDS
from pipeline.metadata.rejects import Reason
from tests.helpers import files_in, tables_in

NameWith = Callable[..., str]
ListingOf = Callable[..., Listing]
GOOD = "@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzUbKyzStWA@@174@@@@201409@@.jpg"
NO_HEADING = "@0543030.55@4180984.98@10@S@37.775128@-122.51158@31760538811@@@@@@20161226@@.jpg"
WHY = "latitude and longitude are swapped and the zone is 30, not 10"
USERS_OWN = "@691383.35@5454712.35@10@S@-0.37194@49.21528@IMG_20230216_134916_0@@-1@@@@@@.jpg"
MANGLED = "@0549678.37@4180874.60@10@S@037.77386@-122.43590@bZ1VXzxFCSKi9wcz8H5pZA0@201311.jpg"
NORDLAND = "@0@00352.3@@@@@148@@@@@@@@.jpg"


def text_of(path: bytes) -> str:
    """The path as the tables show it, byte by byte."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return "./" + "".join(
            "%25" if letter == "%" else f"%{ord(letter) - 0xDC00:02X}" if "\udc80" <= letter <= "\udcff" else letter
            for letter in path.decode("utf-8", "surrogateescape")
        )


@pytest.fixture
def build(tmp_path: Path, listing_of: ListingOf) -> Callable[..., Path]:
    """Build the manifest of paths in tmp_path/A, and return its folder."""

    def build(*paths: str | bytes, strict: bool = True, name: str = "x") -> Path:
        listing = listing_of(paths)
        return build_manifest(tmp_path / "train", tmp_path / "A", name=name, strict=strict, listing=listing)

    return build


@pytest.fixture
def _small_partitions(rows_per_partition: Callable[[int], None]) -> None:
    rows_per_partition(7)


@pytest.mark.parametrize(
    ("strict", "usable", "rejected"),
    [
        (
            True,
            {f"a@b/{GOOD}", NO_HEADING, NORDLAND},
            {
                MANGLED: ("wrong number of fields", "9 fields, expected 16"),
                USERS_OWN: ("positions disagree", "UTM and latitude/longitude are over 1,000 km apart: " + WHY),
                f"../{GOOD}": ("unsafe path", f"../{GOOD}"),
                "./%FF.jpg": ("not UTF-8", "the path is shown percent-escaped"),
            },
        ),
        (
            False,
            {f"a@b/{GOOD}", NO_HEADING, NORDLAND, USERS_OWN, MANGLED},
            {
                f"../{GOOD}": ("unsafe path", f"../{GOOD}"),
                "./%FF.jpg": ("not UTF-8", "the path is shown percent-escaped"),
            },
        ),
    ],
)
def test_usable_images_and_rejects(
    build: Callable[..., Path], strict: bool, usable: set[str], rejected: dict[str, tuple[str, str]]
) -> None:
    folder = build(f"a@b/{GOOD}", NO_HEADING, NORDLAND, USERS_OWN, MANGLED, f"../{GOOD}", b"\xff.jpg", strict=strict)
    assert set(read_table(folder, "manifest")["path"]) == usable
    rejects = read_table(folder, "rejects")
    assert {row["path"]: (row["reason"], row["detail"]) for row in rejects.iter_rows(named=True)} == rejected


def test_what_a_row_holds(build: Callable[..., Path]) -> None:
    assert read_table(build(f"37.81/{GOOD}"), "manifest").row(0, named=True) == {
        **{"path": f"37.81/{GOOD}", "utm_east": 545981.19, "utm_north": 4184971.70, "utm_zone": 10, "utm_band": "S"},
        **{"latitude": 37.81098, "longitude": -122.47762, "pano_id": "rtCs5-P_9NGDzUbKyzStWA", "tile_num": None},
        **{"heading": 174.0, "heading_source": None, "heading_reference": None, "pitch": None, "roll": None},
        **{"height": None, "timestamp": "201409"},
        **{"year": 2014, "month": 9, "note": None},
    }


def test_the_summary(build: Callable[..., Path], name_with: NameWith, tmp_path: Path) -> None:
    far = name_with(utm_east=548000, timestamp="2009")
    paths = [GOOD, f"b/{GOOD}", NO_HEADING, far, MANGLED, "x.jpg", USERS_OWN]
    summary = read_recipe(build(*paths, GOOD, GOOD, "x.jpg", strict=False))["summary"]
    for kind in ("rejects", "headings"):
        summary[kind] = {what: count for what, count in summary[kind].items() if count}
    assert not any(summary.pop("UTM kept").values())
    assert {key: value for key, value in summary.items() if value} == {
        "origin": str(tmp_path / "train_images_paths.txt"),
        "files": 7,
        "repeats": 3,
        "usable": 6,
        "rejects": {"wrong number of fields": 1},
        "without_heading": 3,
        "headings": {"-1, taken as unknown": 1},
        "apart_over_1_m": 3,  # 19.2 m, and the two below
        "apart_over_1_km": 2,
        "first_year": 2009,
        "last_year": 2016,
        "partitions": 1,
        "made": "6 usable images, 1 rejects",
    }


def test_the_same_base_name_in_two_folders_is_two_images(build: Callable[..., Path]) -> None:
    assert read_table(build(f"a/{GOOD}", f"b/{GOOD}"), "manifest")["path"].to_list() == [f"a/{GOOD}", f"b/{GOOD}"]


def test_what_is_logged(build: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline.manifest.build_manifest")
    build(GOOD, NO_HEADING, MANGLED, "x.jpg", GOOD)
    assert caplog.messages == [
        "x: 4 files, 2 usable images",
        "x: 2 rejected: wrong number of fields",
        "x: 1 listed again, counted once",
        "x: 1 without a heading",
        "x: 1 with UTM and latitude/longitude more than 1 m apart",
    ]
    caplog.clear()
    build("x.jpg", GOOD, NO_HEADING, MANGLED, GOOD)
    assert caplog.messages[:2] == ["x: 4 files, 2 usable images", "x: 1 of 1 partitions reused"]


@pytest.mark.usefixtures("_small_partitions")
def test_progress_is_told(tmp_path: Path, listing_of: ListingOf) -> None:
    told: list[int] = []
    listing = listing_of(f"{number}/{GOOD}" for number in range(30))
    build_manifest(tmp_path / "train", tmp_path / "A", listing=listing, on_percentage=told.append)
    assert told == sorted(told)
    assert told[-1] == 100


FIELD = st.sampled_from(
    ["", "1", "10", "S", "-1", "37.5", "nan", "1_0", "1e400", "180", "x", "\0", "٣", "201409", "a\rb"]
)
NAME = st.lists(FIELD, min_size=len(FIELDS) - 2, max_size=len(FIELDS)).map(
    lambda fields: "@" + "@".join(fields) + ".jpg"
)
NEARLY_GOOD = st.tuples(st.integers(1, len(FIELDS) - 2), FIELD).map(
    lambda change: "@".join(change[1] if index == change[0] else part for index, part in enumerate(GOOD.split("@")))
)
PATH = st.one_of(
    st.binary(min_size=1, max_size=30).map(lambda path: path.replace(b"\n", b"")),
    st.text(min_size=1, max_size=20).map(lambda path: path.replace("\n", "").encode("utf-8", "surrogatepass")),
    NAME.map(str.encode),
    NEARLY_GOOD.map(str.encode),
    st.binary(max_size=4).map(lambda folder: folder.replace(b"\n", b"") + b"/" + GOOD.encode()),
)


@pytest.mark.slow
@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(paths=st.lists(PATH, max_size=20, unique=True), strict=st.booleans(), rows=st.sampled_from([8, 100]))
@example(paths=[b"a\xff.jpg", b"a%FF.jpg", b"./a%FF.jpg", b"./a\xff.jpg"], strict=True, rows=100)
@example(paths=[b"\xff/" + GOOD.encode(), b"\xed\xa0\x80.jpg", b"\0", b"%.jpg", b"a%\xc3"], strict=True, rows=3)
def test_rows_and_rejects_are_the_files(paths: list[bytes], strict: bool, rows: int) -> None:
    """Whatever is listed: each file is in one of the tables, once, and the order does not change a byte."""
    lines = [GOOD.encode(), *paths, *paths[:3]]  # the first bytes could make it UTF-16
    distinct = set(clean_lines(b"\n".join(lines)).split(b"\n")) - {b""}
    with tempfile.TemporaryDirectory() as work, pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_module, "ROWS_PER_PARTITION", rows)
        train, list_file = Path(work, "train"), Path(work, "train_images_paths.txt")
        list_file.write_bytes(b"\n".join(lines))
        folder = build_manifest(train, Path(work, "A"), strict=strict)
        usable, rejects = read_table(folder, "manifest"), read_table(folder, "rejects")
        summary = read_recipe(folder)["summary"]
        shuffled = [lines[0], *random.Random(len(paths)).sample(lines[1:], len(lines) - 1)]
        list_file.write_bytes(b"\r\n".join(shuffled))
        patch.setattr(read_list, "BLOCK_BYTES", 100)
        assert tables_in(build_manifest(train, Path(work, "B"), strict=strict)) == tables_in(folder)
    assert sorted([*usable["path"], *rejects["path"]]) == sorted(map(text_of, distinct))
    assert len({*usable["path"], *rejects["path"]}) == len(distinct), "two files have one path"
    assert (summary["files"], summary["usable"], sum(summary["rejects"].values())) == (
        len(distinct),
        len(usable),
        len(rejects),
    )
    assert set(rejects["reason"]) <= {reason.value for reason in Reason}
    not_utf8 = {text_of(path) for path in distinct if path.decode(errors="ignore").encode() != path}
    assert set(rejects.filter(pl.col("reason") == "not UTF-8")["path"]) == not_utf8
    check_ranges(usable)


def check_ranges(usable: pl.DataFrame) -> None:
    """Assert what a reader of the manifest may rely on."""
    assert usable["utm_east"].is_finite().all()
    assert usable["utm_north"].is_finite().all()
    for column, low, high in (("utm_zone", 1, 60), ("latitude", -90, 90), ("longitude", -180, 180), ("month", 1, 12)):
        assert usable[column].drop_nulls().is_between(low, high).all()
    assert usable["heading"].drop_nulls().is_between(0, 360, closed="left").all()


@pytest.mark.usefixtures("_small_partitions")
def test_a_shuffled_listing_gives_the_same_bytes(build: Callable[..., Path], tmp_path: Path) -> None:
    paths = [f"{number % 5}/{number}/{name}" for number in range(20) for name in (GOOD, NO_HEADING, MANGLED)]
    first = tables_in(build(*paths))
    assert len(first) > 4
    shutil.rmtree(tmp_path / "A")
    assert tables_in(build(*random.Random(1).sample(paths, len(paths)))) == first


def test_a_shuffled_list_of_many_blocks(
    build: Callable[..., Path],
    name_with: NameWith,
    rows_per_partition: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    rows_per_partition(600)
    paths = [f"{number % 23}/{name_with(pano_id=number)}" for number in range(3000)]
    paths += [f"huge/{path}" for path in paths[:500]]
    first = tables_in(build(*paths))
    shutil.rmtree(tmp_path / "A")
    monkeypatch.setattr(read_list, "BLOCK_BYTES", 50_000)
    random.Random(5).shuffle(paths)
    folder = build(*paths)
    assert tables_in(folder) == first
    assert {path.name for path in folder.iterdir()} == {"manifest", "rejects", "recipe.json"}


@pytest.mark.usefixtures("_small_partitions")
def test_partitions_do_not_change_the_rows(
    build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths = [f"{number % 5}/{number}/{name}" for number in range(20) for name in (GOOD, USERS_OWN, MANGLED)]
    cut = build(*paths)
    tables = {table: read_table(cut, table).sort("path") for table in ("manifest", "rejects")}
    shutil.rmtree(tmp_path / "A")
    monkeypatch.setattr(manifest_module, "ROWS_PER_PARTITION", 250_000)
    whole = build(*paths)
    assert [path.name[:7] for path in (whole / "manifest").iterdir()] == ["part-b-"]
    for table, rows in tables.items():
        assert read_table(whole, table).equals(rows)


@pytest.mark.usefixtures("_small_partitions")
def test_images_added_to_a_folder_change_its_partition_only(build: Callable[..., Path]) -> None:
    paths = [f"{number}/{GOOD}" for number in range(40)]
    before, after = tables_in(build(*paths)), tables_in(build(*paths, f"7/{NO_HEADING}"))
    changed = [name for name, content in before.items() if after.get(name) != content]
    assert {name.split("-")[1] for name in changed} == {changed[0].split("-")[1]}
    assert len(changed) == 2  # its manifest and its rejects


def test_a_second_build_of_the_same_changes_no_published_file(build: Callable[..., Path], tmp_path: Path) -> None:
    folder = build(GOOD, MANGLED)
    before = files_in(tmp_path / "A"), {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert build(GOOD, MANGLED) == folder
    assert (files_in(tmp_path / "A"), {path: path.stat().st_mtime_ns for path in folder.rglob("*")}) == before


def test_what_makes_another_manifest(build: Callable[..., Path]) -> None:
    folders = {
        build(GOOD),
        build(GOOD, strict=False),
        build(GOOD, NO_HEADING),
        build(f"a/{GOOD}"),
        build(GOOD, GOOD),
    }
    assert len(folders) == 5
    assert build(GOOD, name="y").name == build(GOOD, name="x").name


def test_a_recipe_by_literal(tmp_path: Path, listing_of: ListingOf) -> None:
    recipe = manifest_recipe("sf-xl-processed-train", listing_of(["a.jpg"]), strict=True)
    assert recipe == Recipe("manifest", "sf-xl-processed-train", 5, {"strict": True}, {"images": "7732d1b8cb130d43"})


@pytest.mark.parametrize("paths", [(MANGLED,), ("x.jpg", "y.jpg", f"../{GOOD}"), (b"\xff.jpg",)])
def test_none_usable_publishes_nothing(
    build: Callable[..., Path], tmp_path: Path, paths: tuple[str | bytes, ...]
) -> None:
    with pytest.raises(UserError) as error:
        build(*paths)
    assert str(error.value).startswith(
        f"{tmp_path / 'train_images_paths.txt'}: none of the {len(paths)} files is a usable image, as in "
    )
    assert "Names must have the form @UTM_east@UTM_north@zone@band@latitude@longitude" in str(error.value)
    assert files_in(tmp_path / "A") == {}
    assert list_artifacts(tmp_path / "A") == []


@pytest.mark.parametrize("content", [b"", b"\n\r\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_an_empty_list(tmp_path: Path, content: bytes) -> None:
    list_file = tmp_path / "train_images_paths.txt"
    list_file.write_bytes(content)
    with pytest.raises(UserError) as error:
        build_manifest(tmp_path / "train", tmp_path / "A")
    assert str(error.value) == f"{list_file}: no image in it (looked for .jpg, .jpeg, .png, .heic, .heif)"
    assert list_artifacts(tmp_path / "A") == []


def test_none_usable_keeps_what_was_current(build: Callable[..., Path], tmp_path: Path) -> None:
    folder = build(GOOD)
    with pytest.raises(UserError, match=r"as in x\.jpg: wrong number of fields, 1 fields, expected 16\."):
        build("x.jpg")
    assert list_current(tmp_path / "A") == [folder]


def test_a_path_that_is_no_utf_8_is_a_reject_whatever_else(build: Callable[..., Path]) -> None:
    folder = build(GOOD, b"\xff/" + GOOD.encode(), b"\xff/x.txt", b"../\xff.jpg")
    rejects = read_table(folder, "rejects")
    assert set(rejects["path"]) == {"./%FF/x.txt", f"./%FF/{GOOD}", "./../%FF.jpg"}
    assert set(rejects["reason"]) == {"not UTF-8"}


def test_files_on_a_disk(tmp_path: Path) -> None:
    for name in ("train/37.81", "train/@odd"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / GOOD).write_bytes(b"not opened")
    (tmp_path / "train" / "notes.txt").touch()
    (tmp_path / "train" / os.fsdecode(b"\xff.jpg")).touch()
    folder = build_manifest(tmp_path / "train", tmp_path / "A")
    assert folder.parent.name.endswith("-train")
    assert set(read_table(folder, "manifest")["path"]) == {f"37.81/{GOOD}", f"@odd/{GOOD}"}
    assert read_table(folder, "rejects")["path"].to_list() == ["./%FF.jpg"]


def test_a_file_that_is_called_as_another_is_shown(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in (GOOD.encode(), b"a\xff" + GOOD.encode(), b"a%FF" + GOOD.encode(), b"%FF" + GOOD.encode()):
        (tmp_path / "train" / os.fsdecode(name)).touch()
    folder = build_manifest(tmp_path / "train", tmp_path / "A")
    assert read_table(folder, "manifest")["path"].to_list() == [GOOD]
    assert dict(read_table(folder, "rejects").select("path", "reason").iter_rows()) == {
        f"./a%FF{GOOD}": "not UTF-8",
        f"a%FF{GOOD}": "wrong number of fields",
        f"%FF{GOOD}": "wrong number of fields",
    }


@pytest.mark.usefixtures("_small_partitions")
def test_a_tree_and_a_list_of_it_give_the_same_tables(tmp_path: Path) -> None:
    train = tmp_path / "train"
    paths = [f"{number % 4}/{number}/{name}" for number in range(12) for name in (GOOD, NO_HEADING, MANGLED)]
    paths += [f"huge/{number}{GOOD}" for number in range(20)]
    for path in paths:
        (train / path).parent.mkdir(parents=True, exist_ok=True)
        (train / path).touch()
    of_tree = build_manifest(train, tmp_path / "A")
    for seed in range(2):
        random.Random(seed).shuffle(paths)
        (tmp_path / "train_images_paths.txt").write_text("\n".join(paths))
        of_list = build_manifest(train, tmp_path / f"B{seed}")
        assert tables_in(of_list) == tables_in(of_tree)
        assert of_list.name != of_tree.name


def test_a_name_with_a_newline(tmp_path: Path) -> None:
    (tmp_path / "train" / "a\nb").mkdir(parents=True)
    for name in (GOOD, f"a\nb/{GOOD}", "c\n.jpg"):
        (tmp_path / "train" / name).touch()
    folder = build_manifest(tmp_path / "train", tmp_path / "A")
    assert read_table(folder, "manifest")["path"].to_list() == [GOOD, f"a\nb/{GOOD}"]
    assert read_table(folder, "rejects")["path"].to_list() == ["c\n.jpg"]


def test_names_are_sorted_and_tables_have_all_columns(build: Callable[..., Path], name_with: NameWith) -> None:
    names = [name_with(pano_id=number) for number in random.Random(0).sample(range(100), 50)]
    folder = build(*names)
    assert read_table(folder, "manifest")["path"].to_list() == sorted(names)
    rejects: Any = read_table(folder, "rejects")
    assert (rejects.columns, len(rejects)) == (["path", "reason", "detail"], 0)
