"""Files and folders that are not a user's photos: hidden ones, and those that systems keep among the photos."""

# Synology, QNAP, Windows, macOS and Linux; names that a user may have chosen, as thumbs, are not here.
SYSTEM_FOLDERS = (
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN"),
    *("System Volume Information", "__MACOSX", "lost+found"),
)
_SYSTEM_FOLDERS = frozenset(name.lower().encode() for name in SYSTEM_FOLDERS)


def is_hidden(name: bytes) -> bool:
    """Return whether a file is hidden, as .thumb.jpg and the ._photo.jpg that macOS writes beside photo.jpg."""
    return name.startswith(b".")


def is_system_folder(name: bytes) -> bool:
    """Return whether a folder is hidden, as .thumbnails, or one of `SYSTEM_FOLDERS` in any case."""
    return is_hidden(name) or name.lower() in _SYSTEM_FOLDERS
