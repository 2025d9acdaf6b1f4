"""What a command line shows: log lines, and a user's mistake as one message without a traceback."""

import builtins
import errno
import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from types import TracebackType

from data_manifest.errors import UserError

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]
LOGGERS = ("data_manifest", "pipeline", "training", "evaluation", "luigi_tasks")
LUIGI_LOGGER = "luigi-interface"
SYSTEM_LIMITS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)  # mended outside the program
# Lines between two errors of a chain in Python's tracebacks. Group 1: the first error is named as the cause.
_BETWEEN_ERRORS = re.compile(
    r"\n\n(?:(The above exception was the direct cause of the following exception)"
    r"|During handling of the above exception, another exception occurred):\n\n(?=Traceback )"
)
# PyTorch puts the "Original Traceback" of a loader's worker into the message.
_TRACEBACK = re.compile(
    r"^(?:Original )?Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(?P<kind>[\w.]+): (?P<message>[\s\S]*)",
    re.MULTILINE,
)
_FROM_LOADER = re.compile(r"Caught \w+ in .*\nOriginal Traceback ")
_ERRNO = re.compile(r"\[Errno (\d+)\]")


def escape_unprintable() -> None:
    """Write characters that the terminal's encoding lacks as escapes, as in \\u663c, instead of raising an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def configure_logging() -> None:
    """Show the log lines of this project on standard error, and users' mistakes that Luigi logs as plain messages."""
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


def show_mistake(show_others: ExceptHook, *mistakes: type[BaseException]) -> ExceptHook:
    """Return an excepthook that shows users' mistakes, these others, and Ctrl-C as a message without a traceback."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, (UserError, *mistakes)):
            print(f"ERROR: {message_of(error)}", file=sys.stderr)
        elif issubclass(kind, KeyboardInterrupt):
            print(str(error) or "stopped: Ctrl-C; what is finished is kept", file=sys.stderr)
        else:
            show_others(kind, error, trace)

    return show


class ShowUserErrors(logging.Filter):
    """Reduces a record about a user's mistake to its message, and drops it where the message was just shown."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be shown; changes it if it is about a user's mistake."""
        message = mistake_in(record)
        if message is None:
            return True
        record.msg, record.args, record.exc_info, record.exc_text = message, (), None, None
        record.levelno, record.levelname = logging.ERROR, "ERROR"  # Luigi warns of what fails before a task runs
        is_new = message not in self._shown
        self._shown.add(message)
        return is_new


def mistake_in(record: logging.LogRecord) -> str | None:
    """Return the message for the user that a log record contains, or None if the record is about something else.

    The last error of a chain counts, and the causes that it names. An error raised while another was handled is a
    bug, even if the other was a user's mistake.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return _mistake_in_text(record.getMessage())
    while error is not None:  # Luigi wraps an error in a parameter's default in one of its own
        if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in SYSTEM_LIMITS):
            return message_of(error)
        error = error.__cause__
    return None


def message_of(error: BaseException) -> str:
    """Return an error's message, without the traceback that PyTorch adds if a loader's worker raised it."""
    return _without_loader(str(error))


def _without_loader(text: str) -> str:
    return (_FROM_LOADER.match(text) and _mistake_in_text(text)) or text


def _mistake_in_text(text: str) -> str | None:
    """Return the message of the user's mistake that a formatted traceback ends with, as Luigi logs some."""
    *before, last = _BETWEEN_ERRORS.split(text)
    while True:
        found = _TRACEBACK.search(last)
        if found is None:
            return None
        if _is_mistake(found["kind"], found["message"]):
            return _without_loader(found["message"].strip())
        if not before or before.pop() is None:
            return None
        last = before.pop()


def _is_mistake(kind: str, message: str) -> bool:
    """Return whether an error, by its class's name and its message, is a user's mistake or a limit of the system."""
    errno_given = _ERRNO.match(message)
    if errno_given and issubclass(getattr(builtins, kind, Exception), OSError):
        return int(errno_given[1]) in SYSTEM_LIMITS
    return kind in {f"{each.__module__}.{each.__qualname__}" for each in _with_subclasses(UserError)}


def _with_subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _with_subclasses(each)
