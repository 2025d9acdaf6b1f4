import errno
import logging
import multiprocessing
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from torch._utils import ExceptionWrapper

from data_manifest.console import (
    LOGGERS,
    LUIGI_LOGGER,
    ShowUserErrors,
    as_ranges,
    configure_logging,
    find_user_error,
    show_user_errors,
)
from data_manifest.errors import StoreError, UserError

ROOT = Path(__file__).resolve().parents[2]


def record(
    message: str = "failed", error: BaseException | None = None, level: int = logging.WARNING
) -> logging.LogRecord:
    trace = (type(error), error, None) if error is not None else None
    return logging.LogRecord("luigi-interface", level, "file.py", 1, message, (), trace)


def traceback_of(error: Exception) -> str:
    try:
        raise error
    except Exception:
        return traceback.format_exc()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UserError("M = 0: too small"), "M = 0: too small"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "[Errno 28] No space left on device: '/a/b'"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "[Errno 13] Permission denied: '/a'"),
        (OSError(errno.EROFS, "Read-only file system", "/a"), "[Errno 30] Read-only file system: '/a'"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/a"), None),
        (KeyError("a bug of ours"), None),
    ],
)
def test_a_users_mistake_is_told_from_a_bug(error: Exception, expected: str | None) -> None:
    assert find_user_error(record(error=error)) == expected


def test_an_error_of_a_store_in_the_text_of_a_traceback() -> None:
    try:
        raise StoreError("s3://b: no answer") from ValueError("Debug source:\n\nGeneric {}")
    except StoreError:
        text = traceback.format_exc()
    assert find_user_error(record(text)) == "s3://b: no answer"


def test_a_mistake_in_the_text_of_a_traceback() -> None:
    text = "Will not run X or any dependencies:\n" + traceback_of(UserError("train: no such folder\nsecond line"))
    assert find_user_error(record(text)) == "train: no such folder\nsecond line"
    assert find_user_error(record(traceback_of(KeyError("a bug of ours")))) is None
    assert find_user_error(record("about data_manifest.errors.UserError: in the middle of a line")) is None


def chained(*errors: Exception, explicit: bool = True) -> str:
    """Return the traceback of errors that are each raised because of the one before, or while it was handled."""

    def raise_last(chain: tuple[Exception, ...]) -> None:
        *before, last = chain
        if not before:
            raise last
        try:
            raise_last(tuple(before))
        except Exception as error:
            if explicit:
                raise last from error
            raise last  # noqa: B904 -- that is the case to test

    try:
        raise_last(errors)
    except Exception:
        return traceback.format_exc()
    raise AssertionError("nothing was raised")


LUIGI = "Will not run BuildGroups(M=10.0) or any dependencies due to error in complete() method:\n"


def wrapper() -> ValueError:
    """Return what Luigi raises from an error in a parameter's value."""
    return ValueError("BuildGroups[args=(), kwargs={}]: Error when parsing the default value of 'M'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            chained(UserError("a.csv: no such file"), UserError("table = a.csv: no such file")),
            "table = a.csv: no such file",
        ),
        (chained(UserError("first"), UserError("second"), explicit=False), "second"),
        (
            chained(KeyError("k"), UserError("no column k\n\nColumns: a, b"), explicit=False),
            "no column k\n\nColumns: a, b",
        ),
        (chained(UserError("first"), UserError("line 1\nline 2"), UserError("last\nof three")), "last\nof three"),
        (chained(UserError("M = 'x': expected a number"), wrapper()), "M = 'x': expected a number"),
        (chained(ValueError("one"), UserError("two"), wrapper()), "two"),
        (chained(PermissionError(errno.EACCES, "Permission denied", "/a")), "[Errno 13] Permission denied: '/a'"),
        (chained(FileNotFoundError(errno.ENOENT, "No such file", "/a")), None),
        (chained(UserError("a mistake"), KeyError("and a bug"), explicit=False), None),
        (chained(KeyError("a bug"), KeyError("another")), None),
        (chained(UserError("a mistake"), KeyError("a bug"), wrapper(), explicit=False), None),
    ],
)
def test_of_a_chain_of_errors_the_last_one_counts(text: str, expected: str | None) -> None:
    assert find_user_error(record(text)) == expected
    assert find_user_error(record(LUIGI + text)) == expected


