"""Two processes never work in one run folder, and a dead one does not keep others out."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.store.run_folders import only_writer

HOLD = """
import sys, time
from pathlib import Path
from data_manifest.store.run_folders import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], cwd=root, env={"PYTHONPATH": root}, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"in use by process {holder.pid}"), only_writer(tmp_path / "run"):
            pass
        holder.kill()
    with only_writer(tmp_path / "run"):
        pass
    with only_writer(tmp_path / "run"):
        pass


def test_a_file_system_without_locks_is_warned_of_and_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    worked = []
    with only_writer(tmp_path / "run"):
        worked.append(True)
    assert worked
    assert "files cannot be locked there (No locks available). Make sure that no other process" in caplog.text
