"""Names of crops in SF-XL's form, from any source of the panoramas' metadata."""

import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.listing.list_images import Listing
from pipeline.manifest.build_partition import count, read_otherwise
from pipeline.metadata.fields import FIELDS
from pipeline.metadata.paths import all_paths
from pipeline.sources.source import NAMES_SOURCE, Source

HEADING = FIELDS.index("heading")
# As wide as in SF-XL, so that names sort like the numbers.
FORMATS = {"utm_east": "{:010.2f}", "utm_north": "{:010.2f}", "latitude": "{:09.5f}", "longitude": "{:09.5f}"}


def read_panoramas(listing: Listing, source: Source) -> pl.DataFrame:
    """Return the manifest rows of panoramas, with `name` as `crop_path` takes it."""
    with tempfile.TemporaryDirectory() as scratch:
        more_paths, reader = source.open(listing, Path(scratch))
        paths = all_paths(listing, more_paths)
        rows = reader.read(paths, strict=False)
        negative, wrong = read_otherwise({"all": count(rows)})
        if wrong:
            rows = reader.read(paths, strict=False, negative_headings=negative)
    name = pl.col("path").str.split("/").list.last()
    is_usual = (name.str.count_matches("@", literal=True) == len(FIELDS) - 1) & (source is NAMES_SOURCE)
    rows = rows.with_columns(name=name)
    others = rows.select((~is_usual).arg_true()).to_series()
    return rows.with_columns(rows["name"].scatter(others, [_name(row) for row in rows[others].iter_rows(named=True)]))


def _name(row: dict[str, Any]) -> str:
    """Return a panorama's name in SF-XL's form; without a pano_id, the file's stem."""
    fields = dict.fromkeys(FIELDS, "")
    stem = row["path"].rpartition("/")[2].rpartition(".")[0]
    for field in ("utm_zone", "utm_band", "timestamp"):
        fields[field] = str(row[field] or "")
    for field, form in FORMATS.items():
        fields[field] = "" if row[field] is None else form.format(row[field])
    fields["pano_id"] = (row["pano_id"] or stem).replace("@", "_")
    return "@".join(fields.values())


def crop_path(path: str, name: str, heading: float) -> str:
    """Return the path of a crop: that of its panorama, with the crop's heading."""
    folder, slash, _ = path.rpartition("/")
    fields = name.split("@")
    fields[HEADING], fields[-1] = f"{heading:.2f}".rstrip("0").rstrip("."), ".jpg"
    return f"{folder}{slash}{'@'.join(fields)}"
