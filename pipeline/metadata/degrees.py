"""Parse latitudes and longitudes into signed degrees. Ambiguity is an error."""

import math
import re

# Positive side, negative side and maximum of each coordinate.
COORDINATES = {"latitude": ("N", "S", 90), "longitude": ("E", "W", 180)}
NOT_UNDERSTOOD = "not understood"
_SIDE, _NUMBER = "(N(?:ORTH)?|S(?:OUTH)?|E(?:AST)?|W(?:EST)?)", r"([0-9]+(?:\.[0-9]+)?)"
# Primes, quotes, the masculine ordinal and the minus sign, and their ASCII characters.
_ASCII = str.maketrans({"\u2032": "'", "\u2019": "'", "\u2033": '"', "\u201d": '"', "\u00ba": "°", "\u2212": "-"})
_TEXT = re.compile(
    rf"{_SIDE}?\s*([+-]?)\s*{_NUMBER}"
    rf"(?:(?:\s*(°|DEG|[,:])\s*|\s+){_NUMBER}"
    rf"(?:(?:\s*[',:]\s*|\s+){_NUMBER}\s*(?:\"|'')?|\s*'?)|\s*(?:°|DEG)?)"
    rf"\s*{_SIDE}?"
)


def signed_degrees(coordinate: str, value: object, side: str = "") -> float:
    """Return degrees, negative in the south and west.

    A number without a sign needs a side. A negative number contradicts N and E.

    Args:
        coordinate: latitude or longitude.
        value: Degrees; or a tuple of degrees, minutes and seconds, the later ones optional; or a text such as
            `48 deg 51' 2.16" N`, `48,51.036N` or `S 33.9`.
        side: N, S, E or W, or the word, if it is given apart from the value.

    Raises:
        ValueError: The value is not such a position. The message says why.
    """
    positive, negative, most = COORDINATES[coordinate]
    sign, parts, side_in_text = _parse(value) if isinstance(value, str) else ("", _finite_numbers(value), "")
    sides = {_letter(each) for each in (side, side_in_text) if each}
    if len(sides) > 1:
        raise ValueError(f"{side} contradicts {side_in_text}")
    if not sides <= {positive, negative}:
        raise ValueError(f"{side or side_in_text} is neither {positive} nor {negative}")
    is_negative = sign == "-" or parts[0] < 0
    if is_negative and positive in sides:
        raise ValueError(f"a negative number contradicts {positive}")
    if not (is_negative or sign or sides):
        raise ValueError(f"{positive} or {negative} is missing")
    degrees = _add(abs(parts[0]), *parts[1:])
    if degrees > most:
        raise ValueError(f"more than {most} degrees")
    return -degrees if is_negative or negative in sides else degrees


def _parse(text: str) -> tuple[str, tuple[float, ...], str]:
    """Return the sign, the numbers and the side in a text."""
    match = _TEXT.fullmatch(text.strip("\0 ").translate(_ASCII).upper())
    if not match:
        raise ValueError(NOT_UNDERSTOOD)
    before, sign, degrees, separator, minutes, seconds, after = match.groups(default="")
    if before and after:
        raise ValueError("N, S, E or W at both ends")
    if separator == "," and not seconds and "." not in minutes:
        raise ValueError("ambiguous comma: minutes or decimals")
    return sign, tuple(float(part) for part in (degrees, minutes, seconds) if part), before or after


def _finite_numbers(value: object) -> tuple[float, ...]:
    parts = value if isinstance(value, tuple) else (value,)
    if not 1 <= len(parts) <= 3:
        raise ValueError("expected 1 to 3 numbers")
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError, ArithmeticError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not a number")
    return numbers


def _letter(side: str) -> str:
    """Return N, S, E or W for a side or its word; other text is unchanged."""
    word = side.strip("\0 ").upper()
    return word[0] if re.fullmatch(_SIDE, word) else side


def _add(degrees: float, minutes: float = 0.0, seconds: float = 0.0) -> float:
    if not (0 <= minutes < 60 and 0 <= seconds <= 60):  # programs round 59.99996 seconds to 60
        raise ValueError("minutes and seconds must be in [0, 60)")
    if (degrees % 1 and (minutes or seconds)) or (minutes % 1 and seconds):
        raise ValueError("only the last number may have a fraction")
    return degrees + minutes / 60 + seconds / 3600
