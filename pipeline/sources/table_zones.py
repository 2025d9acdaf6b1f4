"""UTM zones as tables write them: 33, 33.0, 33U with the band, or 33S, which means a band or the southern hemisphere.

Band S is a strip of the northern hemisphere (latitude 32 to 40), and S is also what many programs write for south. What
is meant is told by the latitude, if there is one, else by the metres: in band S, `utm_north` is about 3.5 to 4.4
million. With other metres S is the southern hemisphere, and N likewise the northern one beyond its band. From 51 to 60
degrees south, where both would fit, a bare S is taken for the band.
"""

import polars as pl
import utm

ZONE_AND_BAND = r"^(\d{1,2})\s*([A-Za-z])$"
WHOLE = r"^(\d{1,2})\.0*$"  # of a program that knows numbers with fractions alone
# The metres of a band, widened by 200 km: a city that lies across its border is often given the letter of one side.
METRES_OF_BAND = {"N": (-200_000.0, 1_090_000.0), "S": (3_340_000.0, 4_640_000.0)}
SOUTH = "S"


def zone_and_band() -> tuple[pl.Expr, pl.Expr]:
    """Return zone and band, given as texts, apart also where both are written as one, as in 31U."""
    zone, band = pl.col("utm_zone").str.replace(WHOLE, "$1"), pl.col("utm_band")
    both = zone.str.contains(ZONE_AND_BAND)
    number, letter = zone.str.extract(ZONE_AND_BAND, 1), zone.str.extract(ZONE_AND_BAND, 2)
    return (
        pl.when(both).then(number).otherwise(zone).alias("utm_zone"),
        pl.when(both & (band == "")).then(letter).otherwise(band).str.to_uppercase().alias("utm_band"),
    )


def with_bands_for_hemispheres(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows, of texts, with the band where N or S was written for a hemisphere."""
    doubtful = rows.with_row_index("row").filter(pl.col("utm_band").is_in(list(METRES_OF_BAND)))
    if doubtful.is_empty():
        return rows
    bands = rows["utm_band"].to_list()
    columns = ("utm_east", "utm_north", "latitude")
    numbers = doubtful.with_columns(pl.col(name).cast(pl.Float64, strict=False) for name in columns)
    zones = numbers.with_columns(pl.col("utm_zone").cast(pl.Int32, strict=False))
    for row, letter, zone, east, north, latitude in zones.select("row", "utm_band", "utm_zone", *columns).iter_rows():
        bands[row] = _band(letter, zone, east, north, latitude)
    return rows.with_columns(utm_band=pl.Series(bands, dtype=pl.String))


def _band(letter: str, zone: int | None, east: float | None, north: float | None, latitude: float | None) -> str:
    """Return the band that a letter stands for: itself, unless a latitude or the metres say otherwise."""
    if latitude is None:
        if zone is None or east is None or north is None:
            return letter
        low, high = METRES_OF_BAND[letter]
        if low <= north <= high:
            return letter
        try:
            latitude, _ = utm.to_latlon(east, north, zone, northern=letter != SOUTH)
        except ValueError:  # nowhere on Earth: the row is a reject, for what it says
            return letter
    return str(utm.latitude_to_zone_letter(latitude) or letter)
