"""Write one shard: a tar file of images, and next to it a table of its contents.

Equal images give equal bytes. A shard is complete once its table exists.
"""

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
from xxhash import xxh3_64_intdigest

from data_manifest.errors import UserError, io_error, is_io_error
from data_manifest.images.file_states import changed_images, summarise_states
from data_manifest.images.image_store import store_of
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.images.packs.pack_files import padded, shard_bytes, shard_name
from data_manifest.store.files import fsync, writing_whole
from pipeline.packs.settings import PackSettings
from pipeline.verification.bad_image import BadImageError

IMAGES_AT_A_TIME = 64  # read together, which is faster at a URL
FILE_MODE = 0o644
CONTENT = pl.Schema(
    {
        **{"path": pl.String(), "offset": pl.Int64(), "size": pl.Int64(), "xxh3": pl.UInt64()},
        **{"reason": pl.String(), "detail": pl.String()},  # of images that are not in the shard
    }
)
Row = tuple[str, int | None, int | None, int | None, str | None, str | None]  # of CONTENT


@dataclass(frozen=True)
class Packing:
    """Source, target and settings of all shards."""

    images_folder: ImagesFolder
    work: Path  # folder of finished shards
    settings: PackSettings
    upload_to: ImagesUrl | None  # folder of the shards, if they do not stay on this machine


@dataclass(frozen=True)
class Shard:
    """A shard to write."""

    group: int
    number: int  # within the group
    states: pl.DataFrame  # of its images, in order, as `stat_images` returns them; none is missing

    @property
    def name(self) -> str:
        """Its name in the packs."""
        return shard_name(self.group, self.number)

    @cached_property
    def key(self) -> str:
        """Its name among the finished shards, with a digest of the states of its files."""
        return f"{self.name.removesuffix('.tar')}-{summarise_states(self.states).digest}"


def files_of(work: Path, key: str) -> tuple[Path, Path]:
    """Return the tar file and the table of a finished shard."""
    return work / f"{key}.tar", work / f"{key}.parquet"


def read_finished(packing: Packing, key: str) -> pl.DataFrame | None:
    """Return the table of a finished shard, as CONTENT; None if it is not finished."""
    tar, table = files_of(packing.work, key)
    try:
        content = pl.read_parquet(table, glob=False)
        if packing.upload_to is not None:
            return content
        end = content.select((pl.col("offset") + pl.col("size")).max()).item() or 0
        return content if tar.stat().st_size == shard_bytes(end) else None
    except (OSError, pl.exceptions.PolarsError):
        return None


def write_shard(packing: Packing, on_images: Callable[[int], object] | None, shard: Shard) -> tuple[str, int]:
    """Write a shard unless it is finished; return its key and the number of its images.

    Args:
        packing: Source, target and settings of all shards.
        on_images: Called with numbers of images as they are done.
        shard: The shard.

    Raises:
        UserError: An image changed during packing, or cannot be read now.
        OSError: The disk is full, or cannot be written.
    """
    key = shard.key
    if read_finished(packing, key) is None:
        tar, table = files_of(packing.work, key)
        with writing_whole(tar) as unfinished:
            content = pl.DataFrame(_write_tar(packing, on_images, shard, unfinished), CONTENT, orient="row")
            _verify(unfinished, content, shard.name)
        if isinstance(packing.images_folder, Path):  # a store gives whole objects
            for path in changed_images(shard.states, packing.images_folder)["path"]:
                raise images_changed(packing.images_folder / path)
        if packing.upload_to is not None:
            from data_manifest.images.object_store import upload  # needs an optional package

            upload(tar, packing.upload_to / shard.name)
            tar.unlink()
        with writing_whole(table) as unfinished:
            content.write_parquet(unfinished)
    elif on_images is not None:
        on_images(len(shard.states))
    return key, len(shard.states)


def _write_tar(packing: Packing, on_images: Callable[[int], object] | None, shard: Shard, file: Path) -> list[Row]:
    """Write the images to a tar file, and return a row per image."""
    rows = list[Row]()
    store = store_of(packing.images_folder)
    with file.open("wb") as opened, tarfile.TarFile(fileobj=opened, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for images in shard.states.iter_slices(IMAGES_AT_A_TIME):
            for (path, size, _), content in zip(images.iter_rows(), store.read(images["path"].to_list()), strict=True):
                try:
                    stored = _stored(packing, path, size, content)
                except BadImageError as error:
                    rows.append((path, None, None, None, error.status.value, error.detail))
                    continue
                tar.addfile(_header(path, len(stored)), io.BytesIO(stored))
                offset = opened.tell() - padded(len(stored))
                rows.append((path, offset, len(stored), xxh3_64_intdigest(stored), None, None))
            if on_images is not None:
                on_images(len(images))
    return rows


def _stored(packing: Packing, path: str, size: int, content: bytes | OSError) -> bytes:
    """Return the bytes to store for an image."""
    if isinstance(content, OSError) and is_io_error(content):
        raise io_error(str(packing.images_folder / path), content)
    if isinstance(content, OSError) or len(content) != size:
        raise images_changed(packing.images_folder / path)
    settings = packing.settings
    if settings.jpeg_size is None:
        return content
    from pipeline.packs.shrink_image import shrink_image  # imports Pillow

    return shrink_image(content, settings.jpeg_size, settings.quality)


def images_changed(place: ImagesFolder) -> UserError:
    """Return the error for an image, or a folder of images, that changed while it was packed."""
    return UserError(f"{place}: images changed while they were packed. Run again.")


def _header(path: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(path)
    header.size, header.mode = size, FILE_MODE
    return header


def _verify(tar: Path, content: pl.DataFrame, name: str) -> None:
    """Read a shard back from the disk, and raise UserError if it has other bytes than were written."""
    fsync(tar)
    descriptor = os.open(tar, os.O_RDONLY)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # so that the disk is read, not the memory
        for path, offset, size, checksum in content.drop_nulls("offset").select(CONTENT.names()[:4]).iter_rows():
            if xxh3_64_intdigest(os.pread(descriptor, size, offset)) != checksum:
                raise UserError(f"{tar.parent}/{name}: {path} was written with errors. Check the disk, then run again.")
    finally:
        os.close(descriptor)
