"""The file of predictions of the MSLS challenge, whose ground truth is not in its images' names.

A line has the key of a query and the keys of its best matches, best first, separated by spaces; the key of an image is
its file name without the extension. The metrics of mapillary_sls read up to 20 matches.
"""

from pathlib import Path

import polars as pl

from data_manifest.errors import UserError
from data_manifest.store.files import write_text
from evaluation.settings import RECALL_VALUES

MATCHES = max(RECALL_VALUES)
SEPARATORS = r"[\s,#]"  # a comma joins the keys of a sequence of images, and a comment follows #


def check_keys(paths: pl.Series) -> None:
    """Check that each image has a key of its own, without spaces, commas and #.

    Raises:
        UserError: Two images share a key, or a key would be read as several.
    """
    images = pl.DataFrame({"path": paths}).with_columns(key=_key("path"))
    wrong = images.filter(pl.col("key").str.contains(SEPARATORS))
    if len(wrong):
        raise UserError(f"{wrong['path'][0]}: a key cannot have spaces, commas or #. Rename the file")
    repeated = images.filter(pl.col("key").is_duplicated()).sort("key", "path")
    if len(repeated):
        first, second = repeated["path"][:2]
        raise UserError(f"{first} and {second} have the same key. Link each folder of images once")


def write_prediction_file(predictions: pl.DataFrame, path: Path) -> None:
    """Write the best matches of each query, from the table PREDICTIONS."""
    best = predictions.filter(pl.col("rank") <= MATCHES).with_columns(_key("query_path"), _key("database_path"))
    keys = best.group_by("query_path", maintain_order=True).agg(pl.col("database_path").sort_by("rank"))
    write_text(path, "".join(f"{query} {' '.join(matches)}\n" for query, matches in keys.iter_rows()))


def _key(path: str) -> pl.Expr:
    return pl.col(path).str.replace(r"^.*/", "").str.replace(r"\.[^.]*$", "")
