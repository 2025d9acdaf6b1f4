"""Count the images and rejects of a manifest by reason, year, UTM zone and heading.

JSON keys: stage, name, digest, path, origin (images folder or list file), files, images, rejects, repeats (paths
listed again), panoramas (distinct pano_id), rejects_by_reason [reason, files], images_by_year [year,
images], images_by_zone [utm_zone, utm_band, images], images_by_heading [from, to, images], without_heading, oddities
[what, images] (unusual headings and UTM positions). Unknown values are null.
"""

from pathlib import Path
from typing import Any

import polars as pl

from data_manifest.inspect.bars import chart, table
from data_manifest.store.find import read_recipe_of
from data_manifest.store.references import MANIFEST_STAGES
from data_manifest.tables import scan_rejects, scan_table

DEGREES_PER_BIN, FULL_TURN = 30, 360
ODDITIES = ("headings", "UTM kept")  # in the recipe's summary
FIGURES = ("files", "images", "rejects", "repeats", "panoramas")


def identity(recipe: dict[str, Any], artifact: Path) -> dict[str, Any]:
    """Return the keys that identify an artifact, with which every command's JSON begins."""
    return {**{key: recipe[key] for key in ("stage", "name", "digest")}, "path": str(artifact)}


def summarise(artifact: Path) -> dict[str, Any]:
    """Return the counts of a manifest, with the keys documented in this module.

    Raises:
        UserError: The artifact is not a manifest.
    """
    recipe = read_recipe_of(artifact, "summary", MANIFEST_STAGES)
    images = _count_images(scan_table(artifact, "manifest"))
    rejects = count_reasons(artifact)
    num_images, num_rejects = int(images["images"].sum()), sum(rejects.values())
    by_bin = {row["heading_bin"]: row["images"] for row in _add_up(images, "heading_bin")}
    # Hashes of 64 bits save memory: two of ten million collide with a probability of 1 in 400,000.
    hashes = pl.col("pano_id").drop_nulls().hash().n_unique()
    panoramas = scan_table(artifact, "manifest").select(hashes).collect(engine="streaming").item()
    return {
        **identity(recipe, artifact),
        "origin": recipe["summary"].get("origin"),
        "files": num_images + num_rejects,
        "images": num_images,
        "rejects": num_rejects,
        "repeats": recipe["summary"].get("repeats"),
        "panoramas": panoramas,
        "rejects_by_reason": [{"reason": reason, "files": count} for reason, count in rejects.items()],
        "images_by_year": _add_up(images, "year"),
        "images_by_zone": _add_up(images, "utm_zone", "utm_band"),
        "images_by_heading": [
            {"from": start, "to": start + DEGREES_PER_BIN, "images": by_bin.get(start // DEGREES_PER_BIN, 0)}
            for start in range(0, FULL_TURN, DEGREES_PER_BIN)
        ],
        "without_heading": by_bin.get(None, 0),
        "oddities": [
            {"what": f"{kind}: {what}", "images": count}
            for kind in ODDITIES
            for what, count in recipe["summary"].get(kind, {}).items()
            if count
        ],
    }


def _count_images(manifest: pl.LazyFrame) -> pl.DataFrame:
    """Return the number of images by year, zone, band and heading bin."""
    # Integer division is exact; a float quotient may be in the bin below.
    heading_bin = pl.col("heading").floor().cast(pl.Int32) // DEGREES_PER_BIN
    keys = ("year", "utm_zone", "utm_band", heading_bin.alias("heading_bin"))
    return manifest.group_by(*keys).agg(images=pl.len().cast(pl.Int64)).collect(engine="streaming")


def _add_up(counts: pl.DataFrame, *keys: str) -> list[dict[str, Any]]:
    """Return the number of images by some of the keys, sorted, null last."""
    return counts.group_by(keys).agg(pl.col("images").sum()).sort(keys, nulls_last=True).to_dicts()


def count_reasons(artifact: Path) -> dict[str, int]:
    """Return the number of rejects by reason, most frequent first."""
    counts = scan_rejects(artifact).group_by("reason").agg(files=pl.len()).collect(engine="streaming")
    return dict(counts.sort(-pl.col("files").cast(pl.Int64), "reason").iter_rows())


def show_summary(facts: dict[str, Any], glyphs: str) -> str:
    """Return the result of `summarise` as text."""
    headings = [(f"{row['from']} to {row['to']}", row["images"]) for row in facts["images_by_heading"]]
    years = [(str(row["year"] or "none"), row["images"]) for row in facts["images_by_year"]]
    zones = [(_zone(row["utm_zone"], row["utm_band"]), row["images"]) for row in facts["images_by_zone"]]
    charts = (
        chart("rejects by reason", reasons(facts), glyphs),
        chart("images by year", years, glyphs),
        chart("images by UTM zone and band", zones, glyphs),
        chart("images by heading, degrees", [*headings, ("none", facts["without_heading"])], glyphs),
    )
    odd = table([(row["what"], f"{row['images']:,}") for row in facts["oddities"]]) if facts["oddities"] else []
    figures = table([(name, f"{facts[name]:,}") for name in FIGURES if facts[name] is not None])
    parts = ([title(facts), *figures], ["unusual values", *odd], *charts)
    return "\n\n".join("\n".join(lines) for lines in parts if len(lines) > 1)


def title(facts: dict[str, Any]) -> str:
    """Return the first line of a text output."""
    return f"{facts['stage']} {facts['name']}, {facts['path']}"


def reasons(facts: dict[str, Any]) -> list[tuple[str, int]]:
    """Return reason and number of files of each reject reason."""
    return [(row["reason"], row["files"]) for row in facts["rejects_by_reason"]]


def _zone(zone: int | None, band: str | None) -> str:
    return "none" if zone is None and band is None else f"{'?' if zone is None else zone}{band or '?'}"
