"""Settings of a training run: the one home of their defaults, help texts and limits.

Nothing here imports torch: the command line is made from these classes, and listing its options must not cost seconds.
Names and defaults are those of the published CosPlace command line, except for `device`.
"""

import importlib.util
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_manifest.images.image_size import PUBLISHED_IMAGE_SIZE, ImageSize
from data_manifest.settings import Settings, setting
from training.network.settings import require

logger = logging.getLogger(__name__)


PUBLISHED_GROUPS_NUM = 8
FP32, BF16, FP16 = PRECISIONS = ("fp32", "bf16", "fp16")
NO_SEED = -1


def _numbers_in_one_form(text: str, what: str = "group numbers") -> str:
    """Return numbers with commas between as `0,7,12`; their order stays.

    Raises:
        ValueError: They are no numbers, or one is there twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]+", part) for part in parts):
        raise ValueError(f"expected {what} with commas between, as in 0,7,12")
    numbers = [int(part) for part in parts]
    for number in numbers:
        if numbers.count(number) > 1:
            raise ValueError(f"{number} is there more than once")
    return ",".join(map(str, numbers))


def _precision(name: str) -> str:
    if name not in PRECISIONS:
        raise ValueError(f"choose one of {', '.join(PRECISIONS)}")
    return name


def _seeds_in_one_form(text: str) -> str:
    return _numbers_in_one_form(text, "seeds")


@dataclass(frozen=True)
class AugmentationSettings(Settings):
    """How training images are augmented."""

    image_size: ImageSize | int | None = setting(
        None,
        "size of the images that the network is trained on, in pixels: rows x columns, as in 480x640, or the side of a "
        f"square; none means {PUBLISHED_IMAGE_SIZE}, and where a given model is evaluated, what its file states",
    )
    brightness: float = setting(0.7, "strength of brightness jitter: a factor from [1 - b, 1 + b], 0 for none")
    contrast: float = setting(0.7, "strength of contrast jitter: a factor from [1 - c, 1 + c], 0 for none")
    hue: float = setting(0.5, "strength of hue jitter: a shift from [-h, h] turns of the colour circle, at most 0.5")
    saturation: float = setting(0.7, "strength of saturation jitter: a factor from [1 - s, 1 + s], 0 for none")
    random_resized_crop: float = setting(
        0.5, "strength of the random crop: it keeps a share of the area from [1 - r, 1]; 0 for none, at most 1"
    )

    @property
    def size(self) -> ImageSize:
        """The size of the images that the network is trained on."""
        return PUBLISHED_IMAGE_SIZE if self.image_size is None else ImageSize.of(self.image_size)

    @property
    def crop_scale(self) -> tuple[float, float]:
        """The range from which the share of the area that a crop keeps is drawn."""
        return round(1 - self.random_resized_crop, 9), 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON knows them, with the default image size filled in.

        The range of crops is added except at 0.5, where it is the same as in the first version, which drew from [r, 1]:
        so models trained at the default keep their digests.
        """
        crops = {} if self.random_resized_crop == 0.5 else {"crop_scale": list(self.crop_scale)}
        return {**super().as_dict(), "image_size": self.size.plain, **crops}

    def check(self) -> None:
        """Raise UserError for values that no augmentation can have."""
        require(self.size.shorter_side > 0, self, "image_size", "an image needs a side of more than 0 pixels")
        for field in ("brightness", "contrast", "saturation"):
            require(getattr(self, field) >= 0, self, field, "a strength is 0 or more")
        require(0 <= self.hue <= 0.5, self, "hue", "a shift of hue lies between 0 and 0.5 turns of the colour circle")
        require(0 <= self.random_resized_crop <= 1, self, "random_resized_crop", "give a value from 0 to 1")


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How long and how fast to learn, and from how many groups."""

    groups_num: int = setting(
        PUBLISHED_GROUPS_NUM, "number of groups to train on: the first that many that are not empty"
    )
    batch_size: int = setting(32, "images in a batch, each of another class")
    epochs_num: int = setting(50, "number of epochs; 0 keeps the network as it starts")
    iterations_per_epoch: int = setting(10_000, "batches in an epoch")
    lr: float = setting(1e-5, "learning rate of the network (Adam)")
    classifiers_lr: float = setting(0.01, "learning rate of the groups' classifiers (Adam)")
    use_amp16: bool = setting(False, "the same as precision = fp16")
    seed: int = setting(
        0,
        "seed of everything that is random; -1 sets none: each start draws other numbers, so a resumed or repeated run "
        "differs (a finished one still counts as finished)",
    )
    groups: str | None = setting(
        None,
        "group numbers to train on, in the order of the epochs, as in 0,7,12; in place of the first groups_num",
        form=_numbers_in_one_form,
        added_later=True,
    )
    precision: str | None = setting(
        None,
        "numbers that the network computes in: fp32, which none means, or where that is safe bf16 or fp16, in half of "
        "the memory and faster, where the GPU or CPU has them",
        form=_precision,
        added_later=True,
    )
    warmup_iterations: int = setting(
        0, "iterations in which the learning rates rise from near 0 to their values; 0 for none", added_later=True
    )
    lr_decay: float = setting(
        1.0, "factor on the learning rates after each epoch, above 0 and at most 1; 1 for none", added_later=True
    )
    patience: int | None = setting(
        None, "stop when so many epochs after the best one have not raised R@1 in validation", added_later=True
    )

    sync_batch_norm: bool = setting(
        False,
        "have batch norms see the whole batch where several processes share it, on GPUs; otherwise each sees its part",
        added_later=True,
    )

    @property
    def used_precision(self) -> str:
        """What the network computes in: fp32, bf16 or fp16."""
        return FP16 if self.use_amp16 else self.precision or FP32

    @property
    def group_indices(self) -> tuple[int, ...] | None:
        """The groups to train on, in the order in which they take turns; None for the first `groups_num`."""
        return None if self.groups is None else tuple(map(int, self.groups.split(",")))

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON knows them, without `groups_num` where `groups` has its place."""
        values = super().as_dict()
        if self.groups is not None:
            del values["groups_num"]
        # fp32 and fp16 under the names that they had first, so that models made then keep their digests
        values["use_amp16"] = self.used_precision == FP16
        if self.used_precision in (FP32, FP16):
            values.pop("precision", None)
        return values

    def check(self) -> None:
        """Raise UserError for counts and rates that cannot train, and for two answers to which groups."""
        agree = not self.use_amp16 or self.precision in (None, FP16)
        require(agree, self, "precision", "but use_amp16 is set, which means fp16; leave one of the two out")
        named = len(self.group_indices or ())
        agree = not named or self.groups_num in (named, PUBLISHED_GROUPS_NUM)
        require(agree, self, "groups_num", f"but groups = {self.groups} names {named}; leave one of the two out")
        for field in ("groups_num", "batch_size", "iterations_per_epoch"):
            require(getattr(self, field) > 0, self, field, "training needs at least 1")
        require(self.epochs_num >= 0, self, "epochs_num", "0 or more is needed")
        require(self.seed >= NO_SEED, self, "seed", "give 0 or more, or -1 for none")
        for field in ("lr", "classifiers_lr"):
            require(getattr(self, field) > 0, self, field, "a learning rate lies above 0")
        require(self.warmup_iterations >= 0, self, "warmup_iterations", "0 or more is needed")
        require(0 < self.lr_decay <= 1, self, "lr_decay", "a factor that lies above 0 and is at most 1 is needed")
        require(self.patience is None or self.patience > 0, self, "patience", "give 1 epoch or more, or leave it out")


