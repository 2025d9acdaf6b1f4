"""Summarise the same training with several seeds: how much the recalls vary by chance. Imports no torch."""

import logging
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.inspect.bars import table
from data_manifest.store.publish import find_published, publishing
from data_manifest.store.recipe import Recipe
from data_manifest.tables import best_epoch, read_table, write_table

STAGE, VERSION = "seeds", 1  # raise VERSION when equal models give other tables
RECALLS = {k: f"recall_{k}" for k in (1, 5, 10, 20)}
logger = logging.getLogger(__name__)


def seeds_recipe(models: Mapping[int, Path]) -> Recipe:
    """Return the recipe of the summary of published models, by seed."""
    name = next(iter(models.values())).parent.name
    digests = {str(seed): model.name for seed, model in sorted(models.items())}
    return Recipe(STAGE, name, VERSION, {"seeds": sorted(models)}, {"training": digests})


def publish_seeds(artifacts: Path, models: Mapping[int, Path]) -> Path:
    """Publish the best validation recalls per seed, their mean and standard deviation; return the folder.

    Raises:
        UserError: The models are untrained.
    """
    recipe = seeds_recipe(models)
    if published := find_published(artifacts, recipe):
        return published
    seeds = pl.concat([_best_epoch(model, seed) for seed, model in sorted(models.items())])
    if seeds.is_empty():
        raise UserError("epochs_num = 0: untrained networks have no validation recalls. Give 1 or more.")
    summary = summarise(seeds)
    recalls = ", ".join(f"R@{row['k']} {_spread(row)}" for row in summary.to_dicts())
    with publishing(artifacts, recipe, {"made": f"{recalls} over {len(seeds)} seeds in validation"}) as staging:
        write_table(seeds, staging / "seeds" / "seeds.parquet", schemas.SEEDS)
        write_table(summary, staging / "summary" / "summary.parquet", schemas.SEEDS_SUMMARY)
    logger.info("validation recalls, percent:\n%s", "\n".join(_as_text(seeds, summary)))
    return recipe.folder(artifacts)


def _best_epoch(model: Path, seed: int) -> pl.DataFrame:
    best = best_epoch(read_table(model, "metrics"))
    return best.select(pl.lit(seed, pl.Int64).alias("seed"), "epoch", *RECALLS.values())


def summarise(seeds: pl.DataFrame) -> pl.DataFrame:
    """Return mean and sample standard deviation of each recall that all seeds have: the table SEEDS_SUMMARY."""
    recalls = {k: seeds[name] for k, name in RECALLS.items() if not seeds[name].has_nulls()}
    rows = [{"k": k, "seeds": len(seeds), "mean": each.mean(), "deviation": each.std()} for k, each in recalls.items()]
    return pl.DataFrame(rows, schema={"k": pl.Int32, "seeds": pl.Int32, "mean": pl.Float64, "deviation": pl.Float64})


def _spread(row: Mapping[str, float | None]) -> str:
    return f"{row['mean']:.1f}" if row["deviation"] is None else f"{row['mean']:.1f} ± {row['deviation']:.1f}"


def _as_text(seeds: pl.DataFrame, summary: pl.DataFrame) -> list[str]:
    """Return the lines of a table: seeds, mean, standard deviation."""
    ks = summary["k"].to_list()
    rows = [["seed", *(f"R@{k}" for k in ks)]]
    rows += [[str(row["seed"]), *(f"{row[RECALLS[k]]:.1f}" for k in ks)] for row in seeds.to_dicts()]
    rows.append(["mean", *(f"{mean:.1f}" for mean in summary["mean"])])
    if len(seeds) > 1:
        rows.append(["standard deviation", *(f"{deviation:.2f}" for deviation in summary["deviation"])])
    return table(rows)
