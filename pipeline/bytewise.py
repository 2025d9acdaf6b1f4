"""What is done with each byte of names: compiled, or where that could not be, by libraries."""

try:
    from pipeline.compiled import cut, find_folders, find_lines, gather, number
except ImportError:  # no C compiler when it was installed
    from pipeline.plain import cut, find_folders, find_lines, gather, number

__all__ = ["cut", "find_folders", "find_lines", "gather", "number"]
