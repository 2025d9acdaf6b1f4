"""Both ways to work on bytes, compiled and not, do what a few plain lines do."""

import itertools
import logging
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import bytewise, plain
from pipeline.arrays import Letters, Offsets
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest

try:
    from pipeline import compiled
except ImportError:
    compiled = None  # type: ignore[assignment]

compiled_only = pytest.mark.skipif(compiled is None, reason="nothing was compiled: pip found no C compiler")
WAYS = [pytest.param(plain, id="plain"), pytest.param(compiled, id="compiled", marks=compiled_only)]
KERNELS = ("cut", "find_folders", "find_lines", "gather", "number")
either = pytest.mark.parametrize("way", WAYS)
LINES = st.lists(st.text("ab/@\r\0\xe9", max_size=9).map(str.encode), max_size=40)
NAMES = st.lists(st.text("@@@@@@a", max_size=30).map(str.encode), max_size=40)


def letters(content: bytes) -> Letters:
    return np.frombuffer(content, np.uint8)


def laid_out(texts: list[bytes], between: bytes = b"") -> tuple[Letters, Offsets, Offsets]:
    """Texts one after the other, with something between them and behind."""
    ends = np.cumsum([len(text) + len(between) for text in texts], dtype=np.int64) - len(between)
    starts = ends - np.array(list(map(len, texts)), np.int64)
    return letters(b"".join(text + between for text in texts)), starts, ends


@either
@given(LINES, st.booleans(), st.sampled_from([b"\n", b"\0"]))
def test_lines(way: ModuleType, lines: list[bytes], last_has_end: bool, separator: bytes) -> None:
    content = separator.join(lines) + separator * last_has_end
    expected = content.removesuffix(separator).split(separator) if content else []
    starts, ends = way.find_lines(letters(content), separator[0])
    assert [content[start:end] for start, end in zip(starts, ends, strict=True)] == expected
    assert (starts.dtype, ends.dtype) == (np.int64, np.int64)


def returns_of(line: bytes) -> int:
    name = line.rpartition(b"/")[2]
    return len(name) - len(name.rstrip(b"\r"))


@either
@given(LINES, st.booleans())
def test_folders(way: ModuleType, lines: list[bytes], last_has_end: bool) -> None:
    content = b"\n".join(lines) + b"\n" * last_has_end
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    expected, start = [], 0
    for folder, run in itertools.groupby(lines, lambda line: line[: line.rfind(b"/") + 1]):
        of_run = list(run)
        returns = [returns_of(line) for line in of_run]
        expected.append([start, start + len(folder), len(of_run), min(returns), max(returns)])
        start += sum(len(line) + 1 for line in of_run)
    runs, sums = way.find_folders(letters(content))
    assert runs.tolist() == expected
    assert sums is None or sums.shape == (len(expected), 2)


def sums_of(names: list[bytes], folder: bytes = b"x/", end: bytes = b"\n") -> tuple[int, int]:
    runs, sums = compiled.find_folders(letters(b"".join(folder + name + end for name in names)))
    assert len(runs) == 1
    assert sums is not None
    return int(sums[0, 0]), int(sums[0, 1])


@compiled_only
def test_sums_tell_names_and_how_often_they_are_there_but_not_their_order() -> None:
    names = [b"@%d@%04d.jpg" % (number % 7, number) for number in range(1000)]
    sums = sums_of(names)
    assert sums_of(names[::-1]) == sums_of(names, b"./y/z/") == sums_of(names, end=b"\r\n") == sums
    assert len({sums, sums_of(names[1:]), sums_of([*names, names[0]]), sums_of([*names[1:], b"@0@0001.jpg"])}) == 4
    halves = sums_of(names[:400]), sums_of(names[400:])
    assert sums == tuple(sum(each) % 2**64 for each in zip(*halves, strict=True))


def sums_of_each(names: list[bytes]) -> list[tuple[int, int]]:
    """The sums of names that are each alone in a run."""
    runs, sums = compiled.find_folders(
        letters(b"".join(b"%d/%s\n" % (row % 2, name) for row, name in enumerate(names)))
    )
    assert len(runs) == len(names)
    assert sums is not None
    return [(one, other) for one, other in sums.tolist()]


def with_digits(length: int, places: tuple[int, ...]) -> list[bytes]:
    """Zeros, with all digits in some places."""
    names = []
    for digits in itertools.product(b"0123456789", repeat=len(places)):
        name = bytearray(b"0" * length)
        for place, digit in zip(places, digits, strict=True):
            name[place] = digit
        names.append(bytes(name))
    return names


@compiled_only
@pytest.mark.parametrize("length", [9, 16, 17, 24, 32, 40])
def test_names_that_differ_in_any_two_digits_have_other_sums(length: int) -> None:
    for places in itertools.combinations(range(length), 2):
        for part in zip(*sums_of_each(with_digits(length, places)), strict=True):
            assert len(set(part)) == 100, places


@compiled_only
def test_names_that_differ_in_three_digits_have_other_sums() -> None:
    choose = random.Random(0)
    for places in [(15, 27, 31), (7, 15, 23), *(tuple(choose.sample(range(40), 3)) for _ in range(100))]:
        for part in zip(*sums_of_each(with_digits(40, places)), strict=True):
            assert len(set(part)) == 1000, places


@compiled_only
@pytest.mark.parametrize("form", [b"%d", b"%08d", b"@0543002.69@%07d@@.jpg", b"%016d", b"%023d"])
def test_sums_of_pairs_of_names_that_differ_in_digits_differ(form: bytes) -> None:
    """Of 40,000 pairs no two have the same sum, in either of the two: digits do not cancel each other out."""
    for part in zip(*sums_of_each([form % number for number in range(283)]), strict=True):
        pairs = [(one + other) % 2**64 for one, other in itertools.combinations(part, 2)]
        assert len(set(pairs)) == len(pairs)


