"""Folders of images: paths on this machine, or URLs of buckets and web servers; and rules for hidden files."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from data_manifest.errors import UserError

LISTED_SCHEMES, WEB_SCHEMES = ("s3", "gs", "az"), ("https", "http")  # web servers do not list their files
_URL = re.compile(rf"[a-z][a-z0-9+.-]+://|({'|'.join(LISTED_SCHEMES + WEB_SCHEMES)}):/", re.IGNORECASE)

# Of Synology, QNAP, Windows, macOS and Linux. Names that users choose, such as thumbs, are not included.
SYSTEM_FOLDERS = (
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN"),
    *("System Volume Information", "__MACOSX", "lost+found"),
)
_SYSTEM_FOLDERS = frozenset(name.lower().encode() for name in SYSTEM_FOLDERS)


@dataclass(frozen=True, order=True)
class ImagesUrl:
    """URL of a folder of images or of an image, as in s3://bucket/sf-xl/processed.

    It has the parts of `Path` that read nothing, so that code that reads files does not accept it by mistake.
    """

    root: str  # scheme and bucket or host
    key: str  # of the folder or the image in it

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the URL of a text.

        Raises:
            UserError: The scheme is unknown, the bucket is missing, or the URL contains credentials or a query.
        """
        parts = urlsplit(text)
        scheme = parts.scheme.lower()
        if scheme not in LISTED_SCHEMES + WEB_SCHEMES:
            known = ", ".join(f"{each}://" for each in LISTED_SCHEMES + WEB_SCHEMES)
            raise UserError(f"{_hide_secrets(text)}: unknown scheme {scheme}. Use a folder, or one of {known}.")
        if "@" in parts.netloc or "?" in text:
            raise UserError(
                f"{_hide_secrets(text)}: URLs of images must not contain credentials or a query. Give credentials by "
                "environment variables."
            )
        if not parts.netloc:
            raise UserError(f"{text}: no bucket or host in it. Write {scheme}://bucket/folder.")
        key = text.split("://", 1)[1].partition("/")[2]
        return cls(f"{scheme}://{parts.netloc}", _normal(key))

    @property
    def scheme(self) -> str:
        """The scheme, as in s3."""
        return self.root.partition(":")[0]

    @property
    def can_list(self) -> bool:
        """True if the folder can be listed."""
        return self.scheme in LISTED_SCHEMES

    @property
    def name(self) -> str:
        """The last part of the key; empty for a whole bucket."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> Self:
        """The folder that it is in."""
        return type(self)(self.root, self.key.rpartition("/")[0])

    def absolute(self) -> Self:
        """Return the URL: it is absolute."""
        return self

    def resolve(self) -> Self:
        """Return the URL: it has no links."""
        return self

    def __truediv__(self, path: str) -> Self:
        return type(self)(self.root, _normal(f"{self.key}/{path}"))

    def __str__(self) -> str:
        return f"{self.root}/{self.key}".rstrip("/")

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is not a path on this machine")


ImagesFolder = ImagesUrl | Path


def as_images_folder(value: Any) -> ImagesFolder:
    """Return a folder of images, given as a path or a URL.

    Raises:
        ValueError: The value is empty.
        UserError: The URL cannot be used.
    """
    if isinstance(value, ImagesUrl | Path):
        return value
    if value == "":  # Path("") would be the working directory
        raise ValueError(value)
    return ImagesUrl.parse(str(value)) if is_url(value) else Path(value)


def is_url(value: Any) -> bool:
    """Return whether a value is a URL, perhaps a misspelled one as in s3:/bucket."""
    return isinstance(value, ImagesUrl) or _URL.match(str(value)) is not None


def is_missing(folder: ImagesFolder) -> bool:
    """Return whether a folder on this machine is missing; for a URL, reading shows it."""
    return isinstance(folder, Path) and not folder.is_dir()


def is_hidden(name: bytes) -> bool:
    """Return whether a file is hidden, such as .thumb.jpg or the ._photo.jpg that macOS adds to photo.jpg."""
    return name.startswith(b".")


def is_system_folder(name: bytes) -> bool:
    """Return whether a folder is hidden or one of `SYSTEM_FOLDERS`; case does not matter."""
    return is_hidden(name) or name.lower() in _SYSTEM_FOLDERS


def _normal(key: str) -> str:
    return "/".join(part for part in key.split("/") if part not in ("", "."))


def _hide_secrets(url: str) -> str:
    return re.sub(r"\?.*", "?...", re.sub(r"//[^/]*@", "//...@", url))
