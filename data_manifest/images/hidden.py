"""Hidden files, and folders that operating systems and NAS devices create among photos."""

# Of Synology, QNAP, Windows, macOS and Linux. Names that users choose, such as thumbs, are not included.
SYSTEM_FOLDERS = (
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN"),
    *("System Volume Information", "__MACOSX", "lost+found"),
)
_SYSTEM_FOLDERS = frozenset(name.lower().encode() for name in SYSTEM_FOLDERS)


def is_hidden(name: bytes) -> bool:
    """Return whether a file is hidden, such as .thumb.jpg or the ._photo.jpg that macOS adds to photo.jpg."""
    return name.startswith(b".")


def is_system_folder(name: bytes) -> bool:
    """Return whether a folder is hidden or one of `SYSTEM_FOLDERS`; case does not matter."""
    return is_hidden(name) or name.lower() in _SYSTEM_FOLDERS
