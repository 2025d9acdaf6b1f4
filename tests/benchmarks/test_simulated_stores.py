"""The simulated disk and web server of the benchmark of slow stores keep to their models."""

import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.simulated.arm import Access, Arm
from benchmarks.simulated.web_server import RATE, bytes_sent, running
from tests.helpers import ROOT

FILE, FILES = 70_000, 10_000
READ_FROM_DISK = """
import os, pathlib, sys
from simulated import disk
root = pathlib.Path(sys.argv[1])
if __name__ == "__main__":
    with disk.mounted(root / "disk"):
        (root / "disk/one/image.jpg").read_bytes()
        print(disk.request({}))
        descriptor = os.open(root / "disk/one/pack.tar", os.O_RDONLY)
        print(len(os.pread(descriptor, 500, 100)), disk.request({}))
        (root / "other/image.jpg").read_bytes()
        print(disk.request({}))
"""


def access(number: int, is_inode: bool = False) -> Access:
    """Return the read of a file, or of its inode."""
    begin = number * FILE
    return Access(begin, begin if is_inode else begin + FILE, FILES * FILE, is_inode)


def seconds_per_read(numbers: list[int], waiting: int) -> float:
    """Return the mean time of reads by clients that each ask for the next file when they have one."""
    arm, queue, left, done = Arm(), [(access(number), 0.0) for number in numbers[:waiting]], numbers[waiting:], 0.0
    while queue:
        served, done = arm.serve(queue)
        queue.pop(served)
        if left:
            queue.append((access(left.pop(0)), done))
    return done / len(numbers)


def test_random_reads_take_a_seek_and_half_a_turn() -> None:
    numbers = random.Random(0).sample(range(FILES), 3_000)
    transfer = FILE / 150e6
    assert seconds_per_read(numbers, 1) == pytest.approx(0.008 + 0.5 / 120 + transfer, rel=0.03)
    assert seconds_per_read(numbers, 32) < seconds_per_read(numbers, 4) < seconds_per_read(numbers, 1)


def test_sorted_reads_are_faster_and_consecutive_ones_take_only_the_transfer() -> None:
    numbers = random.Random(0).sample(range(FILES), 1_000)
    assert seconds_per_read(sorted(numbers), 1) < 0.55 * seconds_per_read(numbers, 1)
    arm = Arm()
    _, first = arm.serve([(access(7), 0.0)])
    _, second = arm.serve([(access(8), first)])
    assert second - first == pytest.approx(FILE / 150e6)


def test_content_after_its_inode_is_a_short_seek() -> None:
    arm = Arm()
    _, inode = arm.serve([(access(5_000, is_inode=True), 0.0)])
    _, content = arm.serve([(access(5_000), inode)])
    assert 0.001 <= content - inode - FILE / 150e6 <= 0.001 + 1 / 120


def test_only_files_below_the_mount_point_are_on_the_disk(tmp_path: Path) -> None:
    for path, size in (("disk/one/image.jpg", 3_000), ("disk/one/pack.tar", 1_000), ("other/image.jpg", 3_000)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(bytes(size))
    script = tmp_path / "script.py"
    script.write_text(READ_FROM_DISK)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    words = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3000", "500", "3500", "3500"], done.stderr


def test_web_server_sends_files_and_parts_no_faster_than_its_bandwidth(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(300_000)
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "é.jpg").write_bytes(content)

    def get(url: str, **headers: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return bytes(answer.read())

    with running(tmp_path) as server:
        url = f"{server}/a%20b/%C3%A9.jpg"
        began = time.monotonic()
        with ThreadPoolExecutor(10) as threads:
            assert list(threads.map(get, [url] * 10)) == [content] * 10
        assert time.monotonic() - began > 10 * len(content) / RATE
        assert bytes_sent(server) == 10 * len(content)
        assert get(url, Range="bytes=100-199") == content[100:200]
        assert get(url, Range="bytes=299990-") == get(url, Range="bytes=-10") == content[-10:]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{server}/none.jpg")