@either
@given(NAMES, st.sampled_from([b"", b"\n", b"@"]))
def test_cuts(way: ModuleType, names: list[bytes], between: bytes) -> None:
    content, starts, ends = laid_out(names, between)
    place_ends, turn_ends, all_alike = way.cut(content, starts, ends, 15, 8, 3)
    for name, start, place_end, turn_end in zip(names, starts, place_ends, turn_ends, strict=True):
        at = [index for index, letter in enumerate(name) if letter == ord("@")]
        expected = (at[-8] + 1, at[-3] + 1) if len(at) >= 8 else (0, 0)
        assert (place_end - start, turn_end - start) == expected
    assert all_alike == all(name.count(b"@") == 15 for name in names)


@either
def test_cuts_of_names_alone(way: ModuleType) -> None:
    names = [b"@" * 15, b"a@" * 15 + b".jpg"]
    place_ends, turn_ends, all_alike = way.cut(*laid_out(names, b"\n"), 15, 8, 3)
    assert (place_ends.tolist(), turn_ends.tolist(), all_alike) == ([8, 32], [13, 42], True)


@pytest.mark.parametrize("odd", [None, 0, 3, 49])
def test_rows_at_a_time_do_not_matter(monkeypatch: pytest.MonkeyPatch, odd: int | None) -> None:
    content, starts, ends = laid_out([b"a@" * (number % 18 if odd == number else 15) for number in range(50)], b"\n")
    place_ends, turn_ends, all_alike = plain.cut(content, starts, ends, 15, 8, 3)
    assert all_alike == (odd is None)
    for rows in (1, 2, 7, 49):
        monkeypatch.setattr(plain, "ROWS_AT_A_TIME", rows)
        again = plain.cut(content, starts, ends, 15, 8, 3)
        assert [each.tolist() for each in again[:2]] == [place_ends.tolist(), turn_ends.tolist()]
        assert again[2] == all_alike


@either
@given(LINES, st.sampled_from([b"", b"\n"]))
def test_numbers(way: ModuleType, texts: list[bytes], between: bytes) -> None:
    numbers, first = way.number(*laid_out(texts, between))
    distinct = list(dict.fromkeys(texts))
    assert numbers.tolist() == [distinct.index(text) for text in texts]
    assert first.tolist() == [texts.index(text) for text in distinct]


@either
@pytest.mark.parametrize("length", [1, 3, 8, 9, 16, 30])
def test_numbers_of_many_texts(way: ModuleType, length: int) -> None:
    """More than the first table has room for, of which many differ in a single letter."""
    texts = [b"%0*d" % (length, number % 5000) for number in range(20_000)]
    numbers, first = way.number(*laid_out(texts))
    distinct = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    assert numbers.tolist() == [distinct[text] for text in texts]
    assert len(first) == len(distinct)


@either
@given(LINES, st.sampled_from([b"", b"\n"]), st.data())
def test_gathered(way: ModuleType, texts: list[bytes], between: bytes, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=60)) if texts else []
    content, offsets = way.gather(*laid_out(texts, between), np.array(rows, np.int64))
    found = [content[begin:end].tobytes() for begin, end in itertools.pairwise(offsets)]
    assert found == [texts[row] for row in rows]
    assert len(content) == offsets[-1]


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="there is no C compiler")
def test_where_there_is_a_compiler_compiled_code_is_taken() -> None:
    """Whatever hinders it is no error when the project is installed."""
    assert bytewise.IS_COMPILED, "install the project again, and look at what pip -v says"
    assert all(getattr(bytewise, name) is getattr(compiled, name) for name in KERNELS)


@compiled_only
@pytest.mark.parametrize("version", [None, plain.VERSION - 1])
def test_what_was_compiled_of_another_version_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, version: int | None
) -> None:
    if version is None:
        monkeypatch.delattr(compiled, "VERSION")
    else:
        monkeypatch.setattr(compiled, "VERSION", version)
    assert bytewise._choose() is plain


def test_where_nothing_is_compiled_libraries_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.compiled", None)
    assert bytewise._choose() is plain


def test_it_is_said_if_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for is_compiled, texts in ((True, []), (False, ["no compiled code is used"])):
        monkeypatch.setattr(bytewise, "IS_COMPILED", is_compiled)
        caplog.clear()
        bytewise.say_if_slow(logging.getLogger("test"))
        assert [message.split(",")[0] for message in caplog.messages] == texts


@compiled_only
def test_a_manifest_and_groups_are_the_same_bytes_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name_with: Callable[..., str]
) -> None:
    names = [f"{number % 3}/{name_with(pano_id=number // 12, heading=number * 30 % 360)}" for number in range(600)]
    (tmp_path / "train_images_paths.txt").write_text("\n".join([*names, "x/odd.jpg", names[7], "./" + names[9]]))
    made = {}
    for way in (compiled, plain):
        for name in KERNELS:
            monkeypatch.setattr(bytewise, name, getattr(way, name))
        artifacts = tmp_path / way.__name__
        build_groups(build_manifest(tmp_path / "train", artifacts), artifacts, GroupSettings(min_images_per_class=1))
        tables = sorted(artifacts.glob("*/*/*/*/*.parquet"))
        made[way] = {file.relative_to(artifacts): file.read_bytes() for file in tables}
    assert made[compiled] == made[plain]
    assert {path.parts[-2] for path in made[plain]} >= {"manifest", "rejects", "classes", "members"}
