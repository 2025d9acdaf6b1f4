"""Names and sizes of the files of packs, and the digest of the members of a group."""

from tarfile import BLOCKSIZE, RECORDSIZE

import polars as pl

from data_manifest.images.file_states import STATE, summarise_states

STAGE = "packs"
SHARDS, INDEX, FILES, REJECTS = "shards", "index", "files", "rejects"  # folders


def shard_name(group: int, number: int) -> str:
    """Return the name of a shard of a group."""
    return f"group-{group:06d}-{number:04d}.tar"


def padded(size: int, unit: int = BLOCKSIZE) -> int:
    """Return the bytes that content takes in a tar file."""
    return -(-size // unit) * unit


def shard_bytes(end: int) -> int:
    """Return the size of a shard whose last image ends at an offset: two empty blocks follow it."""
    return padded(padded(end) + 2 * BLOCKSIZE, RECORDSIZE)


def digest_of_members(paths: pl.Series) -> str:
    """Return a digest of the paths of a group's images, in order."""
    without_states = pl.DataFrame({STATE[0]: paths}).with_columns(
        pl.lit(None, pl.Int64).alias(name) for name in STATE[1:]
    )
    return summarise_states(without_states).digest
