"""Log and count unreadable images, and list them next to the run's metrics; each rank writes its own file."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.tables import read_table, write_table
from training.data.dataset import SkippedImage
from training.data.sampling import EpochPlan
from training.distributed.processes import rank, world_size

SKIPPED = "skipped"
TOLERATED_SKIPS = 10  # per epoch, unless max_share is 0: in a short epoch, one is a large fraction
logger = logging.getLogger(__name__)


class SkippedLog:
    """The unreadable images of a run, of which an epoch may have the fraction `max_share` of its samples."""

    def __init__(self, run_folder: Path, max_share: float) -> None:
        self.max_share = max_share
        self.file = run_folder / SKIPPED / f"process-{rank()}.parquet"
        self.rows = (
            {row["path"]: row for row in pl.read_parquet(self.file, glob=False).to_dicts()}
            if self.file.exists()
            else {}
        )
        self.epoch, self.count = -1, 0

    def add(self, skipped: Sequence[SkippedImage], plan: EpochPlan) -> None:
        """Add the unreadable images of a batch.

        Raises:
            UserError: The epoch has too many.
        """
        if self.epoch != plan.epoch:
            self.epoch, self.count = plan.epoch, 0
        self.count += len(skipped)
        new = {path: reason for path, reason in skipped if path not in self.rows}
        for path, reason in new.items():
            logger.warning("unreadable image %s (%s): replaced by another of its class", path, reason)
            self.rows[path] = {"path": path, "detail": reason, "epoch": plan.epoch}
        if new:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_table(pl.DataFrame(list(self.rows.values())).sort("path"), self.file, schemas.SKIPPED)
        samples = plan.num_samples // world_size()
        if self.count > (max(self.max_share * samples, TOLERATED_SKIPS) if self.max_share else 0):
            raise UserError(
                f"{self.count} unreadable images in {samples} samples of epoch {plan.epoch + 1}, more than "
                f"max_skipped_share = {self.max_share} allows. {self.file} lists {len(self.rows)} images: repair or "
                "restore them, or raise --max-skipped-share."
            )


def all_skipped(run_folder: Path) -> pl.DataFrame | None:
    """Return the unreadable images of all ranks, one row each, or None if there are none."""
    if not any((run_folder / SKIPPED).glob("*.parquet")):
        return None
    return (
        read_table(run_folder, SKIPPED)
        .sort("path", "epoch", "detail")
        .unique("path", keep="first", maintain_order=True)
    )
