import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from training.distributed.launch import LOCALHOST, PORT_VARIABLE, receiving_percentages, send_percentage

CHILD = """
from training.distributed.launch import send_percentage
for percentage in range(101):
    send_percentage(percentage)
"""


def test_percentages_of_a_child_process_arrive_in_order_and_complete() -> None:
    received: list[int] = []
    with receiving_percentages(received.append):
        subprocess.run([sys.executable, "-c", CHILD], cwd=Path(__file__).parents[3], check=True)
    assert received == list(range(101))
    assert PORT_VARIABLE not in os.environ


def test_nothing_is_sent_without_a_receiver() -> None:
    with receiving_percentages(None):
        assert PORT_VARIABLE not in os.environ
        send_percentage(7)


def test_messages_of_other_programs_and_a_closed_port_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[int] = []
    with receiving_percentages(received.append):
        port = os.environ[PORT_VARIABLE]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"hello", (LOCALHOST, int(port)))
        send_percentage(7)
    assert received == [7]
    monkeypatch.setenv(PORT_VARIABLE, port)
    for _ in range(3):
        send_percentage(8)


def test_receiving_ends_when_the_context_raises() -> None:
    with pytest.raises(RuntimeError, match="failed"), receiving_percentages(lambda percentage: None):
        raise RuntimeError("failed")
    assert PORT_VARIABLE not in os.environ
