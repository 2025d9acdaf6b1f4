"""Odd names and odd trees on a real disk: each file is a row of one table, once, and what is usable is found."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_manifest.errors import UserError
from data_manifest.store.find import list_artifacts
from data_manifest.store.recipe import read_recipe
from data_manifest.store.staging import STAGING
from data_manifest.tables import read_table
from pipeline.listing.list_images import list_images
from pipeline.manifest.build_manifest import build_manifest
from pipeline.metadata.fields import FIELDS

NameWith = Callable[..., str]
LONGEST = 255  # bytes of a name, on nearly all file systems


def tables_of(images_folder: Path, artifacts: Path) -> tuple[set[str], dict[str, str]]:
    """The usable paths, and the rejects with their reasons; checked to be as many as the images that are found."""
    artifact = build_manifest(images_folder, artifacts, strict=False)
    usable = read_table(artifact, "manifest")["path"]
    rejects = read_table(artifact, "rejects")
    found = sum(
        name.lower().endswith((b".jpg", b".jpeg", b".png")) and not name.startswith(b".")
        for _, _, names in os.walk(os.fsencode(images_folder))
        for name in names
    )
    assert len(usable) + len(rejects) == read_recipe(artifact)["summary"]["files"] == found
    assert len({*usable, *rejects["path"]}) == found
    return set(usable), dict(rejects.select("path", "reason").iter_rows())


def test_names_of_255_bytes(tmp_path: Path, name_with: NameWith) -> None:
    short = name_with(note="x")
    longest = name_with(note="x" * (1 + LONGEST - len(short)))
    accents = name_with(note="é" * ((LONGEST - len(short)) // 2))
    folder = tmp_path / "train" / ("f" * LONGEST) / ("é" * (LONGEST // 2))
    folder.mkdir(parents=True)
    for name in (longest, accents, "x" * (LONGEST - 4) + ".jpg"):
        (folder / name).touch()
    assert len(longest) == LONGEST
    usable, rejects = tables_of(tmp_path / "train", tmp_path / "A")
    below = folder.relative_to(tmp_path / "train")
    assert usable == {f"{below}/{longest}", f"{below}/{accents}"}
    assert set(rejects.values()) == {"wrong number of fields"}


def test_names_in_all_bytes_that_a_disk_takes(tmp_path: Path, name_with: NameWith) -> None:
    (tmp_path / "train").mkdir()
    letters = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
    for letter in letters:
        name = name_with(note="N").encode().replace(b"N", letter)
        (tmp_path / "train" / os.fsdecode(name)).touch()
    usable, rejects = tables_of(tmp_path / "train", tmp_path / "A")
    notes = {path.split("@")[14] for path in usable if path.count("@") == len(FIELDS) - 1}
    assert notes == {chr(byte) for byte in range(1, 128) if chr(byte) not in "/@"}
    assert len(usable) == len(notes) + 1  # a test set takes a name with more @ by its position
    assert list(rejects.values()) == ["not UTF-8"] * 128


def test_a_folder_that_is_no_utf_8(tmp_path: Path, name_with: NameWith) -> None:
    (tmp_path / os.fsdecode(b"tr\xe4in") / os.fsdecode(b"\xe4")).mkdir(parents=True)
    for folder in (b"", b"\xe4/"):
        (tmp_path / os.fsdecode(b"tr\xe4in/" + folder) / name_with()).touch()
    usable, rejects = tables_of(tmp_path / os.fsdecode(b"tr\xe4in"), tmp_path / "A")
    assert usable == {name_with()}
    assert rejects == {f"./%E4/{name_with()}": "not UTF-8"}


def test_a_tree_with_links_in_a_circle(tmp_path: Path, name_with: NameWith) -> None:
    train = tmp_path / "train"
    (train / "a" / "b").mkdir(parents=True)
    (train / "a" / name_with()).touch()
    (train / "a" / "b" / "up").symlink_to(train)
    (train / "a" / "here").symlink_to(".")
    (train / "itself").symlink_to("itself")
    (train / "one").symlink_to("two")
    (train / "two").symlink_to("one")
    usable, rejects = tables_of(train, tmp_path / "A")
    assert (usable, rejects) == ({f"a/{name_with()}"}, {})


def test_a_folder_of_links_to_images_that_are_gone(tmp_path: Path, name_with: NameWith) -> None:
    """No image is opened: their names are in the manifest."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / name_with()).symlink_to("nowhere")
    assert tables_of(tmp_path / "train", tmp_path / "A")[0] == {name_with()}


