"""The stores that are compared: a folder of this machine, the slow disk and the slow web server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data_manifest.images.images_folder import ImagesFolder, as_images_folder
from simulated import disk, web_server


@dataclass(frozen=True)
class Store:
    """A store with the folders in `local`; `root` is its folder or URL."""

    name: str
    title: str
    root: str
    local: Path
    bytes_read: Callable[[], int]

    @property
    def is_web(self) -> bool:
        """True if the root is a URL."""
        return "://" in self.root

    @property
    def is_disk(self) -> bool:
        """True for the slow disk."""
        return self.name == "disk"

    def folder(self, name: str) -> ImagesFolder:
        """Return one of its folders."""
        return as_images_folder(f"{self.root}/{name}")


@contextmanager
def running_stores(work: Path) -> Iterator[tuple[Store, ...]]:
    """Run the disk's process and the web server; yield the stores, which have the folders of WORK/local."""
    local = work / "local"
    with disk.mounted(work / "disk"), web_server.running(local) as url:
        yield (
            Store("local", "this machine's disk", str(local), local, lambda: 0),
            Store("disk", "spinning disk", str(work / "disk"), local, partial(disk.request, {})),
            Store("web", "web server", url, local, partial(web_server.bytes_sent, url)),
        )
