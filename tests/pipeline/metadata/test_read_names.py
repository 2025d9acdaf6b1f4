"""Names that are read by the parts they share are what each of them is when it is read alone."""

import random
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.metadata import name_parts
from pipeline.metadata.name_parts import cut_names
from pipeline.metadata.paths import Paths, distinct_paths
from pipeline.metadata.read_names import read_names
from tests.pipeline.conftest import as_lines

NameWith = Callable[..., str]


def read(paths: list[bytes], strict: bool) -> pl.DataFrame:
    return read_names(Paths(pl.Series(sorted(paths), dtype=pl.Binary)), strict)


def one_by_one(paths: list[bytes], strict: bool) -> pl.DataFrame:
    return pl.concat([read([path], strict) for path in paths]).sort("path")


@pytest.fixture
def odd_names(name_with: NameWith) -> list[bytes]:
    """Names of few panoramas, headings and dates, with all kinds of faults, in folders with an @."""
    choose = random.Random(0)
    faults = (
        "utm_east=x utm_east= utm_zone=61 utm_zone= latitude=91 longitude=-12.0 utm_band=I heading=north heading=-1 "
        "heading=360 pitch=nan height=1e999 tile_num=07 timestamp=20161226_101010 timestamp=? note=day_forward_city "
        "extension=.txt extension=@.jpg before=x pano_id=a@b pano_id=a/b note=a/b pano_id="
    )
    each_fault = [dict([fault.split("=")]) for fault in faults.split()]
    names = []
    for number in range(120):
        folder = choose.choice(("", "37.70/", "@x@y/", "a@1@2@3@4@5@6@7@8@9/", "../", "/root/", "x/@/"))
        plain = {"pano_id": choose.choice("abc"), "heading": choose.choice((0, 17, 174)), "timestamp": 201400 + number}
        fault = {} if number % 3 else each_fault[number // 3 % len(each_fault)]
        names.append((folder + name_with(**{**plain, **fault})).encode())
    others = ("x.jpg", "@", "@@@@@@@", "@@@@@@@@", "@" * 14 + ".jpg", "@" * 15 + ".jpg", "@" * 16 + ".jpg", "", "a/")
    return [*names, *(name.encode() for name in others), b"\xff" + names[0], names[1].replace(b"@@", b"@\xfe@")]


@pytest.mark.parametrize("strict", [True, False])
def test_names_read_together_are_as_names_read_alone(odd_names: list[bytes], strict: bool) -> None:
    together = read(odd_names, strict)
    assert together["reject"].null_count() not in (0, len(together))
    assert_frame_equal(together, one_by_one(odd_names, strict), check_column_order=False)


def test_what_names_share(name_with: NameWith) -> None:
    paths = [f"{folder}/{name_with(pano_id=pano, heading=turn)}" for folder in "ab" for pano in "xy" for turn in (1, 2)]
    cut = cut_names(as_lines(map(str.encode, [*paths, "odd.jpg"])))
    place, turn, shot = cut.parts()
    assert not cut.all_alike
    assert cut.can_be_cut.tolist() == [True] * 8 + [False]
    assert place.number.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert place.first.tolist() == [0, 2, 4, 6, 8]
    assert (turn.first.tolist(), turn.number.tolist()) == ([0, 1, 8], [0, 1] * 4 + [2])
    assert (shot.first.tolist(), shot.number.tolist()) == ([0, 8], [0] * 8 + [1])


def check_distinct(paths: list[bytes], are_cut: bool) -> None:
    """Hold the paths and their parts against what sorting and cutting them alone gives."""
    found = distinct_paths(as_lines(paths))
    assert list(found.in_bytes) == sorted(set(paths))
    assert found.repeats == len(paths) - len(set(paths))
    assert (found.parts is not None) == are_cut
    if found.parts is not None:
        alone = cut_names(as_lines(found.in_bytes)).parts()
        for part, expected in zip(found.parts, alone, strict=True):
            rows = expected.first[expected.number]
            assert part.first[part.number].tolist() == rows.tolist(), "the first row with the same part"


def test_paths_that_are_all_names_are_sorted_by_their_parts(name_with: NameWith) -> None:
    choose = random.Random(1)
    fields = {
        "pano_id": ("", "a", "ab", "a b", "\xe9", "~"),
        "heading": ("", "3", "30", "300", "-1"),
        "timestamp": ("", "2014", "201401"),
        "extension": (".jpg", ".jpgx", ""),
        "utm_east": ("1", "10", "1.5", "09"),
    }
    folders = ("", "x/", "x/y/", "xy/", "x./")
    names = [
        choose.choice(folders) + name_with(**{field: choose.choice(values) for field, values in fields.items()})
        for _ in range(300)
    ]
    check_distinct([name.encode() for name in names], are_cut=True)
    check_distinct([names[0].encode()] * 9, are_cut=True)
    check_distinct([], are_cut=True)


def test_parts_too_many_for_one_number_are_sorted_too(name_with: NameWith, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name_with(heading=heading, pano_id=pano).encode() for heading in (30, 3) for pano in "ba"]
    monkeypatch.setattr(name_parts, "MAX_KEYS", 4)  # two places, two turns, one shot
    check_distinct(names * 2, are_cut=False)
    monkeypatch.setattr(name_parts, "MAX_KEYS", 5)
    check_distinct(names * 2, are_cut=True)


def test_paths_of_which_one_is_no_name_are_sorted_too(odd_names: list[bytes], name_with: NameWith) -> None:
    check_distinct(odd_names + odd_names[:9], are_cut=False)
    names = [name_with(heading=heading).encode() for heading in (30, 3)]
    for odd in (b"", b"a", b"@x/" + names[0], names[1] + b"@", names[0].removesuffix(b".jpg")[:-1]):
        check_distinct([*names, odd, *names], are_cut=False)


def test_parts_of_names_that_are_no_utf8_are_cut_anew(name_with: NameWith) -> None:
    paths = [name_with(pano_id=pano).encode() for pano in "xyz"]
    paths[1] = paths[1].replace(b"@y@", b"@\xff@")
    found = distinct_paths(as_lines(paths))
    assert found.parts is not None
    images = read_names(found, strict=True)
    assert_frame_equal(images, one_by_one(paths, strict=True), check_column_order=False)


def test_no_names() -> None:
    assert read([], strict=True).is_empty()
