"""Settings of a training run, except NetworkSettings and AugmentationSettings. Imports no torch.

Names and defaults are those of the published CosPlace command line, except for `device`.
"""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.settings import Settings, setting
from training.network.settings import require

DEFAULT_GROUPS_NUM = 8
FP32, BF16, FP16 = PRECISIONS = ("fp32", "bf16", "fp16")
NO_SEED = -1
DEFAULT_CACHE_GB = 10.0


def _number_list(text: str) -> str:
    """Return numbers, separated by commas, without spaces and leading zeros; their order is kept.

    Raises:
        ValueError: The text is no list of numbers, or one is repeated.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]+", part) for part in parts):
        raise ValueError("expected numbers separated by commas, as in 0,7,12")
    numbers = [int(part) for part in parts]
    for number in numbers:
        if numbers.count(number) > 1:
            raise ValueError(f"{number} is repeated")
    return ",".join(map(str, numbers))


def _precision(name: str) -> str:
    if name not in PRECISIONS:
        raise ValueError(f"choose one of {', '.join(PRECISIONS)}")
    return name


@dataclass(frozen=True)
class GroupNumbers(Settings):
    """Which groups are trained on."""

    title = "Optimisation"

    groups_num: int = setting(DEFAULT_GROUPS_NUM, "number of groups to train on: the first non-empty ones")
    groups: str | None = setting(
        None,
        "group numbers to train on, in the order of the epochs, as in 0,7,12; replaces groups_num",
        form=_number_list,
        added_later=True,
    )

    @property
    def group_indices(self) -> tuple[int, ...] | None:
        """The indices of the groups to train on, in order; None for the first `groups_num`."""
        return None if self.groups is None else tuple(map(int, self.groups.split(",")))

    def check(self) -> None:
        """Raise UserError for invalid or contradictory values."""
        named = len(self.group_indices or ())
        agree = not named or self.groups_num in (named, DEFAULT_GROUPS_NUM)
        require(agree, self, "groups_num", f"but groups = {self.groups} names {named}; give only one of the two")
        require(self.groups_num > 0, self, "groups_num", "give 1 or more")


@dataclass(frozen=True)
class TrainingSettings(GroupNumbers):
    """Settings of the training: groups, batches, epochs, learning rates."""

    batch_size: int = setting(32, "images per batch, each of another class")
    epochs_num: int = setting(50, "number of epochs; 0 publishes the initial network")
    iterations_per_epoch: int = setting(10_000, "batches per epoch")
    lr: float = setting(1e-5, "learning rate of the network (Adam)")
    classifiers_lr: float = setting(0.01, "learning rate of the groups' classifiers (Adam)")
    use_amp16: bool = setting(False, "the same as precision = fp16")
    seed: int = setting(0, "random seed; -1: a new one at each start, so that resumed and repeated runs differ")
    precision: str | None = setting(
        None,
        "precision of training, fp32 (default), bf16 or fp16; 16 bits use half the memory and are faster where the "
        "hardware supports them",
        form=_precision,
        added_later=True,
    )
    warmup_iterations: int = setting(
        0, "iterations of linear learning rate warm-up at the start of the run; 0: off", added_later=True
    )
    lr_decay: float = setting(
        1.0, "factor on the learning rates after each epoch, above 0 and at most 1; 1: off", added_later=True
    )
    patience: int | None = setting(
        None, "stop after this many epochs without a better validation R@1", added_later=True
    )
    sync_batch_norm: bool = setting(
        False,
        "with several GPUs, compute batch norm statistics over the global batch, not per process",
        added_later=True,
    )

    @property
    def used_precision(self) -> str:
        """The network's precision: fp32, bf16 or fp16."""
        return FP16 if self.use_amp16 else self.precision or FP32

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON types, without `groups_num` if `groups` replaces it."""
        values = super().as_dict()
        if self.groups is not None:
            del values["groups_num"]
        # fp32 and fp16 by their first name, so that models trained then keep their digests
        values["use_amp16"] = self.used_precision == FP16
        if self.used_precision in (FP32, FP16):
            values.pop("precision", None)
        return values

    def check(self) -> None:
        """Raise UserError for invalid or contradictory values."""
        agree = not self.use_amp16 or self.precision in (None, FP16)
        require(agree, self, "precision", "but use_amp16 is set, which means fp16; give only one of the two")
        super().check()
        for field in ("batch_size", "iterations_per_epoch"):
            require(getattr(self, field) > 0, self, field, "give 1 or more")
        for field in ("epochs_num", "warmup_iterations"):
            require(getattr(self, field) >= 0, self, field, "give 0 or more")
        require(self.seed >= NO_SEED, self, "seed", "give 0 or more, or -1 for a new seed at each start")
        for field in ("lr", "classifiers_lr"):
            require(getattr(self, field) > 0, self, field, "give a learning rate above 0")
        require(0 < self.lr_decay <= 1, self, "lr_decay", "give a factor above 0 and at most 1")
        require(self.patience is None or self.patience > 0, self, "patience", "give 1 or more, or leave it out")

    def check_num_processes(self, num_processes: int) -> None:
        """Raise UserError if the processes cannot have equal shares of a batch."""
        if self.batch_size % num_processes:
            raise UserError(
                f"batch_size = {self.batch_size}: not divisible by the number of processes, {num_processes}. Give a "
                "multiple of --num-processes."
            )


@dataclass(frozen=True)
class RuntimeSettings(Settings):
    """Settings of the hardware and processes of a training; only packs of smaller copies change the result."""

    title = "Runtime"

    device: str = setting("auto", "device of the network: auto (a GPU if there is one), cpu, cuda or cuda:1 etc.")
    num_workers: int = setting(8, "processes that read and augment images, per training process; 0: none")
    checkpoint_minutes: float = setting(10.0, "minutes between checkpoints; one is also saved after each epoch")
    num_processes: int = setting(
        1,
        "processes on this machine that train or extract descriptors, each with its own GPU if there are any; a "
        "resumed run may change it",
    )
    shard_classifier: bool = setting(
        False,
        "split each group's classes over the training processes: less memory per GPU and less communication for groups "
        "of tens of thousands of classes; needs several processes",
    )
    packs: ImagesFolder | None = setting(
        None,
        "folder or URL of packs of the groups: training images are read from these, and their folder may be missing",
    )
    checkpoint_iterations: int | None = setting(None, "also save a checkpoint after this many iterations")
    augmentation_device: str = setting(
        "cpu",
        "where images are augmented: cpu (one by one in the workers) or cuda (in batches)",
        choices=("cpu", "cuda"),
    )
    tensorboard: bool = setting(False, "also write TensorBoard curves to the run's folder (needs package tensorboard)")
    cudnn_benchmark: bool = setting(
        False, "let cuDNN choose the fastest algorithms, which are not deterministic: equal runs differ by rounding"
    )
    compile: bool = setting(False, "compile the network with torch.compile: about a minute at the start, then faster")
    gradient_checkpointing: bool = setting(
        False, "compute activations of a timm backbone twice instead of keeping them: less memory, slower"
    )
    max_skipped_share: float = setting(
        0.05,
        "abort when more than this fraction of an epoch's images is unreadable (10 are always tolerated; 0: abort on "
        "the first)",
    )
    cache_folder: Path | None = setting(
        None,
        "folder on a fast disk that training images are copied to shortly before they are read, for images in a bucket "
        "or on a slow disk; kept for later runs",
    )
    cache_gb: float = setting(DEFAULT_CACHE_GB, "gigabytes (10^9 bytes) that cache_folder may take")

    def check(self) -> None:
        """Raise UserError for invalid values, or if a required package is missing."""
        known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is not None
        require(known, self, "device", "choose auto, cpu, cuda or cuda:1 etc.")
        require(self.num_workers >= 0, self, "num_workers", "give 0 or more")
        require(self.num_processes > 0, self, "num_processes", "give 1 or more")
        require(self.checkpoint_minutes > 0, self, "checkpoint_minutes", "give more than 0 minutes")
        valid = self.checkpoint_iterations is None or self.checkpoint_iterations > 0
        require(valid, self, "checkpoint_iterations", "give 1 or more, or leave it out")
        require(0 <= self.max_skipped_share <= 1, self, "max_skipped_share", "give 0 to 1")
        valid = not self.tensorboard or importlib.util.find_spec("tensorboard") is not None
        require(valid, self, "tensorboard", "package not installed: pip install tensorboard, or leave this out")
        valid = self.device != "cpu" or self.augmentation_device != "cuda"
        require(valid, self, "augmentation_device", "with device = cpu, give cpu")
        require(self.cache_gb > 0, self, "cache_gb", "give more than 0 gigabytes")
        valid = self.cache_folder is not None or self.cache_gb == DEFAULT_CACHE_GB
        require(valid, self, "cache_gb", "there is no cache without --cache-folder; give that too")

    def check_shard_classifier(self, num_processes: int) -> None:
        """Raise UserError if the classifiers are to be split over a single process."""
        valid = not self.shard_classifier or num_processes > 1
        require(valid, self, "shard_classifier", "a single process has all classes; give --num-processes 2 or more")


@dataclass(frozen=True)
class ChosenGroups(Settings):
    """An artifact of groups to train on, if not the current one."""

    title = "Grouping"

    groups_path: Path | None = setting(None, "folder of a groups artifact to train on, if not the current one")


@dataclass(frozen=True)
class SeedsSettings(Settings):
    """The seeds of a repeated training."""

    title = "Optimisation"

    seeds: str = setting("0,1,2", "seeds to train with, one model each; replaces seed", form=_number_list)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(map(int, self.seeds.split(",")))
