"""Settings of extraction and evaluation, with their defaults and help texts. Imports neither torch nor faiss."""

from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.settings import Settings, setting

FP32, BF16 = "fp32", "bf16"
EXACT, IVFPQ, HNSW = "exact", "ivfpq", "hnsw"
METRES, FRAMES = "metres", "frames"
RECALL_VALUES = (1, 5, 10, 20)
POSITION_COLUMNS = ["utm_east", "utm_north", "utm_zone", "utm_band", "latitude"]  # of manifests


@dataclass(frozen=True)
class Threshold:
    """The largest distance between a query and a positive, in metres or frames."""

    value: float
    unit: str = METRES

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


WITHIN_25_M = Threshold(25.0)


@dataclass(frozen=True)
class Extraction:
    """Settings of the extraction of descriptors."""

    resized_to: int | None = None  # pixels of the shorter side of each image; None keeps each image's own size
    precision: str = FP32  # or bf16, which computes in 16 bits where that is safe
    batch_size: int = 16  # images, at most; changes descriptors only by rounding
    device: str = "auto"  # a GPU if there is one; or cpu, cuda, cuda:1
    num_workers: int = 8  # processes that load images; 0 loads them in this one


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Settings of images and positives; names and defaults are those of the published code."""

    title = "Evaluation"

    positive_dist_threshold: float = setting(
        WITHIN_25_M.value, "largest distance in metres between a query and a positive in the database"
    )
    resize_test_imgs: bool = setting(
        False, "resize test images so that the shorter side has image_size pixels; false keeps each image's own size"
    )
    infer_batch_size: int = setting(16, "batch size for extracting descriptors; never changes the result")

    def check(self) -> None:
        """Reject a negative threshold and empty batches."""
        if self.positive_dist_threshold < 0:
            raise UserError(f"positive_dist_threshold = {self.positive_dist_threshold}: must be at least 0 metres")
        if self.infer_batch_size < 1:
            raise UserError(f"infer_batch_size = {self.infer_batch_size}: must be at least 1 image")

    def extraction(
        self, image_size: ImageSize, device: str = "auto", num_workers: int = 8, precision: str = FP32
    ) -> Extraction:
        """Return how descriptors are extracted; `image_size` matters only if test images are resized."""
        resized_to = image_size.shorter_side if self.resize_test_imgs else None
        return Extraction(resized_to, precision, self.infer_batch_size, device, num_workers)


def _parse_recall_values(text: str) -> str:
    """Return numbers such as `1,5,10` sorted, each once.

    Raises:
        ValueError: One is not a whole number of at least 1.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError("expected whole numbers of at least 1, separated by commas, as in 1,5,10,20")
    return ",".join(map(str, sorted({int(part) for part in parts})))


@dataclass(frozen=True)
class RetrievalSettings(Settings):
    """Settings of the test of a finished model. Validation during training does not use these."""

    title = "Evaluation"

    infer_precision: str = setting(
        FP32,
        "precision of descriptors in tests; bf16 is faster on processors that have it, and changes recalls by some "
        "tenths of a point",
        choices=(FP32, BF16),
    )
    index: str = setting(
        EXACT,
        "exact search, or an approximate faiss index: ivfpq (small) or hnsw (large); its loss of recall is measured",
        choices=(EXACT, IVFPQ, HNSW),
    )
    recall_values: str = setting(",".join(map(str, RECALL_VALUES)), "values of k for R@k", form=_parse_recall_values)
    positive_dist_unit: str = setting(
        METRES,
        "unit of positive_dist_threshold: metres, or frames, where each image's pano_id is its number in a video; "
        "named test sets have their own",
        choices=(METRES, FRAMES),
    )

    @property
    def ks(self) -> tuple[int, ...]:
        """Values of k for R@k, in rising order."""
        return tuple(map(int, self.recall_values.split(",")))


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The model to use."""

    title = "Evaluation"

    model: str | None = setting(
        None,
        "folder of a training (artifacts/training/<data set>), weights or ONNX file, name or method "
        "(ResNet50-512, MegaLoc); its recipe gives network, data set and threshold, and nothing is "
        "trained",
    )
    train_new: bool = setting(False, "train a new model even if others of the same data set exist")

    def check(self) -> None:
        """Refuse to train a given model."""
        if self.model is not None and self.train_new:
            raise UserError(f"model = {self.model}: with train_new, a new model is trained. Give only one of the two.")


@dataclass(frozen=True)
class ChosenEvaluation(Settings):
    """A published evaluation."""

    title = "Evaluation"

    evaluation: Path | None = setting(
        None, "published evaluation to report on, or comparison of several, as in artifacts/evaluation/<data set>"
    )


@dataclass(frozen=True)
class ChosenSets(Settings):
    """Test sets other than the data set's own."""

    title = "Evaluation"

    test_sets: str | None = setting(
        None,
        "test sets that replace the data set's own, separated by commas: names such as sf-xl-v1,tokyo247,svox-night, "
        "and folders with database/ and queries*/",
    )
    test_sets_folder: ImagesFolder | None = setting(
        None, "folder of the named test sets, as in <test-sets-folder>/tokyo247/images/test/{database,queries}"
    )
