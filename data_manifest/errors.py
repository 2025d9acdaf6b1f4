"""The one exception for mistakes that a user can mend, and what a disk refuses as one of them."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ON_HOST = re.compile(r" \(on [^()]+\)$")  # which machine of a cluster it was, as its worker ends the message


class UserError(Exception):
    """A mistake that the user can mend: its message says what was found, where, and what to change.

    Command lines show the message alone, without a traceback, and exit with a non-zero status.
    """


@contextlib.contextmanager
def writing_in(artifacts: Path) -> Iterator[None]:
    """Tell a full disk, or a place that must not be written, as a user's mistake: the system's message may name none.

    Raises:
        UserError: What was done in this context could not be written.
    """
    try:
        yield
    except OSError as error:
        on_host = _ON_HOST.search(error.strerror or "")
        reason = os.strerror(error.errno or 0) + (on_host[0] if on_host else "")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"the disk of {artifacts} is full ({reason}): nothing was published"
            raise UserError(f"{reason}; free some space, or choose --artifacts-folder, and run again") from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            place = error.filename2 or error.filename or artifacts
            raise UserError(f"cannot write {place}: {reason}; choose --artifacts-folder") from error
        raise
