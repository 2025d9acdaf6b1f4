"""The settings of an evaluation, with their defaults and help texts. Imports neither torch nor faiss."""

from dataclasses import dataclass

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """How images are read and what counts as a positive; the names and defaults are those of the published code."""

    positive_dist_threshold: float = setting(
        25.0, "a database image at most this many metres from a query is one of its positives"
    )
    resize_test_imgs: bool = setting(
        False, "resize the images so that the shorter side has image_size pixels; otherwise each keeps its own size"
    )
    infer_batch_size: int = setting(16, "images in a batch of descriptors; never changes the result")

    def check(self) -> None:
        """Refuse a threshold that no distance can meet and batches without images."""
        if self.positive_dist_threshold < 0:
            raise UserError(
                f"positive_dist_threshold = {self.positive_dist_threshold}: a distance has at least 0 metres"
            )
        if self.infer_batch_size < 1:
            raise UserError(f"infer_batch_size = {self.infer_batch_size}: a batch needs at least 1 image")
