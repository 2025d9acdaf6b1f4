"""What is done with each byte of names: compiled, or by libraries where nothing was compiled."""

import importlib
import logging
from types import ModuleType
from typing import TYPE_CHECKING

from pipeline import plain


def _choose() -> ModuleType:
    try:
        compiled = importlib.import_module("pipeline.compiled")
    except ImportError:  # no C compiler when it was installed, or what it made does not fit
        return plain
    return compiled if getattr(compiled, "VERSION", None) == plain.VERSION else plain  # or of an older checkout


_way = _choose()
IS_COMPILED, VERSION = _way is not plain, plain.VERSION
if TYPE_CHECKING:
    from pipeline.plain import cut, find_folders, find_lines, gather, number
else:
    cut, find_folders, find_lines = _way.cut, _way.find_folders, _way.find_lines
    gather, number = _way.gather, _way.number

__all__ = ["IS_COMPILED", "VERSION", "cut", "find_folders", "find_lines", "gather", "number", "say_if_slow"]


def say_if_slow(logger: logging.Logger) -> None:
    """Say that nothing is compiled, if so."""
    if not IS_COMPILED:
        text = "no compiled code is used, and names take longer: install a C compiler, then this project again"
        logger.info(text)
