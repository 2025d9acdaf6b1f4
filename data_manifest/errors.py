"""The exception for errors that a user can fix, and system errors turned into it."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

# Errors about the file itself: missing, not a file, or damaged so that a decoder seeks out of range; decoders raise
# OSErrors without a number. All others are about the disk, permissions or limits.
ABOUT_THE_FILE = (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EINVAL, errno.EOVERFLOW)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_ON_HOST = re.compile(r" \(on [^()]+\)$")  # added by the workers of a cluster


class UserError(ValueError):
    """An error that the user can fix: its message says what is wrong, where, and what to change.

    Command lines print only the message and exit with a non-zero status. torch.hub users can catch it as ValueError.
    """


class StoreError(UserError):
    """Images cannot be read from a bucket or web server now; it says nothing about an image."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error of another library, without a full stop; its type if it has no message."""
    return (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")


def is_io_error(error: OSError) -> bool:
    """Return whether reading a file failed because of the machine, not because of the file's content."""
    return error.errno not in ABOUT_THE_FILE


def io_error(path: Path | str, error: OSError) -> UserError:
    """Return the error for a file that cannot be read because of the machine."""
    reason = error.strerror or str(error)
    what = "Raise the limit (ulimit -n)" if error.errno in TOO_MANY_FILES else "Check the disk and the permissions"
    return UserError(f"Cannot read {path}: {reason}. {what}, then run again.")


def check_output(path: Path, option: str = "--output") -> None:
    """Raise UserError unless a path, which an option sets, can be that of a file."""
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{option} {path}: not a file in an existing folder")


@contextlib.contextmanager
def writing_in(folder: Path, option: str = "--artifacts-folder") -> Iterator[None]:
    """Turn a full disk or missing write permission, in a folder that an option sets, into a UserError."""
    try:
        yield
    except OSError as error:
        on_host = _ON_HOST.search(error.strerror or "")
        reason = os.strerror(error.errno or 0) + (on_host[0] if on_host else "")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"the disk of {folder} is full ({reason}): nothing was published"
            raise UserError(f"{reason}; free some space, or choose {option}, and run again") from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            place = error.filename2 or error.filename or folder
            raise UserError(f"cannot write {place}: {reason}; choose {option}") from error
        if error.errno in TOO_MANY_FILES:
            raise UserError(f"{reason}: raise the limit (ulimit -n), and run again") from error
        raise