@pytest.mark.parametrize("gone", ["file", "folder", "everything"])
def test_what_vanishes_between_the_listing_and_its_use(tmp_path: Path, name_with: NameWith, gone: str) -> None:
    train = tmp_path / "train"
    for number in range(6):
        (train / str(number)).mkdir(parents=True)
        (train / str(number) / name_with(pano_id=number)).touch()
    listing = list_images(train, tmp_path / "A")
    if gone == "file":
        (train / "3" / name_with(pano_id=3)).unlink()
    else:
        shutil.rmtree(train / "3" if gone == "folder" else train)
    with pytest.raises(UserError, match=r"cannot be listed: No such file|has changed while it was being read\."):
        build_manifest(train, tmp_path / "A", listing=listing)
    assert list_artifacts(tmp_path / "A") == []
    assert list((tmp_path / "A" / STAGING).iterdir()) == []
    if gone != "everything":
        usable, _ = tables_of(train, tmp_path / "A")
        assert usable == {f"{number}/{name_with(pano_id=number)}" for number in range(6) if number != 3}


TEXTS = ("pano_id", "tile_num", "note")
BYTES_OF_NAMES = st.binary(min_size=1, max_size=24).map(lambda name: name.replace(b"/", b"@").replace(b"\0", b"%"))
NAMES = st.tuples(BYTES_OF_NAMES, st.sampled_from([b".jpg", b".JPG", b".png", b".jpeg"])).map(b"".join)
FOLDERS = st.sampled_from([b"", b"a/", b"\xff/", b"%FF/", b"./a%FF/", b"a@b/"])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="/@\0"), max_size=6)


@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(names=st.lists(st.tuples(FOLDERS, NAMES).map(b"".join), max_size=24, unique=True))
@example(names=[b"a\xff.jpg", b"a%FF.jpg", b"\xff/a.jpg", b"%FF/a.jpg", b"./a%FF/a.jpg"])
def test_whatever_files_are_called_each_is_a_row(names: list[bytes]) -> None:
    good = b"@0545981.19@4184971.70@10@S@@@@@@@@@@@.jpg"
    with tempfile.TemporaryDirectory() as work:
        for name in (good, *names):
            path = Path(work, "train", os.fsdecode(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        usable, rejects = tables_of(Path(work, "train"), Path(work, "A"))
        escaped = {path for path, reason in rejects.items() if reason == "not UTF-8"}
        assert all(path.startswith("./") for path in escaped)
        shown = [unquote_to_bytes(path) if path in escaped else path.encode() for path in usable | rejects.keys()]
        listed = (path for path in (good, *names) if not os.path.basename(path).startswith(b"."))  # noqa: PTH119
        assert {os.path.normpath(path) for path in shown} == {os.path.normpath(path) for path in listed}


USABLE = st.tuples(
    st.decimals(20_000, 10**6, places=2),
    st.decimals(20_000, 10**7, places=2),
    st.integers(1, 60),
    st.one_of(st.none(), st.decimals(0, "359.99", places=2)),
    st.integers(1, 9999),
    st.integers(1, 12),
    st.tuples(TEXT, TEXT, TEXT),
    st.sampled_from(["", "a/", "37.70/@x@/"]),
)


@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(images=st.lists(USABLE, min_size=1, max_size=20))
def test_a_usable_name_comes_back_from_its_fields(images: list[tuple[Any, ...]]) -> None:
    expected = {}
    for east, north, zone, heading, year, month, texts, folder in images:
        written = {"utm_east": f"{east:010}", "utm_north": str(north), "utm_zone": f"{zone:02}", "extension": ".jpg"}
        written |= {"heading": "" if heading is None else str(heading), "timestamp": f"{year:04}{month:02}"}
        written |= {name: text.replace("\n", "?") for name, text in zip(TEXTS, texts, strict=True)}
        expected[f"good/{folder}" + "@".join(written.get(field, "") for field in FIELDS)] = {
            **{"utm_east": float(str(east)), "utm_north": float(str(north)), "utm_zone": zone, "year": year},
            **{"heading": None if heading is None else float(str(heading)), "month": month},
            **{"timestamp": written["timestamp"], **{name: written[name] or None for name in TEXTS}},
        }
    with tempfile.TemporaryDirectory() as work:
        Path(work, "train_images_paths.txt").write_bytes("".join(f"{path}\n" for path in expected).encode())
        rows = read_table(build_manifest(Path(work, "train"), Path(work, "A")), "manifest").rows_by_key(
            "path", named=True, unique=True
        )
    assert {path: {name: row[name] for name in expected[path]} for path, row in rows.items()} == expected


def test_tables_have_no_path_that_leads_out(tmp_path: Path, name_with: NameWith) -> None:
    (tmp_path / "train" / "a.." / "b..").mkdir(parents=True)
    for folder in ("a..", "a../b.."):
        (tmp_path / "train" / folder / name_with()).touch()
    usable, _ = tables_of(tmp_path / "train", tmp_path / "A")
    assert usable == {f"a../{name_with()}", f"a../b../{name_with()}"}
