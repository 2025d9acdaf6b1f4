import errno
import logging
import sys
import traceback
from collections.abc import Iterator

import pytest

from data_manifest.console import LOGGERS, LUIGI_LOGGER, ShowUserErrors, configure_logging, mistake_in
from data_manifest.errors import UserError


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
    assert mistake_in(record(error=error)) == expected


def test_a_mistake_in_the_text_of_a_traceback() -> None:
    text = "Will not run X or any dependencies:\n" + traceback_of(
        UserError("train: there is no such folder\nsecond line")
    )
    assert mistake_in(record(text)) == "train: there is no such folder\nsecond line"
    assert mistake_in(record(traceback_of(KeyError("a bug of ours")))) is None
    assert mistake_in(record("about data_manifest.errors.UserError: in the middle of a line")) is None


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
    logging.getLogger("pipeline.groups").info("group %d: %s classes", 3, "1,204")
    logging.getLogger("pipeline.groups").debug("details")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("group 3: 1,204 classes") == 1
    assert "details" not in shown.err
    assert len(logging.getLogger(LUIGI_LOGGER).filters) == 1
    assert sys.stderr is not None
