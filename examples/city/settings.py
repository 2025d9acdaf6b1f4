"""What the user chooses about the toy city, checked when made."""

from dataclasses import dataclass

SPACINGS_M = (10, 20, 30, 60)


class CityError(Exception):
    """A mistake of the user, told in one message."""


@dataclass(frozen=True)
class CitySettings:
    """`size` in pixels, `spacing` in metres between neighbouring places of a street; the rest are counts."""

    seed: int = 0
    size: int = 64
    places: int = 33
    spacing: int = 20
    train_years: int = 8

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("size", 16), ("places", 2), ("train_years", 1)):
            value = getattr(self, name)
            if value < least:
                raise CityError(f"{name} = {value}: at least {least} is needed")
        if self.spacing not in SPACINGS_M:
            raise CityError(f"spacing = {self.spacing}: choose one of {', '.join(map(str, SPACINGS_M))} metres")
