"""Tables and bar charts as text."""

from collections.abc import Sequence

BLOCKS = "▏▎▍▌▋▊▉█"  # eighths of a character
ASCII = "#"
BAR_WIDTH = 30


def glyphs_for(encoding: str | None) -> str:
    """Return the characters that bars are drawn with, thinnest first: blocks if the encoding has them, else #."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return BLOCKS


def bar(value: float, largest: float, glyphs: str = BLOCKS) -> str:
    """Return a bar whose length is proportional to a value; a value above 0 is always visible."""
    if value <= 0:
        return ""
    steps = max(1, round(value / largest * BAR_WIDTH * len(glyphs)))
    full, rest = divmod(steps, len(glyphs))
    return glyphs[-1] * full + (glyphs[rest - 1] if rest else "")


def chart(title: str, counts: Sequence[tuple[str, int]], glyphs: str = BLOCKS) -> list[str]:
    """Return a title and one line per label with its count, its share of the total and its bar."""
    total = sum(count for _, count in counts) or 1
    largest = max((count for _, count in counts), default=0)
    rows = [(label, f"{count:,}", f"{count / total:.1%}", bar(count, largest, glyphs)) for label, count in counts]
    return [title, *table(rows, left=(0, 3))]


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Return rows as lines of aligned columns; the columns in `left` are left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    justify = [str.ljust if index in left else str.rjust for index in range(len(widths))]
    cells = [[align(cell, width) for align, cell, width in zip(justify, row, widths, strict=True)] for row in rows]
    return ["  " + "  ".join(row).rstrip() for row in cells]


def printable(text: str) -> str:
    """Return a text with control characters escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
