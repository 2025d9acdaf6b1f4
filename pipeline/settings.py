"""The settings of the grouping, with the paper's values as defaults."""

import dataclasses
import logging

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting

FULL_TURN = 360.0  # degrees
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class GroupSettings(Settings):
    """How images become classes, and classes groups (paper, section 3.2)."""

    M: float = setting(10.0, "side of a cell, in metres")
    alpha: float = setting(30.0, "width of a heading bin, in degrees; 360 takes images without a heading as well")
    N: int = setting(5, "spacing of classes in cells: two classes of a group are at least M * (N - 1) metres apart")
    L: int = setting(2, "spacing of classes in heading bins: or at least alpha * (L - 1) degrees apart")
    min_images_per_class: int = setting(10, "classes with fewer images than this are left out")

    def check(self) -> None:
        """Refuse what cannot work."""
        if self.M <= 0:
            raise UserError(f"M = {self.M:g}: a cell needs a side of more than 0 metres")
        if not 0 < self.alpha <= FULL_TURN:
            raise UserError(f"alpha = {self.alpha:g}: a heading bin is more than 0 and at most 360 degrees wide")
        for name in ("N", "L", "min_images_per_class"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: it must be at least 1")

    @property
    def uses_headings(self) -> bool:
        """Whether the heading decides the class: not where one bin holds the full turn."""
        return self.alpha < FULL_TURN

    def warn_if_unwise(self) -> None:
        """Warn of settings that work, but not as the paper means them."""
        if FULL_TURN % self.alpha:
            logger.warning("alpha = %g does not divide 360: the last heading bin is narrower", self.alpha)
        if not self.uses_headings and self.L > 1:
            logger.warning("alpha = 360 makes one heading bin: with L = %d most groups stay empty, use L = 1", self.L)
        elif FULL_TURN % (self.alpha * self.L) and self.L > 1:
            text = "alpha * L = %g does not divide 360: classes of one group touch across north"
            logger.warning(text, self.alpha * self.L)
        if self.N == 1:
            logger.warning("N = 1: neighbouring cells come into the same group, which the classifier cannot tell apart")
