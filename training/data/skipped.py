"""Images that could not be read: told, counted, and kept beside the run's metrics, one row an image.

Of processes that train together each has a file of its own.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.tables import read_table, write_table
from training.data.dataset import Skipped
from training.data.sampling import EpochPlan
from training.distributed.processes import number_of_processes, own_number

SKIPPED = "skipped"
ALWAYS_BORNE = 10  # skips of an epoch that stop no run, unless none are borne: in few samples, one is a large share
logger = logging.getLogger(__name__)


class SkippedImages:
    """The images that a run has skipped.

    Args:
        run_folder: Where their table lies; it is written when an image is skipped for the first time.
        max_share: The share of an epoch's samples for which an image may be skipped; more stop the run.
    """

    def __init__(self, run_folder: Path, max_share: float) -> None:
        self.max_share = max_share
        self.file = run_folder / SKIPPED / f"process-{own_number()}.parquet"
        self.rows = (
            {row["path"]: row for row in pl.read_parquet(self.file, glob=False).to_dicts()}
            if self.file.exists()
            else {}
        )
        self.epoch, self.count = -1, 0

    def add(self, skipped: Sequence[Skipped], plan: EpochPlan) -> None:
        """Note the images that a batch has skipped.

        Raises:
            UserError: They are more of the epoch than may be.
        """
        if self.epoch != plan.epoch:
            self.epoch, self.count = plan.epoch, 0
        self.count += len(skipped)
        new = {path: reason for path, reason in skipped if path not in self.rows}
        for path, reason in new.items():
            logger.warning("%s skipped, another image of its class taken: %s", path, reason)
            self.rows[path] = {"path": path, "detail": reason, "epoch": plan.epoch}
        if new:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_table(pl.DataFrame(list(self.rows.values())).sort("path"), self.file, schemas.SKIPPED)
        self._require_few(plan)

    def _require_few(self, plan: EpochPlan) -> None:
        samples = plan.num_samples // number_of_processes()
        borne = max(self.max_share * samples, ALWAYS_BORNE) if self.max_share else 0
        if self.count > borne:
            raise UserError(
                f"{self.count} times in epoch {plan.epoch + 1} an image could not be read: more than "
                f"max_skipped_share = {self.max_share} of {samples} allows. {len(self.rows)} are listed in "
                f"{self.file}; mend or restore them, or raise --max-skipped-share"
            )


def all_skipped(run_folder: Path) -> pl.DataFrame | None:
    """Return the images that all processes of a run have skipped, each once; None if there are none."""
    if not any((run_folder / SKIPPED).glob("*.parquet")):
        return None
    return (
        read_table(run_folder, SKIPPED)
        .sort("path", "epoch", "detail")
        .unique("path", keep="first", maintain_order=True)
    )
