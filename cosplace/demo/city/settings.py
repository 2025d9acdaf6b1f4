"""Settings of the toy city."""

from dataclasses import dataclass

SPACINGS_M = (10, 20, 30, 60)


class CityError(Exception):
    """A user error, printed without a traceback."""


@dataclass(frozen=True)
class CitySettings:
    """`size` is in pixels, `spacing` in metres between adjacent places of a street; the rest are counts."""

    seed: int = 0
    size: int = 64
    places: int = 33
    spacing: int = 20
    train_years: int = 8

    def __post_init__(self) -> None:
        for name, minimum in (("seed", 0), ("size", 16), ("places", 2), ("train_years", 1)):
            value = getattr(self, name)
            if value < minimum:
                raise CityError(f"{name} = {value}: expected at least {minimum}.")
        if self.spacing not in SPACINGS_M:
            raise CityError(f"spacing = {self.spacing}: choose one of {', '.join(map(str, SPACINGS_M))} metres.")
