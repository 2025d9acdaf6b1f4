"""Console output: log lines, user errors as one message without a traceback, numbers as text."""

import builtins
import errno
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from types import TracebackType

from data_manifest.errors import StoreError, UserError

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]
LOGGERS = ("data_manifest", "pipeline", "training", "evaluation", "methods", "serve", "luigi_tasks")
LUIGI_LOGGER = "luigi-interface"
SYSTEM_LIMITS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)  # fixed outside the program
# Between two errors of a chain in Python's tracebacks.
_CAUSED = re.compile(r"\n\nThe above exception was the direct cause of the following exception:\n\n(?=Traceback )")
_HANDLED = re.compile(r"\n\nDuring handling of the above exception, another exception occurred:\n\n(?=Traceback )")
# PyTorch puts the "Original Traceback" of a loader's worker into the message.
_TRACEBACK = re.compile(
    r"^(?:Original )?Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(?P<kind>[\w.]+): (?P<message>[\s\S]*)",
    re.MULTILINE,
)
_FROM_LOADER = re.compile(r"Caught \w+ in .*\nOriginal Traceback ")
STOPPED = "stopped by Ctrl-C; finished work is kept"
_ERRNO = re.compile(r"\[Errno (\d+)\]")


def escape_unprintable() -> None:
    """Print characters that the terminal's encoding lacks as escapes such as \\u663c, instead of raising an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def configure_logging() -> None:
    """Log this project's lines to standard error, and reduce the user errors that Luigi logs to their message."""
    escape_unprintable()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not logger.handlers:
            logger.addHandler(handler)
    luigi_logger = logging.getLogger(LUIGI_LOGGER)
    if not any(isinstance(each, ShowUserErrors) for each in luigi_logger.filters):
        luigi_logger.addFilter(ShowUserErrors())


def exit_status_of(run: Callable[[], int | None]) -> int:
    """Run a command and return its exit status; user errors, Ctrl-C and a closed pipe end it without a traceback."""
    configure_logging()
    try:
        status = run() or 0
        sys.stdout.flush()
    except UserError as error:
        print(f"ERROR: {_message(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(str(stop) or STOPPED, file=sys.stderr)
        return 130
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's flush at exit
        return 0
    return status


def show_user_errors(show_others: ExceptHook, *kinds: type[BaseException]) -> ExceptHook:
    """Return an excepthook that prints user errors, these kinds of errors, and Ctrl-C without a traceback."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, (UserError, *kinds)):
            print(f"ERROR: {_message(str(error))}", file=sys.stderr)
        elif issubclass(kind, KeyboardInterrupt):
            print(str(error) or STOPPED, file=sys.stderr)
        else:
            show_others(kind, error, trace)

    return show


class ShowUserErrors(logging.Filter):
    """Reduces the record of a user error to its message, and drops repeated messages."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show the record; one about a user error is changed."""
        message = find_user_error(record)
        if message is None:
            return True
        record.msg, record.args, record.exc_info, record.exc_text = message, (), None, None
        record.levelno, record.levelname = logging.ERROR, "ERROR"  # Luigi only warns of errors before a task runs
        is_new = message not in self._shown
        self._shown.add(message)
        return is_new


def find_user_error(record: logging.LogRecord) -> str | None:
    """Return the message of the user error in a log record, or None if there is none.

    The last error of a chain counts, and its explicit causes. An error raised while a user error was handled is a bug.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return _find_in_text(record.getMessage())
    while error is not None:  # Luigi wraps errors in the default of a parameter
        if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in SYSTEM_LIMITS):
            return _message(str(error))
        error = error.__cause__
    return None


def _message(text: str) -> str:
    """Return an error's text without the traceback that PyTorch adds to errors of loader workers."""
    return (_FROM_LOADER.match(text) and _find_in_text(text)) or text


def _find_in_text(text: str) -> str | None:
    """Return the message of the user error at the end of a formatted traceback, which Luigi logs for some."""
    for part in reversed(_CAUSED.split(_HANDLED.split(text)[-1])):
        found = _TRACEBACK.search(part)
        if found and _is_user_error(found["kind"], found["message"]):
            return _message(found["message"].strip())
    return None


def _is_user_error(kind: str, message: str) -> bool:
    """Return whether an error, given by class name and message, is a user error or a limit of the system."""
    errno_given = _ERRNO.match(message)
    if errno_given and issubclass(getattr(builtins, kind, Exception), OSError):
        return int(errno_given[1]) in SYSTEM_LIMITS
    return kind in {f"{each.__module__}.{each.__qualname__}" for each in (UserError, StoreError)}


def as_ranges(numbers: Iterable[int]) -> str:
    """Return distinct numbers, sorted, as text such as 0-5, 7, 12-14."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    return ", ".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else str(each[0]) for each in ranges)
