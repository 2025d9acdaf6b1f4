"""Parse UTM zones of tables: 33, 33.0, 33U, or 33S for a band or the south.

A letter N or S is a hemisphere if the latitude or, without one, `utm_north` is outside that band. From 51 to 60 degrees
south both would fit, and the band is assumed.
"""

import polars as pl
import utm

ZONE_AND_BAND = r"^(\d{1,2})\s*([A-Za-z])$"
WHOLE = r"^(\d{1,2})\.0*$"  # from programs that store all numbers as floats
# The northings of a band, and 200 km on either side for a city that crosses the band's edge.
NORTHINGS = {"N": (-200_000.0, 1_090_000.0), "S": (3_340_000.0, 4_640_000.0)}


def split_zone_and_band() -> tuple[pl.Expr, pl.Expr]:
    """Return zone and band as text, split where both are in one text such as 31U."""
    zone, band = pl.col("utm_zone").str.replace(WHOLE, "$1"), pl.col("utm_band")
    number, letter = (zone.str.extract(ZONE_AND_BAND, group) for group in (1, 2))
    return (
        pl.coalesce(number, zone).alias("utm_zone"),
        pl.when(band == "").then(letter.fill_null("")).otherwise(band).str.to_uppercase().alias("utm_band"),
    )


def bands_for_hemispheres(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the band in place of an N or S that means the hemisphere."""
    doubtful = rows.with_row_index("row").filter(pl.col("utm_band").is_in(list(NORTHINGS)))
    if doubtful.is_empty():
        return rows
    numbers = doubtful.select(
        pl.col("utm_zone").cast(pl.Int32, strict=False),
        pl.col("utm_east", "utm_north", "latitude").cast(pl.Float64, strict=False),
    )
    bands = [_band(letter, *row) for letter, row in zip(doubtful["utm_band"], numbers.iter_rows(), strict=True)]
    return rows.with_columns(rows["utm_band"].scatter(doubtful["row"], pl.Series(bands)))


def _band(letter: str, zone: int | None, east: float | None, north: float | None, latitude: float | None) -> str:
    """Return N or S itself, unless the latitude or the metres are of another band."""
    if latitude is None:
        if zone is None or east is None or north is None or NORTHINGS[letter][0] <= north <= NORTHINGS[letter][1]:
            return letter
        try:
            latitude, _ = utm.to_latlon(east, north, zone, northern=letter == "N")
        except ValueError:  # impossible metres or zone: a rule rejects the row
            return letter
    return str(utm.latitude_to_zone_letter(latitude) or letter)
