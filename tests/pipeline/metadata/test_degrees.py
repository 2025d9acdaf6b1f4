import math

import pytest

from pipeline.metadata.degrees import signed_degrees


@pytest.mark.parametrize(
    ("value", "side", "degrees"),
    [
        (48.5, "N", 48.5),
        (48.5, " n ", 48.5),
        (48.5, "South", -48.5),
        (48.5, "S\0\0", -48.5),
        (-48.5, "S", -48.5),
        (-48.5, "", -48.5),
        ((48, 51, 2.16), "N", 48.8506),
        ((48, 51.036), "S", -48.8506),
        ((48, 50, 60), "N", 48.85),
        ("+48.5", "", 48.5),
        ("-48.5\0", "", -48.5),
        ("\u221248.5", "", -48.5),
        ("48,51.036N", "", 48.8506),
        ("48 deg 51' 2.16\" N", "", 48.8506),
        ("48° 51\u2032 2.16\u2033 S", "", -48.8506),
        ("N 48 51 2.16", "", 48.8506),
        ("48:51:2.16S", "", -48.8506),
        ("48.5 south", "S", -48.5),
    ],
)
def test_degrees_are_negative_in_the_south(value: object, side: str, degrees: float) -> None:
    assert signed_degrees("latitude", value, side) == pytest.approx(degrees, abs=1e-9)


@pytest.mark.parametrize(("side", "degrees"), [("E", 2.5), ("W", -2.5), ("west", -2.5)])
def test_degrees_are_negative_in_the_west(side: str, degrees: float) -> None:
    assert signed_degrees("longitude", 2.5, side) == degrees


@pytest.mark.parametrize(
    ("value", "side", "message"),
    [
        (48.5, "", "N or S is missing"),
        ("48.5", "", "N or S is missing"),
        (48.5, "E", "E is neither N nor S"),
        (48.5, "?", "? is neither N nor S"),
        (-48.5, "N", "a negative number contradicts N"),
        ("48.5 S", "N", "N contradicts S"),
        ("N 48.5 N", "", "N, S, E or W at both ends"),
        ("48,51", "N", "ambiguous comma: minutes or decimals"),
        ("51' 2\"", "N", "not understood"),
        ("north", "N", "not understood"),
        ((48, 60, 0), "N", "minutes and seconds must be in [0, 60)"),
        ((48, -51, 0), "N", "minutes and seconds must be in [0, 60)"),
        ((48, 51.036, 2.16), "N", "only the last number may have a fraction"),
        ((48.5, 1), "N", "only the last number may have a fraction"),
        ((90, 0, 1), "N", "more than 90 degrees"),
        ((), "N", "expected 1 to 3 numbers"),
        ((1, 2, 3, 4), "N", "expected 1 to 3 numbers"),
        (math.nan, "N", "not a number"),
        (None, "N", "not a number"),
    ],
)
def test_an_unclear_latitude_is_an_error(value: object, side: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        signed_degrees("latitude", value, side)
    assert str(error.value) == message
