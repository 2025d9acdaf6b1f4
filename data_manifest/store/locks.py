"""File locks of POSIX systems. On Windows, importing this ends the program with one line."""

import sys

try:
    import fcntl
except ImportError:
    sys.exit("ERROR: this platform has no file locks (fcntl). On Windows, use WSL.")

__all__ = ["fcntl"]
