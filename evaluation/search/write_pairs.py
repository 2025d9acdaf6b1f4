"""Write the matches of an evaluation as pairs of images, the form that COLMAP and hloc read."""

import os
from pathlib import Path

import polars as pl

from data_manifest.errors import UserError, check_output, writing_in
from data_manifest.store.files import write_text
from data_manifest.store.find import find_artifact, read_recipe_of
from data_manifest.tables import read_table

SPLITTING = r"^#|[\s\x1c-\x1f]"  # COLMAP takes # for a comment; both split lines at white space


def write_pairs(evaluation: Path, k: int, output: Path) -> str:
    """Write a line `query database` for each of the k best matches of each query, and return what was written.

    Names are relative to the folder that holds the images of both. A pair of an image with itself is left out.

    Raises:
        UserError: There is no such evaluation, it stores fewer matches, a name has a space, or the file cannot be
            written.
    """
    check_output(output)
    folder = find_artifact(evaluation)
    summary = read_recipe_of(folder, "pairs", ("evaluation",))["summary"]
    folders = [summary[f"{role}_folder"] for role in ("queries", "database")]
    root = os.path.commonpath(folders)
    matches = read_table(folder, "predictions", ["query_path", "rank", "database_path"])
    stored = int(matches["rank"].to_numpy().max())
    if k > stored:
        raise UserError(f"--k {k}: {folder} stores {stored} matches per query. {_how_to_store(folder, k, stored)}")
    query, database = (
        pl.concat_str(pl.lit(_below(root, each)), f"{role}_path").alias(role)
        for role, each in zip(("query", "database"), folders, strict=True)
    )
    pairs = matches.filter(pl.col("rank") <= k).select(query, database)
    chosen = pairs.filter(pl.col("query") != pl.col("database"))
    _check_names(chosen)
    with writing_in(output.parent, "--output"):
        write_text(output, "".join(f"{query} {database}\n" for query, database in chosen.iter_rows()))
    same = f" Left out: {len(pairs) - len(chosen):,} pairs of an image with itself." if len(chosen) < len(pairs) else ""
    counts = f"{len(chosen):,} pairs, of the {k} best matches of each of {pairs['query'].n_unique():,} queries"
    return f"{output}: {counts}.{same} Names are relative to {root}"


def _below(root: str, folder: str) -> str:
    """Return the prefix of the names of a folder's images, relative to a folder above it or to itself."""
    relative = Path(folder).relative_to(root).as_posix()
    return "" if relative == "." else f"{relative}/"


def _how_to_store(evaluation: Path, k: int, stored: int) -> str:
    """Return how to get pairs of more matches than are stored."""
    if stored == read_table(evaluation, "recalls", ["database_images"]).item(0, 0):
        return f"These are all database images. Pass --k {stored} or less"
    return f"Pass --k {stored} or less, or evaluate with --recall-values 1,5,10,20,{k}"


def _check_names(pairs: pl.DataFrame) -> None:
    """Raise UserError if a name would be read as several, or as a comment."""
    names = pl.concat([pairs[column].unique() for column in pairs.columns])
    wrong = names.filter(names.str.contains(SPLITTING)).sort()
    if len(wrong):
        raise UserError(
            f"{wrong[0]!r}: cannot be in a file of pairs, which is split at spaces ({len(wrong):,} such names). "
            "Rename the files or folders without spaces and without # at the start, and evaluate again"
        )
