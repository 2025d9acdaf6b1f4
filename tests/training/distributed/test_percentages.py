import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from training.distributed.percentages import HERE, PORT, hearing_percentages, teller_of_percentages

CHILD = """
from training.distributed.percentages import teller_of_percentages
tell = teller_of_percentages()
for percentage in range(101):
    tell(percentage)
"""


def test_what_a_started_process_tells_is_heard_in_order_and_to_the_end() -> None:
    heard: list[int] = []
    with hearing_percentages(heard.append):
        subprocess.run([sys.executable, "-c", CHILD], cwd=Path(__file__).parents[3], check=True)
    assert heard == list(range(101))
    assert PORT not in os.environ


def test_who_is_not_listened_to_has_nothing_to_tell() -> None:
    with hearing_percentages(None):
        assert teller_of_percentages() is None


def test_strangers_and_the_end_of_listening_hurt_nobody() -> None:
    heard: list[int] = []
    with hearing_percentages(heard.append):
        tell, port = teller_of_percentages(), int(os.environ[PORT])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"hello", (HERE, port))
        assert tell is not None
        tell(7)
    assert heard == [7]
    for _ in range(3):
        tell(8)


def test_listening_is_over_when_what_is_listened_to_fails() -> None:
    with pytest.raises(RuntimeError, match="failed"), hearing_percentages(lambda percentage: None):
        raise RuntimeError("failed")
    assert PORT not in os.environ
