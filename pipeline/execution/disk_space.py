"""How much room a manifest and groups need on the disk: said before work starts, and refused where it is not there."""

import logging
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.files import disk_usage, format_bytes

# Measured on benchmarks/sfxl_names.py: 600,000 names of 100 bytes, 12 of each panorama, sorted by path as the tables
# are, so that neighbours compress to little. Names with nothing in common took 75 and 47: the estimate is a low one.
MANIFEST_BYTES_PER_IMAGE = 10
MEMBERS_BYTES_PER_IMAGE = 11
ASIDE_BYTES_PER_IMAGE = 10  # of the members put aside, uncompressed, beside their paths
logger = logging.getLogger(__name__)


def manifest_bytes(num_images: int) -> int:
    """Return about how many bytes the manifest of so many images takes."""
    return num_images * MANIFEST_BYTES_PER_IMAGE


def groups_bytes(num_members: int) -> int:
    """Return about how many bytes groups of so many images take."""
    return num_members * MEMBERS_BYTES_PER_IMAGE


def room_for_manifest(num_images: int, path_bytes: int) -> int:
    """Return about how many bytes building a manifest needs: the tables, and the paths in the spill file.

    Args:
        num_images: How many images there are.
        path_bytes: How many bytes their paths have together.
    """
    return manifest_bytes(num_images) + path_bytes


def room_for_groups(num_members: int, path_bytes: int) -> int:
    """Return about how many bytes building groups needs: the members, and the same put aside on the way."""
    return groups_bytes(num_members) + num_members * ASIDE_BYTES_PER_IMAGE + path_bytes


def check_space(folder: Path, needed_bytes: int, what: str, at_most: bool = False) -> None:
    """Say how much room something needs in a folder, and how much there is.

    Args:
        folder: Where it is made; it need not be there yet.
        needed_bytes: What it needs.
        what: What it is called, as in "manifest of x".
        at_most: Whether it may need much less, as where parts are taken over from before: then it is not refused.

    Raises:
        UserError: There is not enough. Some network file systems do not tell: there it is tried.
    """
    total, free = disk_usage(folder)
    needs = f"{what}: needs {'at most ' if at_most else ''}about {format_bytes(needed_bytes)}"
    if total > 0 and free < needed_bytes and not at_most:
        raise UserError(
            f"{needs}, and {format_bytes(free)} are free in {folder}: free some, or choose --artifacts-folder"
        )
    logger.info("%s, %s free in %s", needs, format_bytes(free), folder)