def error_of(raise_it: Callable[[], object]) -> Exception:
    try:
        raise_it()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def make_a_mistake() -> None:
    try:
        raise KeyError("k")
    except KeyError as error:
        raise UserError("no column k\nin a.csv") from error


def have_a_bug() -> None:
    try:
        make_a_mistake()
    except UserError:
        raise KeyError("a bug")  # noqa: B904 -- that is the case to test


@pytest.fixture(scope="module")
def from_a_process() -> list[Exception]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [error_of(pool.submit(work).result) for work in (make_a_mistake, have_a_bug)]


def test_an_error_that_comes_from_another_process(from_a_process: list[Exception]) -> None:
    mistake, bug = from_a_process
    for expected, error in (("no column k\nin a.csv", mistake), (None, bug)):
        assert find_user_error(record(error=error)) == expected
        assert find_user_error(record("".join(traceback.format_exception(error)))) == expected


def test_a_bug_that_comes_up_while_a_mistake_is_handled_stays_a_bug() -> None:
    assert find_user_error(record(error=error_of(have_a_bug))) is None


@pytest.mark.parametrize("work", [make_a_mistake, lambda: (_ for _ in ()).throw(UserError("no column k\nin a.csv"))])
def test_an_error_in_a_worker_of_a_loader(work: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> None:
    wrapped = ExceptionWrapper(  # type: ignore[no-untyped-call]
        (lambda error: (type(error), error, error.__traceback__))(error_of(work)), "in DataLoader worker process 0"
    )
    error = error_of(wrapped.reraise)
    assert find_user_error(record(error=error)) == "no column k\nin a.csv"
    assert find_user_error(record("".join(traceback.format_exception(error)))) == "no column k\nin a.csv"
    show_user_errors(sys.__excepthook__)(type(error), error, None)
    assert capsys.readouterr().err == "ERROR: no column k\nin a.csv\n"


def test_a_mistake_is_shown_once_and_without_its_traceback() -> None:
    shown = ShowUserErrors()
    first, again, other = (record(error=UserError(text)) for text in ("M = 0", "M = 0", "N = 0"))
    assert [shown.filter(each) for each in (first, again, other)] == [True, False, True]
    assert first.getMessage() == "M = 0"
    assert first.exc_info is None
    assert (first.levelno, first.levelname) == (logging.ERROR, "ERROR")


def test_a_percent_sign_in_a_mistake_is_no_trouble() -> None:
    shown = record("[pid %s] failed", error=UserError("100% of the images"))
    shown.args = (123,)
    assert ShowUserErrors().filter(shown)
    assert shown.getMessage() == "100% of the images"


def test_other_records_stay_as_they_are() -> None:
    shown, bug = ShowUserErrors(), record("task failed", KeyError("a bug of ours"))
    assert shown.filter(bug)
    assert shown.filter(bug)
    assert bug.getMessage() == "task failed"
    assert bug.exc_info is not None


@pytest.fixture
def _loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (*LOGGERS, LUIGI_LOGGER)]
    before = [(each.level, each.handlers[:], each.filters[:]) for each in loggers]
    for each in loggers:
        each.handlers, each.filters = [], []
    yield
    for each, (level, handlers, filters) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.handlers, each.filters = handlers, filters


@pytest.mark.usefixtures("_loggers_as_before")
def test_log_lines_go_to_standard_error_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    configure_logging()
    logging.getLogger("pipeline.groups.build_groups").info("group %d: %s classes", 3, "1,204")
    logging.getLogger("pipeline.groups.build_groups").debug("details")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("group 3: 1,204 classes") == 1
    assert "details" not in shown.err
    assert len(logging.getLogger(LUIGI_LOGGER).filters) == 1
    assert sys.stderr is not None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_output_that_the_encoding_lacks_is_escaped(encoding: str) -> None:
    code = "import data_manifest.console as c; c.configure_logging(); print('made \u6771\u4eac-train \u00b1 1')"
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True)
    plus_minus = "\\xb1" if encoding == "ascii" else "\u00b1"
    assert done.stdout.decode(encoding) == f"made \\u6771\\u4eac-train {plus_minus} 1\n"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([2, 0, 1], "0-2"),
        ([5, 0, 1, 9, 8, 5], "0-1, 5, 8-9"),
        (range(50), "0-49"),
    ],
)
def test_numbers_as_people_write_them(numbers: list[int], text: str) -> None:
    assert as_ranges(numbers) == text
