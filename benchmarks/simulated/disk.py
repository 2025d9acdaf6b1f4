"""A slow disk, simulated by waiting: one process has the arm, and all others send it a request before each read.

Each folder in the mount point is a disk, whose files are stored in the order in which they were written. Opening a file
takes two accesses, to its inode and its data; a read at an offset of an open file takes one. Nothing is cached, as if
the data were larger than the memory.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from simulated.arm import Access, Arm

MOUNT_POINT = "SIMULATED_DISK"  # an environment variable, so that the workers of any library have it
_connections = threading.local()
_plain_pread = os.pread


def _root() -> str:
    return os.environ[MOUNT_POINT]


def _socket() -> Path:
    return Path(f"{_root()}.socket")


def install() -> None:
    """Make this process wait for the disk whenever it reads below the mount point."""
    sys.addaudithook(_on_event)
    os.pread = _pread


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    """Wait for a file that is opened with `open`, which reads it as a whole."""
    if event == "open" and isinstance(arguments[0], str) and arguments[1] in ("r", "rb"):
        _wait(arguments[0], 0, None)


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    _wait(str(Path(f"/proc/self/fd/{descriptor}").readlink()), offset, size)
    return _plain_pread(descriptor, size, offset)


def _wait(path: str, offset: int, size: int | None) -> None:
    if path.startswith(f"{_root()}/"):
        request({"path": path, "offset": offset, "size": size})


def request(question: dict[str, Any]) -> Any:
    """Return the answer of the disk's process, which comes when the simulated read ends."""
    if getattr(_connections, "process", None) != os.getpid():
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(_socket()))
        _connections.process, _connections.file = os.getpid(), connection.makefile("rw")
    _connections.file.write(json.dumps(question) + "\n")
    _connections.file.flush()
    return json.loads(_connections.file.readline())


class Disk:
    """The process with the arm: it answers one request at a time, each when it would be done."""

    def __init__(self) -> None:
        self.arm, self.bytes_read = Arm(), 0
        self.waiting: list[tuple[Access, float]] = []  # with the time at which it came
        self.served: list[asyncio.Future[None]] = []  # in the same order
        self.has_work = asyncio.Event()
        self.layouts: dict[str, dict[str, Access]] = {}

    async def move(self) -> None:
        """Serve the waiting requests, forever."""
        while await self.has_work.wait():
            number, done = self.arm.serve(self.waiting)
            (access, _), served = self.waiting.pop(number), self.served.pop(number)
            await asyncio.to_thread(time.sleep, max(0.0, done - time.monotonic()))  # asyncio's sleep may take 1 ms more
            self.bytes_read += access.end - access.begin
            served.set_result(None)
            if not self.waiting:
                self.has_work.clear()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one process's requests."""
        while line := await reader.readline():
            question = json.loads(line)
            if "path" in question:
                await self.read(question["path"], question["offset"], question["size"])
            writer.write(json.dumps(self.bytes_read).encode() + b"\n")
        writer.close()

    async def read(self, path: str, offset: int, size: int | None) -> None:
        """Wait until the disk has read a part of a file, or its inode and the whole file."""
        file = self.find(path)
        if file is None:  # such as a file that is being written
            return
        if size is None:
            await self.access(Access(file.begin, file.begin, file.disk_bytes, is_inode=True))
            size = file.end
        begin = min(file.begin + offset, file.end)
        await self.access(Access(begin, min(begin + size, file.end), file.disk_bytes))

    async def access(self, access: Access) -> None:
        """Wait until the arm has served a request."""
        served = asyncio.get_running_loop().create_future()
        self.waiting.append((access, time.monotonic()))
        self.served.append(served)
        self.has_work.set()
        await served

    def find(self, path: str) -> Access | None:
        """Return where a file is on its disk."""
        disk = path.removeprefix(f"{_root()}/").partition("/")[0]
        if path not in self.layouts.get(disk, ()):
            self.layouts[disk] = layout(Path(_root(), disk))
        return self.layouts[disk].get(path)


def layout(disk: Path) -> dict[str, Access]:
    """Return the place of each file on a disk, in the order in which the files were written."""
    states = {str(path): path.stat() for path in disk.rglob("*") if path.is_file()}
    begins, total = {}, 0
    for path in sorted(states, key=lambda path: (states[path].st_mtime_ns, states[path].st_ino)):
        begins[path], total = total, total + states[path].st_size
    return {path: Access(begin, begin + states[path].st_size, total) for path, begin in begins.items()}


async def _serve() -> None:
    disk = Disk()
    async with await asyncio.start_unix_server(disk.answer, _socket()):
        await disk.move()


def run() -> None:
    """Be the process with the arm, until it is terminated."""
    with contextlib.suppress(PermissionError):
        os.nice(-20)  # a disk does not wait for a core
    asyncio.run(_serve())


@contextlib.contextmanager
def mounted(root: Path) -> Iterator[None]:
    """Make the folders in a folder slow disks, for this process and those that import this module in it."""
    os.environ[MOUNT_POINT] = str(root)
    _socket().unlink(missing_ok=True)  # of a killed run
    process = get_context("spawn").Process(target=run, daemon=True)
    process.start()
    try:
        while not _socket().exists():
            process.join(0.05)
            assert process.is_alive()
        install()
        yield
    finally:
        process.terminate()


if MOUNT_POINT in os.environ:
    install()
