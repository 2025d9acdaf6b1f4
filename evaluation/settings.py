"""The settings of an evaluation, with their defaults and help texts. Imports neither torch nor faiss."""

from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting

FP32, BF16 = "fp32", "bf16"
EXACT, IVFPQ, HNSW = "exact", "ivfpq", "hnsw"
METRES, FRAMES = "metres", "frames"
TOP = 5  # matches that a photo is shown with, unless others are asked for


def _rising_numbers(text: str) -> str:
    """Return whole numbers with commas between as `1,5,10`, sorted, each once.

    Raises:
        ValueError: One is no whole number, or less than 1.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError("expected whole numbers of 1 and more with commas between, as in 1,5,10,20")
    return ",".join(map(str, sorted({int(part) for part in parts})))


@dataclass(frozen=True)
class Threshold:
    """What counts as a positive: a database image at most this far from the query, in metres or frames."""

    value: float
    unit: str = METRES

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


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


@dataclass(frozen=True)
class RetrievalSettings(Settings):
    """How a finished model is tested. Training does not have these: what it validates with stays the same."""

    infer_precision: str = setting(
        FP32,
        "numbers that the network computes descriptors with when it is tested; bf16 is faster where the processor has "
        "it, and changes recalls by some tenths",
        choices=(FP32, BF16),
    )
    index: str = setting(
        EXACT,
        "how the best matches are searched: exact, or by an index of faiss that is faster and may miss some, ivfpq "
        "(small) or hnsw (large); what it misses is measured and shown",
        choices=(EXACT, IVFPQ, HNSW),
    )
    recall_values: str = setting("1,5,10,20", "each k of which R@k is wanted", form=_rising_numbers)
    positive_dist_unit: str = setting(
        METRES,
        "unit of positive_dist_threshold in a folder of one's own: metres, or frames where the names give each image's "
        "number in a video as its pano_id; named test sets have units of their own",
        choices=(METRES, FRAMES),
    )

    @property
    def ks(self) -> tuple[int, ...]:
        """Each k of which R@k is wanted, rising."""
        return tuple(map(int, self.recall_values.split(",")))


@dataclass(frozen=True)
class ChosenSets(Settings):
    """What to test on that is not the data set's own test set."""

    test_sets: str | None = setting(
        None,
        "what to test on in place of the data set's own test set, with commas between: names such as "
        "sf-xl-v1,tokyo247,svox-night, and folders with database/ and queries*/",
    )
    test_sets_folder: Path | None = setting(
        None, "holds the named test sets, as in <test-sets-folder>/tokyo247/images/test/{database,queries}"
    )