@dataclass(frozen=True)
class ChosenGroups(Settings):
    """Groups to train on that are not today's."""

    groups_path: Path | None = setting(
        None, "folder of a groups artifact to train on, in place of that of the training images as they are now"
    )


@dataclass(frozen=True)
class RuntimeSettings(Settings):
    """Where and with how many processes to run: never part of what a result depends on."""

    device: str = setting("auto", "where the network runs: auto (a GPU if there is one), cpu, cuda, or cuda:1 etc.")
    num_workers: int = setting(8, "processes that read and augment images, and pass them on in shared memory; 0: none")
    checkpoint_minutes: float = setting(
        10.0, "a checkpoint is saved when so many minutes have passed since the last, and after each epoch"
    )
    num_processes: int = setting(
        1,
        "processes that train together on this machine, each on a GPU of its own if there are any; a run may continue "
        "with another number, even within an epoch",
    )
    checkpoint_iterations: int | None = setting(None, "a checkpoint is saved after each so many iterations as well")
    augmentation_device: str = setting(
        "cpu",
        "where images are augmented: cpu, one by one in the workers, or cuda, in batches",
        choices=("cpu", "cuda"),
    )
    tensorboard: bool = setting(
        False, "write curves of the run for TensorBoard too, into its folder; needs the package tensorboard"
    )
    cudnn_benchmark: bool = setting(
        False,
        "let cuDNN use the fastest algorithms for a GPU, also those that are not deterministic: equal runs then differ "
        "by rounding",
    )
    compile: bool = setting(False, "have torch compile the network: a minute or so at the start, faster iterations")
    max_skipped_share: float = setting(
        0.05,
        "share of an epoch's samples whose image may turn out unreadable, so that another of the class is taken; "
        "more stop the run, unless they are no more than 10; with 0 each does",
    )

    def check(self) -> None:
        """Raise UserError for an unknown device, counts and times that cannot be, or a package that is missing."""
        known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is not None
        require(known, self, "device", "choose auto, cpu, cuda, or cuda:1 and so on")
        require(self.num_workers >= 0, self, "num_workers", "0 or more processes are needed")
        require(self.num_processes > 0, self, "num_processes", "1 or more is needed")
        require(self.checkpoint_minutes > 0, self, "checkpoint_minutes", "more than 0 minutes are needed")
        require(
            self.checkpoint_iterations is None or self.checkpoint_iterations > 0,
            *(self, "checkpoint_iterations", "give 1 iteration or more, or leave it out"),
        )
        require(0 <= self.max_skipped_share <= 1, self, "max_skipped_share", "a share lies between 0 and 1")
        installed = importlib.util.find_spec("tensorboard") is not None
        require(
            installed or not self.tensorboard,
            *(self, "tensorboard", "that package is not installed here: pip install tensorboard, or leave this out"),
        )
        both = self.device == "cpu" and self.augmentation_device == "cuda"
        require(not both, self, "augmentation_device", "with device = cpu, images can be varied on the cpu alone")


@dataclass(frozen=True)
class SeedsSettings(Settings):
    """How often to train the same."""

    seeds: str = setting(
        "0,1,2", "seeds to train with, one model for each, as in 0,1,2; in place of seed", form=_seeds_in_one_form
    )

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(map(int, self.seeds.split(",")))
