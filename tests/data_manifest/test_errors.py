import errno
from pathlib import Path

import pytest

from data_manifest.errors import UserError, writing_in

FULL = "the disk of A is full ({}): nothing was published; free some space, or choose --artifacts-folder, and run again"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "Error writing bytes to file"), FULL.format("No space left on device")),
        (OSError(errno.ENOSPC, "x (on far.away)"), FULL.format("No space left on device (on far.away)")),
        (OSError(errno.EDQUOT, "x"), FULL.format("Disk quota exceeded")),
        (OSError(errno.EROFS, "x"), "cannot write A: Read-only file system; choose --artifacts-folder"),
        (PermissionError(errno.EACCES, "x", "A/b"), "cannot write A/b: Permission denied; choose --artifacts-folder"),
        (
            PermissionError(errno.EPERM, "x", "A/b", None, "A/c"),
            "cannot write A/c: Operation not permitted; choose --artifacts-folder",
        ),
    ],
)
def test_what_a_disk_refuses_is_told(error: OSError, message: str) -> None:
    with pytest.raises(UserError) as told, writing_in(Path("A")):
        raise error
    assert str(told.value) == message
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", [OSError(errno.EIO, "x"), OSError("x"), FileNotFoundError(2, "x"), UserError("x")])
def test_other_errors_are_left_alone(error: Exception) -> None:
    with pytest.raises(type(error)) as told, writing_in(Path("A")):
        raise error
    assert told.value is error
