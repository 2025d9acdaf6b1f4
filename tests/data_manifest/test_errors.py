import errno
from pathlib import Path

import pytest

from data_manifest.errors import UserError, is_io_error, writing_in

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


def test_the_folder_that_a_user_has_chosen_is_named_with_its_option() -> None:
    with pytest.raises(UserError, match="or choose --crops"), writing_in(Path("A"), "--crops"):
        raise OSError(errno.ENOSPC, "x")
    with pytest.raises(UserError, match="Too many open files: raise the limit"), writing_in(Path("A")):
        raise OSError(errno.EMFILE, "x")


def test_what_is_wrong_with_a_file_and_what_with_the_machine(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for odd in (tmp_path / "gone", tmp_path, tmp_path / "file" / "below"):
        with pytest.raises((FileNotFoundError, IsADirectoryError, NotADirectoryError)) as error:
            odd.open("rb")
        assert not is_io_error(error.value)
    assert not is_io_error(OSError("image file is truncated"))
    assert all(map(is_io_error, (OSError(each, "x") for each in (errno.EMFILE, errno.EIO, errno.EACCES))))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "x"), OSError("x"), FileNotFoundError(2, "x"), UserError("x")])
def test_other_errors_are_left_alone(error: Exception) -> None:
    with pytest.raises(type(error)) as told, writing_in(Path("A")):
        raise error
    assert told.value is error
