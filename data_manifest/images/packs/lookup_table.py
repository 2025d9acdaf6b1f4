"""Make and write the table in which a pack store finds its images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from data_manifest.errors import UserError, writing_in
from data_manifest.images.packs.pack_store import Location, Words, hash_of
from data_manifest.store.files import writing_whole


def locations_of(index: pl.DataFrame, first_shard: int) -> Words:
    """Return the columns of a lookup table for the rows of an index, in their order; shards are numbered by name."""
    table = np.empty((5, len(index)), np.uint64)
    table[0] = np.fromiter(map(hash_of, index["path"]), np.uint64, len(index))
    table[1] = index["shard"].rank("dense").to_numpy() - 1 + first_shard
    for row, name in enumerate(Location._fields[2:], 2):
        table[row] = index[name].to_numpy()
    return table


def write_lookup(tables: Sequence[Words], file: Path) -> None:
    """Write the columns of some lookup tables, at least one, as one sorted table.

    Raises:
        UserError: Two images have the same hash, or the file cannot be written.
    """
    hashes = np.concatenate([table[0] for table in tables])
    order = np.argsort(hashes)
    hashes = hashes[order]
    if (hashes[1:] == hashes[:-1]).any():  # 1 in a million for 5.6 million images
        raise UserError("Two images of the packs have paths with the same hash. Rename an image, and pack again.")
    with writing_in(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing_whole(file) as unfinished, unfinished.open("wb") as opened:
            form = {
                "descr": np.lib.format.dtype_to_descr(hashes.dtype),
                "fortran_order": False,
                "shape": (len(Location._fields), len(order)),
            }
            np.lib.format.write_array_header_1_0(opened, form)
            for row in range(len(Location._fields)):  # one at a time, for less memory
                opened.write(np.concatenate([table[row] for table in tables])[order].data)
