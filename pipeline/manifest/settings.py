"""Settings of the split of photos into training, validation and test sets."""

import dataclasses

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting

NONE, AREA, TIME = "none", "area", "time"


@dataclasses.dataclass(frozen=True)
class SplitSettings(Settings):
    """Settings of the split of one folder into training, validation and test sets."""

    title = "Data"

    split: str = setting(
        NONE,
        "how --photos-folder becomes training, validation and test sets. area: in blocks, so that they share no place; "
        "time: the newest photos are the queries",
        choices=(NONE, AREA, TIME),
    )
    block_m: float = setting(200.0, "side of a block in metres, for split = area")
    margin_m: float = setting(
        50.0, "training photos less than this many metres from a block of another split are dropped, for split = area"
    )
    val_share: float = setting(0.1, "approximate share of the photos for validation; for split = time: of its queries")
    test_share: float = setting(0.1, "approximate share of the photos for the test; for split = time: of its queries")
    queries_share: float = setting(0.2, "share of queries among the validation and test photos, for split = area")
    split_seed: int = setting(0, "another number gives another split of the same photos")

    def check(self) -> None:
        """Raise UserError if the values cannot work."""
        if self.block_m <= 0:
            raise UserError(f"block_m = {self.block_m:g} must be more than 0 metres.")
        if not 0 <= self.margin_m <= self.block_m:
            raise UserError(f"margin_m = {self.margin_m:g} must be between 0 and block_m = {self.block_m:g}.")
        for name in ("val_share", "test_share", "queries_share"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name):g} must be between 0 and 1.")
        if self.val_share + self.test_share >= 1:
            shares = f"val_share = {self.val_share:g} and test_share = {self.test_share:g}"
            raise UserError(f"{shares} leave nothing to train on. Lower one.")
