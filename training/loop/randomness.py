"""The seed of a run, and whether its algorithms are deterministic."""

import dataclasses
import logging
import secrets

import torch

from training.distributed.processes import broadcast_from_rank0
from training.settings import NO_SEED, RuntimeSettings, TrainingSettings

logger = logging.getLogger(__name__)


def set_randomness(training: TrainingSettings, runtime: RuntimeSettings) -> TrainingSettings:
    """Set whether cuDNN is deterministic, and return the settings with the seed to use.

    As in the published code, cuDNN is deterministic if there is a seed.
    """
    torch.backends.cudnn.benchmark = runtime.cudnn_benchmark
    torch.backends.cudnn.deterministic = training.seed != NO_SEED and not runtime.cudnn_benchmark
    return dataclasses.replace(training, seed=seed_to_use(training.seed))


def seed_to_use(seed: int) -> int:
    """Return the seed, or in place of NO_SEED a random one that all processes share."""
    if seed != NO_SEED:
        return seed
    logger.info("seed = -1: not deterministic; a resumed or repeated run draws other random numbers")
    return broadcast_from_rank0(secrets.randbits(31))
