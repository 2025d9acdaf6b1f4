"""Objects of a bucket or web server as opened files."""

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from data_manifest.images.image_store import BLOCK, OpenedImage

if TYPE_CHECKING:
    from obstore import ObjectMeta

NS = 1_000_000_000
FetchRest = Callable[[int], bytes]


def state_of(found: "ObjectMeta") -> tuple[int, int]:
    """Return size and modification time in ns of an object.

    Below whole seconds, the time is a hash of the ETag: stores count seconds, and ETags change with the content.
    """
    etag = (found["e_tag"] or "").removeprefix("W/").strip('"')
    return found["size"], int(found["last_modified"].timestamp()) * NS + zlib.crc32(etag.encode()) % NS


def opened_object(found: "ObjectMeta", head: bytes, fetch_rest: FetchRest) -> OpenedImage:
    """Return an opened object, of which `head` is fetched; `fetch_rest` returns the bytes from an offset on."""
    size, modified_ns = state_of(found)
    raw = io.BytesIO(head) if len(head) == size else _PartlyFetched(head, size, fetch_rest)
    return OpenedImage(io.BufferedReader(raw, BLOCK), size, modified_ns)


class _PartlyFetched(io.RawIOBase):
    """Reads an object of which the head is fetched; the first read beyond it fetches the rest."""

    def __init__(self, head: bytes, size: int, fetch_rest: FetchRest) -> None:
        self._content, self._size, self._fetch_rest = head, size, fetch_rest
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, begin + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if len(self._content) <= self._position < self._size:
            self._content += self._fetch_rest(len(self._content))
        found = self._content[self._position : self._position + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)
