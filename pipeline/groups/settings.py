"""The settings of the grouping, with the paper's values as defaults."""

import dataclasses
import logging
import math

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from pipeline.metadata.fields import FULL_TURN
from pipeline.metadata.years import normalize_years

MIN_M = 1e-3  # metres: the numbers of smaller cells would not fit the classes table
MAX_INT32 = 2**31 - 1  # groups and heading bins are 32-bit numbers in the tables
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class GroupSettings(Settings):
    """Settings of classes and groups (paper, section 3.2)."""

    title = "Grouping"

    M: float = setting(10.0, "side of a cell, in metres")
    alpha: float = setting(30.0, "width of a heading bin, in degrees; 360 takes images without a heading as well")
    N: int = setting(5, "spacing of classes in cells: two classes of a group are at least M * (N - 1) metres apart")
    L: int = setting(2, "spacing of classes in heading bins: or at least alpha * (L - 1) degrees apart")
    min_images_per_class: int = setting(10, "classes with fewer images than this are left out")
    years: str | None = setting(
        None,
        "take only images of these years, as in 2013-2018, 2015, 2013,2015-2017, 2013- or =-2018; none takes all, "
        "also those without a year",
        form=normalize_years,
        added_later=True,
    )

    def check(self) -> None:
        """Raise a `UserError` for values that cannot work."""
        if self.M <= 0:
            raise UserError(f"M = {self.M:g}: a cell needs a side of more than 0 metres")
        if self.M < MIN_M:
            raise UserError(f"M = {self.M:g}: a cell needs a side of at least {MIN_M:g} metres")
        if not 0 < self.alpha <= FULL_TURN:
            raise UserError(f"alpha = {self.alpha:g}: a heading bin is more than 0 and at most 360 degrees wide")
        if FULL_TURN / self.alpha > MAX_INT32:
            raise UserError(f"alpha = {self.alpha:g}: that makes more than {MAX_INT32:,} heading bins")
        for name in ("N", "L", "min_images_per_class"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: it must be at least 1")
        if self.N**2 * self.L > MAX_INT32:
            raise UserError(f"N = {self.N}, L = {self.L}: N * N * L makes more than {MAX_INT32:,} groups")

    @property
    def uses_headings(self) -> bool:
        """Whether the heading decides the class: not if one bin covers the full turn."""
        return self.alpha < FULL_TURN

    def warn_if_unwise(self) -> None:
        """Warn of values that work, but not as the paper intends."""
        num_bins = math.ceil(FULL_TURN / self.alpha)
        if not _divides_full_turn(self.alpha):
            logger.warning("alpha = %g does not divide 360: the last heading bin is narrower", self.alpha)
        if not self.uses_headings and self.L > 1:
            logger.warning("alpha = 360 makes one heading bin: with L = %d most groups stay empty, use L = 1", self.L)
        elif num_bins < self.L:
            logger.warning("L = %d, but alpha makes %d heading bins: groups stay empty", self.L, num_bins)
        elif 1 < self.L < num_bins and not _divides_full_turn(self.alpha * self.L):
            text = "alpha * L = %g does not divide 360: classes of one group touch across north"
            logger.warning(text, self.alpha * self.L)
        if self.N == 1:
            logger.warning(
                "N = 1 puts adjacent cells in the same group, where the classifier may not be able to separate them"
            )


def _divides_full_turn(degrees: float) -> bool:
    """Return whether 360 is a multiple of the degrees, which may be inexact in binary, such as 7.2."""
    times = FULL_TURN / degrees
    return math.isclose(times, round(times), rel_tol=1e-9)
