"""Leaves: the smallest sets of paths, numbered by a hash of folder and name. Partitions are ranges of leaves."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

from data_manifest.store.recipe import DIGEST_LENGTH, digest_of
from pipeline.listing.lines import NEWLINE, Content, Offsets, binary_array, find_bytes

FOLDER_BITS, NAME_BITS = 12, 8
LEAF_BITS = FOLDER_BITS + NAME_BITS
NUM_LEAVES = 1 << LEAF_BITS
NAME_START = 7  # bytes of an SF-XL name: UTM east to 10 metres, so that images of one place share a leaf
SEEDS = (1, 2)
HASH_BITS = 64
SLASH, AT = b"/@"
LEAF_SUMS = {"leaf": pl.UInt32(), "rows": pl.Int64(), "sum_1": pl.UInt64(), "sum_2": pl.UInt64()}


@dataclass(frozen=True)
class HashedLines:
    """Lines with their hashes.

    Args:
        lines: The lines, bytes, each with its newline.
        leaves: The leaf of each: [num_lines], uint32.
        hashes: Two independent hashes of each: [2, num_lines], uint64.
    """

    lines: pl.Series
    leaves: npt.NDArray[np.uint32]
    hashes: npt.NDArray[np.uint64]

    def sum_up(self, **keys: pl.Series | Offsets) -> pl.DataFrame:
        """Return rows and hash sums per leaf, as `LEAF_SUMS`; with keys of the lines, per key and leaf."""
        columns = {**keys, "leaf": self.leaves, "sum_1": self.hashes[0], "sum_2": self.hashes[1]}
        sums = pl.DataFrame(columns).group_by(*keys, "leaf").agg(pl.col("sum_1", "sum_2").sum(), rows=pl.len())
        return sums.select(*keys, *(pl.col(name).cast(dtype) for name, dtype in LEAF_SUMS.items()))

    def order(self) -> Offsets:
        """Return the rows in the order of their leaves."""
        return np.lexsort((self.leaves.astype(np.uint16), (self.leaves >> 16).astype(np.uint16)))  # two radix sorts


@dataclass
class Leaves:
    """Number of rows and hash sums of each leaf.

    Equal rows and sums mean equal sets of paths, with an error probability of 2^-128.

    Args:
        rows: Number of paths: [NUM_LEAVES].
        sums: The sums of their two hashes, modulo 2^64: [2, NUM_LEAVES].
    """

    rows: Offsets = field(default_factory=lambda: np.zeros(NUM_LEAVES, np.int64))
    sums: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros((2, NUM_LEAVES), np.uint64))

    def add(self, sums: pl.DataFrame) -> "Leaves":
        """Add rows and hash sums, as `LEAF_SUMS`; return self."""
        leaf, *columns = (sums[name].to_numpy() for name in LEAF_SUMS)
        for total, column in zip((self.rows, *self.sums), columns, strict=True):
            np.add.at(total, leaf, column)
        return self

    def digest(self) -> str:
        """Return a digest of the set of paths."""
        content = xxhash.xxh3_128(self.rows.data)
        content.update(self.sums.data)
        return content.hexdigest()[:DIGEST_LENGTH]


@dataclass(frozen=True)
class LeafRange:
    """A partition, as a range of leaves.

    Args:
        key: `b` and the leading bits of the hashes of its paths. Bits after those of the leaf are of the path's hash.
        begin: Its first leaf.
        end: The leaf after its last one.
        rows: Number of paths in these leaves.
        digest: Digest of the key, the rows and the sums.
    """

    key: str
    begin: int
    end: int
    rows: int
    digest: str

    @property
    def path_bits(self) -> str:
        """The leading bits of the path hashes, for a part of a leaf that is too large; else empty."""
        return self.key[1 + LEAF_BITS :]


def cut_into_ranges(leaves: Leaves, rows: int) -> Iterator[LeafRange]:
    """Yield ranges of leaves with at most `rows` rows, sorted by key, without empty ones.

    A leaf with more rows is cut by the bits of the path hashes, into parts of about that size.
    """
    before = np.append(0, leaves.rows.cumsum())
    pending = [""]
    while pending:
        bits = pending.pop()
        more = LEAF_BITS - len(bits)
        begin = int(bits or "0", 2) << more
        end = begin + (1 << more)
        count = int(before[end] - before[begin])
        if count > rows and more:
            pending += [bits + "1", bits + "0"]
        elif count:
            sums = leaves.sums[:, begin:end].sum(axis=1).tolist()
            parts = ((count - 1) // rows).bit_length()  # more than none for a single leaf only
            for suffix in (f"{part:0{parts}b}" for part in range(1 << parts)) if parts else ("",):
                key = f"b{bits}{suffix}"
                yield LeafRange(key, begin, end, count, digest_of([key, count, *sums]))


def hash_lines(content: Content) -> HashedLines:
    """Hash one or more lines, each ending with a newline."""
    letters = np.frombuffer(content, np.uint8)
    marks = find_bytes(letters, NEWLINE, SLASH)
    newlines = np.flatnonzero(letters[marks] == NEWLINE)
    offsets = np.append(0, marks[newlines] + 1)
    names = marks[newlines - 1] + 1  # after the line's last slash, or after the line before it
    if newlines[0] == 0:
        names[0] = 0
    line, folder = pl.col("line"), pl.col("folder")
    hashed = pl.DataFrame({"line": binary_array(content, offsets), "folder": names - offsets[:-1]}).select(
        "line",
        of_folder=line.bin.head(folder).hash(SEEDS[0]),
        of_start=line.bin.slice(folder, NAME_START).hash(SEEDS[0]),
        one=line.hash(SEEDS[0]),
        other=line.hash(SEEDS[1]),
    )
    hashes = hashed.select("one", "other").to_numpy(order="fortran").T
    in_folder = np.where(letters[names] == AT, hashed["of_start"].to_numpy(), hashes[0])
    leaves = hashed["of_folder"].to_numpy() >> np.uint64(HASH_BITS - FOLDER_BITS) << np.uint64(NAME_BITS)
    leaves |= in_folder >> np.uint64(HASH_BITS - NAME_BITS)
    return HashedLines(hashed["line"], leaves.astype(np.uint32), hashes)


def path_hashes(lines: pl.Series) -> npt.NDArray[np.uint64]:
    """Return the hashes by which a leaf that is too large is cut, for lines with their newlines."""
    return lines.hash(SEEDS[1]).to_numpy()


def hash_check() -> str:
    """Return a string that changes if paths are hashed differently, as by another version of polars."""
    hashed = hash_lines(b"a/@b\na/b\n")
    return " ".join(map(str, [*hashed.leaves.tolist(), *hashed.hashes[:, 0].tolist()]))
