"""Which Parquet file an image's row belongs to: a function of the images there are, not of their order or history.

Folders are told apart by the bits of their paths' hashes: where those that start with the same bits hold too many
images, they are cut in two by the next bit. So small folders share a partition, and images added to a folder touch its
own partition alone. A folder that is too large by itself is cut by the hashes of its files' names instead.
"""

import hashlib
from collections.abc import Iterator, Mapping

import polars as pl

HASH_BITS = 64
ROWS_PER_PARTITION = 250_000  # about; at most, but for chance in the cuts of a huge folder


def partitions(images: pl.DataFrame, rows: int = ROWS_PER_PARTITION) -> Iterator[tuple[str, pl.DataFrame]]:
    """Give the key, fit for a file's name, and the images of each partition, in the order of the keys.

    Args:
        images: A column `path` of text, and any others.
        rows: How many rows a partition should hold at most.
    """
    images = images.with_columns(folder=pl.col("path").str.extract(r"^(.*)/[^/]*$").fill_null(""))
    sizes = dict(images.group_by("folder").len().iter_rows())
    keys = dict(folder_keys(sizes, rows))
    keyed = images.with_columns(key=pl.col("folder").replace_strict(keys, return_dtype=pl.String))
    for (key,), part in keyed.sort("key", maintain_order=True).group_by("key", maintain_order=True):
        yield from _cut_by_name(str(key), part.drop("folder", "key"), rows)


def folder_keys(sizes: Mapping[str, int], rows: int) -> Iterator[tuple[str, str]]:
    """Give each folder with the key of its partition: the hash bits that its folders share, as `b` and 0s and 1s."""
    bits = {folder: f"{int(hash_of(folder), 16):0{HASH_BITS}b}" for folder in sizes}
    pending = [("", list(sizes))]
    while pending:
        prefix, folders = pending.pop()
        too_large = sum(sizes[folder] for folder in folders) > rows
        if too_large and len(folders) > 1:
            for bit in "01":
                half = [folder for folder in folders if bits[folder].startswith(prefix + bit)]
                pending.extend([(prefix + bit, half)] if half else [])
        else:
            yield from ((folder, f"b{prefix}") for folder in folders)


def _cut_by_name(key: str, images: pl.DataFrame, rows: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """Cut a folder that is too large by itself into a power of two of parts, by the hash of each file's name."""
    bits = max(0, (len(images) - 1) // rows).bit_length()
    if not bits:
        yield key, images
        return
    part_of = [int(hash_of(path), 16) >> (HASH_BITS - bits) for path in images["path"]]
    numbered = images.with_columns(part=pl.Series(part_of, dtype=pl.Int64))
    for (part,), cut in numbered.sort("part", maintain_order=True).group_by("part", maintain_order=True):
        yield f"{key}-{part:04x}", cut.drop("part")


def hash_of(text: str) -> str:
    """Return 16 hexadecimal digits that depend on the text alone, whatever the library versions."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
