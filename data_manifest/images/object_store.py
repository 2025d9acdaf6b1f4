"""Images in a bucket or on a web server, read with obstore."""

import functools
import itertools
import logging
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from data_manifest.errors import StoreError, UserError
from data_manifest.images.image_store import OpenedImage
from data_manifest.images.images_folder import ImagesUrl
from data_manifest.images.object_file import opened_object

if TYPE_CHECKING:
    import obstore.store
    from obstore import GetOptions, ObjectMeta

REQUESTS = 32  # at the same time, per process
RETRY: dict[str, Any] = {  # of timeouts, resets, 429 and 5xx
    "max_retries": 30,
    "retry_timeout": timedelta(minutes=3),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=15), "base": 2},
}
# A reset within an answer, which obstore repeats only for objects with ETags, from servers that send parts of them.
INTERRUPTED = ("kind: Interrupted", "Content-Range header not present")
MAX_INTERRUPTED, INTERRUPTED_WAIT_S = 6, 0.2  # the wait doubles each time
NO_CREDENTIALS = ("169.254.169.254", "Account must be specified")  # it looks for those of a cloud machine
HEAD_BYTES = 1 << 17  # EXIF and XMP with a preview are within the first 70 kB of photos of several cameras
NO_RANGES = ("416 Range Not Satisfiable", "non-partial response")  # an empty object; a server without ranges
VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (public bucket: AWS_SKIP_SIGNATURE=true)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS (public bucket: GOOGLE_SKIP_SIGNATURE=true)",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (public container: AZURE_SKIP_SIGNATURE=true)",
}
CREDENTIALS = re.compile(r"(AWS|GOOGLE|AZURE)_\w*(KEY|TOKEN|CREDENTIAL|SKIP_SIGNATURE|ACCOUNT|ROLE)")
Answer = TypeVar("Answer")
Content = tuple["ObjectMeta", bytes]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObjectStore:
    """Images below a URL. Each process that reads makes its own client."""

    folder: ImagesUrl

    def __post_init__(self) -> None:
        import_obstore()

    def read(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield the content of each image, or FileNotFoundError; up to `REQUESTS` are read at the same time."""
        for found in self._in_order(functools.partial(_fetch, self.folder.root), paths):
            yield found if isinstance(found, OSError) else found[1]

    def open(self, paths: Sequence[str], whole: bool = True) -> Iterator[OpenedImage | OSError]:
        """Yield each image opened, or FileNotFoundError; up to `REQUESTS` are fetched at the same time.

        Unless they are to be read whole, the first `HEAD_BYTES` are fetched, and the rest if it is read.
        """
        return self._in_order(functools.partial(_open, self.folder.root, whole), paths)

    def _in_order(self, work: Callable[[str], Answer], paths: Sequence[str]) -> Iterator[Answer | OSError]:
        """Yield the results of work on keys, or FileNotFoundError; at most `REQUESTS` are in memory."""
        keys = [(self.folder / path).key for path in paths]
        if len(keys) == 1:
            yield _unless_missing(work, keys[0])
            return
        waiting = iter(keys)
        with ThreadPoolExecutor(max(1, min(REQUESTS, len(keys)))) as threads:
            pending = deque(threads.submit(_unless_missing, work, key) for key in itertools.islice(waiting, REQUESTS))
            while pending:
                found = pending.popleft().result()
                pending.extend(threads.submit(_unless_missing, work, key) for key in itertools.islice(waiting, 1))
                yield found

    def sorted_by_place(self, paths: Sequence[str]) -> list[int]:
        """Return the indices unchanged: objects have no place."""
        return list(range(len(paths)))


def _unless_missing(work: Callable[[str], Answer], key: str) -> Answer | OSError:
    try:
        return work(key)
    except FileNotFoundError as error:
        return error


def _open(root: str, whole: bool, key: str) -> OpenedImage:
    found, content = _fetch(root, key) if whole else _fetch_head(root, key)
    etag, size = found["e_tag"], found["size"]
    same = None if etag is None or etag.startswith("W/") else etag  # weak ones match nothing
    return opened_object(found, content, lambda begin: _fetch(root, key, {"range": (begin, size), "if_match": same})[1])


def _fetch_head(root: str, key: str) -> Content:
    try:
        return _fetch(root, key, {"range": (0, HEAD_BYTES)})
    except StoreError as error:
        if any(each in str(error.__cause__) for each in NO_RANGES):
            return _fetch(root, key)
        raise


def _fetch(root: str, key: str, options: "GetOptions | None" = None) -> Content:
    client = client_of(root)

    def request() -> Content:
        found = client.get(key, options=options)
        return found.meta, bytes(found.bytes())

    try:
        return send_request(root, key, request)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such object: {root}/{key}") from None


def upload(file: Path, url: ImagesUrl) -> None:
    """Copy a file of this machine to a URL.

    Raises:
        StoreError: The store does not answer, or refuses.
    """
    client = client_of(url.root)
    send_request(url.root, url.key, lambda: client.put(url.key, file))


def copy_object(source: ImagesUrl, target: ImagesUrl) -> None:
    """Copy an object within its store.

    Raises:
        FileNotFoundError: There is no such object.
        StoreError: The store does not answer, or refuses.
    """
    client = client_of(source.root)
    send_request(source.root, source.key, lambda: client.copy(source.key, target.key))


def send_request(root: str, key: str, request: Callable[[], Answer]) -> Answer:
    """Return the answer to a request; errors of the network are retried for up to 3 minutes.

    Raises:
        FileNotFoundError: There is no such object.
        StoreError: The store does not answer, or refuses.
    """
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    for attempt in itertools.count():
        try:
            return request()
        except UserError:  # a ValueError too
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StoreError(
                f"{root}/{key}: permission denied, or no such object. Check {_variables(root)}, and that these may "
                "read and list."
            ) from error
        except ValueError as error:  # such as an empty part of a path
            raise FileNotFoundError(str(error).partition("\n")[0]) from error
        except BaseError as error:
            is_interrupted = any(each in str(error) for each in INTERRUPTED)
            if not is_interrupted or attempt == MAX_INTERRUPTED:
                raise StoreError(_explain(root, key, str(error))) from error
            time.sleep(INTERRUPTED_WAIT_S * 2**attempt)
    raise AssertionError("unreachable")


def _explain(root: str, key: str, error: str) -> str:
    if any(each in error for each in NO_CREDENTIALS):
        return f"{root}/{key}: no credentials. Set {_variables(root)}."
    reason = re.sub(r"\?\S+", "", error.partition("\n")[0])  # a query may hold a signature
    return f"{root}/{key}: cannot be read ({reason}). Check the network and the store, then run the same command again."


def _variables(root: str) -> str:
    return VARIABLES.get(root.partition(":")[0], "the server's permissions")


def client_of(root: str) -> "obstore.store.ObjectStore":
    """Return this process's client of a bucket or web server."""
    return _client(root, os.getpid())


@functools.cache
def _client(root: str, process: int) -> "obstore.store.ObjectStore":
    import_obstore()
    from obstore.store import from_url

    if root.partition(":")[0] in VARIABLES and not any(map(CREDENTIALS.match, os.environ)):
        logger.info("%s: no credentials in the environment, trying those of this machine", root)
    options = {"allow_http": True}  # for http:// in the URL or in AWS_ENDPOINT_URL
    try:
        return from_url(root, client_options=options, retry_config=RETRY)  # type: ignore[call-overload, no-any-return]
    except Exception as error:  # obstore raises several kinds, such as for a missing account
        raise StoreError(_explain(root, "", str(error))) from error


def import_obstore() -> None:
    """Raise UserError if the optional package is missing."""
    try:
        import obstore  # noqa: F401
    except ImportError as error:
        raise UserError("Images at a URL need an extra package: pip install obstore") from error
