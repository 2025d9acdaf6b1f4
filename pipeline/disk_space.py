"""How many bytes tables will take on the disk, at most about.

Paths decide it. Compressed, a path of a hundred characters takes 9 bytes where the twelve images of a panorama lie
together, and 50 where each image has a panorama of its own; what is returned is for the latter.
"""

PATHS_COMPRESSED = 0.5
OTHER_BYTES_PER_ROW = 4  # what cannot be told from the path


def manifest_bytes(num_images: int, path_bytes: int) -> int:
    """Return the bytes of the manifest of so many images, whose paths have `path_bytes` together."""
    return int(PATHS_COMPRESSED * path_bytes) + OTHER_BYTES_PER_ROW * num_images


def groups_bytes(num_members: int, path_bytes: int) -> int:
    """Return the bytes of groups of so many images, whose paths have `path_bytes` together."""
    return int(PATHS_COMPRESSED * path_bytes) + OTHER_BYTES_PER_ROW * num_members
