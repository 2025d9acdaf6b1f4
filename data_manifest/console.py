"""What a command line shows: log lines, and a user's mistake as one message without a traceback."""

import errno
import logging
import re
import sys
from collections.abc import Callable
from types import TracebackType

from data_manifest.errors import UserError

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]
LOGGERS = ("data_manifest", "pipeline", "training", "evaluation")
LUIGI_LOGGER = "luigi-interface"
SYSTEM_LIMITS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)  # mended outside the program
# Luigi logs what its schedulers caught as a traceback in text; the message is what follows the error's name.
_ERROR_IN_TEXT = re.compile(rf"^{UserError.__module__}\.{UserError.__name__}: (.*)", re.DOTALL | re.MULTILINE)


def configure_logging() -> None:
    """Show the log lines of this project on standard error, and users' mistakes that Luigi logs as plain messages."""
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
            print(f"ERROR: {error}", file=sys.stderr)
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
    """Return the message for the user that a log record has in it, or None if it is about something else."""
    error = record.exc_info[1] if record.exc_info else None
    while error is not None:  # Luigi wraps an error in a parameter's default in one of its own
        if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in SYSTEM_LIMITS):
            return str(error)
        error = error.__cause__ or error.__context__
    in_text = _ERROR_IN_TEXT.search(record.getMessage())
    return in_text[1].strip() if in_text else None
