"""Steps of a test on disks of limited size: mounts, and commands of Luigi whose results are recorded."""

import ctypes
import json
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pipeline.groups.build_groups
import pipeline.manifest.build_manifest
from tests.helpers import as_main, redirected

NEW_USERS, NEW_MOUNTS = 0x10000000, 0x20000


class Steps:
    """Steps by their names, and the records of commands: exit status, output and files in the artifacts folder A."""

    def __init__(self, work: Path) -> None:
        self.work, self.artifacts = work, work / "A"
        self.records: dict[str, tuple[int, str, list[str]]] = {}

    def disk(self, size: str) -> None:
        """Mount a disk as the artifacts folder."""
        mount("-t", "tmpfs", "-o", f"size={size}", "none", str(self.artifacts))

    def resize(self, size: str) -> None:
        """Change the size of the disk."""
        mount("-o", f"remount,size={size}", str(self.artifacts))

    def leave(self, kilobytes: str) -> None:
        """Shrink the disk to its content and some space."""
        disk = os.statvfs(self.artifacts)
        self.resize(f"{(disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024 + int(kilobytes)}k")

    def read_only(self, path: str) -> None:
        """Make a folder read-only."""
        folder = str(self.work / path)
        mount("--bind", folder, folder)
        mount("-o", "remount,bind,ro", folder)

    def move(self, source: str, target: str) -> None:
        """Move a file."""
        (self.work / source).rename(self.work / target)

    def copy_out(self) -> None:
        """Copy the artifacts, since the disk goes with the process."""
        shutil.copytree(self.artifacts, self.work / "out", symlinks=True)

    def luigi(self, name: str, *words: str, target: Callable[..., None] = as_main) -> None:
        """Run Luigi and record the step under a name."""
        folder = self.work / name
        folder.mkdir()
        folders = ("--train-folder", str(self.work / "train"), "--artifacts-folder", str(self.artifacts))
        environment = {**os.environ, "LUIGI_CONFIG_PATH": str(self.work / "own.cfg")}
        arguments = (folder, environment, target, ("luigi", "--module", "workflows", *words, *folders))
        process = multiprocessing.get_context("fork").Process(target=redirected, args=arguments)
        process.start()
        process.join()
        said = (folder / "stdout").read_text() + (folder / "stderr").read_text()
        found = [
            Path(at, file).relative_to(self.artifacts) for at, _, files in os.walk(self.artifacts) for file in files
        ]
        files = sorted(str(file) for file in found if file.parts[0] != ".listings")
        self.records[name] = process.exitcode or 0, said, files

    def unchecked(self, name: str, *words: str) -> None:
        """Run Luigi without the check for disk space and record the step under a name."""
        self.luigi(name, *words, target=as_main_unchecked)

    def status(self, name: str) -> int:
        """Return the exit status of a step."""
        return self.records[name][0]

    def said(self, name: str) -> str:
        """Return the output of a step, which must have no traceback."""
        text = self.records[name][1]
        assert "Traceback" not in text, text
        return text

    def files(self, name: str) -> list[str]:
        """Return the files in the artifacts folder after a step, without the listing cache."""
        return self.records[name][2]


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def as_main_unchecked(*arguments: str) -> None:
    """Run a module without the check for disk space."""
    for module in (pipeline.groups.build_groups, pipeline.manifest.build_manifest):
        module.check_space = lambda *given, **named: None  # type: ignore[attr-defined]
    as_main(*arguments)


def run_steps(work: Path, *lines: str) -> None:
    """Run steps in a namespace of own mounts, as in `unshare --map-root-user --mount`, and write their records."""
    identity = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}
    if ctypes.CDLL(None).unshare(NEW_USERS | NEW_MOUNTS):
        raise OSError("no namespace")
    for name, content in identity.items():
        Path("/proc/self", name).write_text(content)
    mount("--make-rprivate", "/")
    steps = Steps(work)
    for line in lines:
        name, *words = line.split()
        getattr(steps, name)(*words)
    (work / "records.json").write_text(json.dumps(steps.records))
