import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.distributed.launch import FILE_VARIABLE, receiving_percentages, send_percentage

CHILD = "from training.distributed.launch import send_percentage; send_percentage(7); send_percentage(100)"


def test_receives_the_last_percentage_of_a_child_process() -> None:
    received: list[int] = []
    with receiving_percentages(received.append):
        subprocess.run([sys.executable, "-c", CHILD], cwd=Path(__file__).parents[3], check=True)
    assert received[-1] == 100
    assert FILE_VARIABLE not in os.environ


def test_nothing_is_sent_without_a_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send_percentage(7)
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "gone" / "percentage"))
    send_percentage(8)
    assert list(tmp_path.iterdir()) == []


def test_receiving_ends_when_the_context_raises() -> None:
    received: list[int] = []
    with pytest.raises(RuntimeError, match="failed"), receiving_percentages(received.append):
        raise RuntimeError("failed")
    assert FILE_VARIABLE not in os.environ
    assert received == []
