"""The one exception for mistakes that a user can mend, and what the system refuses as one of them."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

# What the system says of a file itself: there is none, it is no file, or a damaged one leads a decoder to nowhere. And
# decoders have OSErrors of their own, without a number. All others are about disk, rights or limits of the machine.
ABOUT_THE_FILE = (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EINVAL, errno.EOVERFLOW)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_ON_HOST = re.compile(r" \(on [^()]+\)$")  # which machine of a cluster it was, as its worker ends the message


class UserError(ValueError):
    """A mistake that the user can fix: its message says what is wrong, where, and what to change.

    Command lines show only the message, without a traceback, and exit with a non-zero status. It is a ValueError, which
    users of `torch.hub` can catch without importing this module.
    """


def is_of_the_machine(error: OSError) -> bool:
    """Return whether an error in reading a file is none of its content: then the file is not to be called damaged."""
    return error.errno not in ABOUT_THE_FILE


def refused(path: Path | str, error: OSError) -> UserError:
    """Return what to tell a user whose machine does not give a file, whatever is in it."""
    reason = error.strerror or str(error)
    what = "raise the limit (ulimit -n)" if error.errno in TOO_MANY_FILES else "see to the disk and to the rights"
    return UserError(f"{path} cannot be read: {reason}; {what}, and run again")


@contextlib.contextmanager
def writing_in(folder: Path, option: str = "--artifacts-folder") -> Iterator[None]:
    """Tell a full disk, or a place that must not be written, as a user's mistake: the system's message may name none.

    Args:
        folder: Where it is written.
        option: What a user chooses that folder by.

    Raises:
        UserError: What was done in this context could not be written.
    """
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
