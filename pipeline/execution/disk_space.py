"""Estimate the disk space of manifests and groups, and check it before they are built."""

import logging
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.store.files import disk_usage, format_bytes

# Measured with benchmarks/sfxl_names.py: 600,000 sorted names of 100 bytes, 12 per panorama, which compress well. Names
# with nothing in common took 75 and 47 bytes, so the estimates are low.
MANIFEST_BYTES_PER_IMAGE = 10
MEMBERS_BYTES_PER_IMAGE = 11
SPREAD_BYTES_PER_IMAGE = 15  # uncompressed members in spread files, apart from their paths
logger = logging.getLogger(__name__)


def room_for_manifest(num_images: int, path_bytes: int) -> int:
    """Return the estimated bytes needed to build a manifest: the tables, and all paths in the spill file."""
    return num_images * MANIFEST_BYTES_PER_IMAGE + path_bytes


def room_for_groups(num_members: int, path_bytes: int) -> int:
    """Return the estimated bytes needed to build groups: the tables, and all members in spread files."""
    return num_members * (MEMBERS_BYTES_PER_IMAGE + SPREAD_BYTES_PER_IMAGE) + path_bytes


def check_space(folder: Path, needed_bytes: int, what: str, at_most: bool = False) -> None:
    """Log how much disk space is needed and free.

    Args:
        folder: Where the space is needed; it need not exist yet.
        needed_bytes: The estimate.
        what: Shown, such as "manifest of x".
        at_most: Whether much less may be needed, as when partitions are reused. Then nothing is raised.

    Raises:
        UserError: Too little is free. File systems that do not report their size are not checked.
    """
    total, free = disk_usage(folder)
    needs = f"{what}: needs {'at most ' if at_most else ''}about {format_bytes(needed_bytes)}"
    if total > 0 and free < needed_bytes and not at_most:
        raise UserError(f"{needs}; {format_bytes(free)} are free in {folder}. Free some or choose --artifacts-folder.")
    logger.info("%s, %s free in %s", needs, format_bytes(free), folder)
