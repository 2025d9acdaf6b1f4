"""Latitudes and longitudes as EXIF, XMP and tables write them, brought to signed degrees.

A position whose sign or parts the text does not settle is refused, never guessed.
"""

import math
import re

# Of each coordinate: the side that counts as positive, the other one, and the most degrees it can have.
COORDINATES = {"latitude": ("N", "S", 90), "longitude": ("E", "W", 180)}
SIDES = {"N": "N", "NORTH": "N", "S": "S", "SOUTH": "S", "E": "E", "EAST": "E", "W": "W", "WEST": "W"}
NOT_UNDERSTOOD = "not understood"
_SIDE, _NUMBER = f"({'|'.join(sorted(SIDES, key=len, reverse=True))})", r"([0-9]+(?:\.[0-9]+)?)"
# Primes, quotes, the masculine ordinal and the minus sign, as the characters that keyboards have.
_PLAIN = str.maketrans({"\u2032": "'", "\u2019": "'", "\u2033": '"', "\u201d": '"', "\u00ba": "°", "\u2212": "-"})
_TEXT = re.compile(
    rf"{_SIDE}?\s*([+-]?)\s*{_NUMBER}"
    rf"(?:(?:\s*(°|DEG|[,:])\s*|\s+){_NUMBER}"
    rf"(?:(?:\s*[',:]\s*|\s+){_NUMBER}\s*(?:\"|'')?|\s*'?)|\s*(?:°|DEG)?)"
    rf"\s*{_SIDE}?"
)


def signed_degrees(coordinate: str, value: object, side: str = "") -> float:
    """Return degrees, negative in the south and in the west.

    A negative number keeps its sign, and contradicts N or E beside it. A number without a sign needs a side.

    Args:
        coordinate: latitude or longitude.
        value: Degrees; or a tuple of degrees, minutes and seconds, the later ones optional; or a text such as
            `48 deg 51' 2.16" N`, `48,51.036N` or `S 33.9`.
        side: N, S, E or W, or the word, as written beside the value; empty if nothing is.

    Raises:
        ValueError: The value is no such position. The message says why.
    """
    positive, negative, most = COORDINATES[coordinate]
    sign, parts, side_in_text = _read_text(value) if isinstance(value, str) else ("", _numbers(value), "")
    sides = {_side(each) for each in (side, side_in_text) if each}
    if len(sides) > 1:
        raise ValueError(f"{side} contradicts {side_in_text}")
    if not sides <= {positive, negative}:
        raise ValueError(f"{side or side_in_text} is neither {positive} nor {negative}")
    is_negative = sign == "-" or parts[0] < 0
    if is_negative and positive in sides:
        raise ValueError(f"a negative number contradicts {positive}")
    if not (is_negative or sign or sides):
        raise ValueError(f"neither {positive} nor {negative} is given")
    degrees = _sum(abs(parts[0]), *parts[1:])
    if degrees > most:
        raise ValueError(f"more than {most} degrees")
    return -degrees if is_negative or negative in sides else degrees


def _read_text(text: str) -> tuple[str, tuple[float, ...], str]:
    """Return the sign, the numbers and the side that a text has."""
    found = _TEXT.fullmatch(text.strip("\0 ").translate(_PLAIN).upper())
    if not found:
        raise ValueError(NOT_UNDERSTOOD)
    before, sign, degrees, separator, minutes, seconds, after = found.groups(default="")
    if before and after:
        raise ValueError("a side on both ends")
    if separator == "," and not seconds and "." not in minutes:
        raise ValueError("the comma could separate minutes or be a decimal comma")
    return sign, tuple(float(part) for part in (degrees, minutes, seconds) if part), before or after


def _numbers(value: object) -> tuple[float, ...]:
    parts = value if isinstance(value, tuple) else (value,)
    if not 1 <= len(parts) <= 3:
        raise ValueError("not one to three numbers")
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError("not a number") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not a number")
    return numbers


def _side(text: str) -> str:
    """Return N, S, E or W; any other text as it is."""
    return SIDES.get(text.strip("\0 ").upper(), text)


def _sum(degrees: float, minutes: float = 0.0, seconds: float = 0.0) -> float:
    if not (0 <= minutes < 60 and 0 <= seconds <= 60):  # programs round 59.99996 seconds to 60
        raise ValueError("minutes and seconds go from 0 to less than 60")
    if (degrees % 1 and (minutes or seconds)) or (minutes % 1 and seconds):
        raise ValueError("a fraction before the last part")
    return degrees + minutes / 60 + seconds / 3600
