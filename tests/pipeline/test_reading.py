"""Names that are read by the parts they share are what each of them is when it is read alone."""

import random
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline import name_parts
from pipeline.name_parts import cut_names
from pipeline.reading import decode_paths, read_names

NameWith = Callable[..., str]


def read(paths: list[bytes], strict: bool) -> pl.DataFrame:
    return read_names(decode_paths(pl.Series("path", sorted(paths), dtype=pl.Binary)), strict)


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
    for number in range(200):
        folder = choose.choice(("", "37.70/", "@x@y/", "a@1@2@3@4@5@6@7@8@9/", "../", "/root/", "x/@/"))
        plain = {"pano_id": choose.choice("abc"), "heading": choose.choice((0, 17, 174)), "timestamp": 201400 + number}
        fault = choose.choice(each_fault) if choose.random() < 0.4 else {}
        names.append((folder + name_with(**{**plain, **fault})).encode())
    others = ("x.jpg", "@", "@@@@@@@", "@@@@@@@@", "@" * 14 + ".jpg", "@" * 15 + ".jpg", "@" * 16 + ".jpg", "", "a/")
    return [*names, *(name.encode() for name in others), b"\xff" + names[0], names[1].replace(b"@@", b"@\xfe@")]


@pytest.mark.parametrize("strict", [True, False])
def test_names_read_together_are_as_names_read_alone(odd_names: list[bytes], strict: bool) -> None:
    together = read(odd_names, strict)
    assert together["reject"].null_count() not in (0, len(together))
    assert_frame_equal(together, one_by_one(odd_names, strict), check_column_order=False)


def test_rows_at_a_time_do_not_matter(odd_names: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read(odd_names, strict=True)
    for rows in (1, 2, 7, 100):
        monkeypatch.setattr(name_parts, "ROWS_AT_A_TIME", rows)
        assert_frame_equal(read(odd_names, strict=True), expected)


def test_what_names_share(name_with: NameWith) -> None:
    paths = [f"{folder}/{name_with(pano_id=pano, heading=turn)}" for folder in "ab" for pano in "xy" for turn in (1, 2)]
    can_be_cut, place, turn, shot = cut_names(pl.Series([*paths, "odd.jpg"]))
    assert can_be_cut.tolist() == [True] * 8 + [False]
    assert place.number.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert place.first.tolist() == [0, 2, 4, 6, 8]
    assert (turn.first.tolist(), turn.number.tolist()) == ([0, 1, 8], [0, 1] * 4 + [2])
    assert (shot.first.tolist(), shot.number.tolist()) == ([0, 8], [0] * 8 + [1])


def test_no_names() -> None:
    assert read([], strict=True).is_empty()
