"""UTM positions that are impossible in their zone, and the likely mistake."""

import polars as pl

BANDS = tuple("CDEFGHJKLMNPQRSTUVWX")  # of 8 degrees each, from 80 degrees south; the last one has 12
MIN_LATITUDE, BAND_DEGREES = -80.0, 8.0
# Eastings are within 100,000..900,000 m. Maps of Norway use zone 33 from coast to coast: 250 km more on either side.
EASTINGS = (-150_000.0, 1_150_000.0)
NORTHINGS = (-200_000.0, 10_200_000.0)  # a city on the equator may be in the frame of either hemisphere
MIN_METRES = 10_000.0  # easting and northing below it are not metres: no zone has such an easting
FALSE_NORTHING = 10_000_000.0
METRES_PER_DEGREE = 110_800.0  # of latitude; gives a northing's latitude within 0.3 degrees
BAND_MARGIN = 4.0  # degrees: adjacent bands of one hemisphere are often confused, which is harmless
HEMISPHERES = {"S": (1_000_000.0, FALSE_NORTHING), "N": (0.0, 9_400_000.0)}  # written by programs instead of a band

DEGREES = "these are degrees, not metres"
KILOMETRES = "these are kilometres, not metres"
ZONE_IN_EASTING = "the easting begins with the zone"
SWAPPED = "easting and northing are swapped"
BAD_EASTING = "eastings are between 100,000 and 900,000 m"
NO_FALSE_NORTHING = "the northing lacks the 10,000,000 m that are added in the south"
BAD_NORTHING = "northings are between 0 and 10,000,000 m"
OTHER_BAND = "the northing is not in this band"
UTM_FAULTS = (DEGREES, KILOMETRES, ZONE_IN_EASTING, SWAPPED, BAD_EASTING, NO_FALSE_NORTHING, BAD_NORTHING, OTHER_BAND)


def find_utm_faults(rows: pl.DataFrame) -> pl.Series:
    """Return which of `UTM_FAULTS` each row has, null without a fault or a zone.

    The band is checked only without latitude and longitude; with them, the two positions are compared instead.
    """
    usual = pl.col("utm_east").is_between(MIN_METRES, EASTINGS[1])
    usual &= pl.col("utm_north").is_between(MIN_METRES, NORTHINGS[1])
    usual &= pl.col("latitude").is_not_null() & pl.col("longitude").is_not_null()
    doubtful = rows.select((~usual & pl.col("utm_zone").is_not_null()).arg_true()).to_series()  # usually few
    faults = pl.Series("utm_fault", [None], pl.String).new_from_index(0, len(rows))
    return faults.scatter(doubtful, rows[doubtful].select(_utm_fault()).to_series()) if len(doubtful) else faults


def _utm_fault() -> pl.Expr:
    """Return the first fault of each row."""
    east, north, zone = pl.col("utm_east"), pl.col("utm_north"), pl.col("utm_zone")
    prefix = zone * 1e6
    faults = {
        DEGREES: (east.abs() <= 180) & (north.abs() <= 180) & (pl.min_horizontal(east.abs(), north.abs()) <= 90),
        KILOMETRES: (east.abs() < MIN_METRES) & (north.abs() < MIN_METRES),
        ZONE_IN_EASTING: east.is_between(prefix + 100_000, prefix + 900_000),
        SWAPPED: east.abs().is_between(EASTINGS[1], NORTHINGS[1]) & north.is_between(*EASTINGS),
        BAD_EASTING: ~east.is_between(*EASTINGS),
        NO_FALSE_NORTHING: ((north < 0) & (_band_latitude() < 0)) | north.is_between(-FALSE_NORTHING, NORTHINGS[0]),
        BAD_NORTHING: ~north.is_between(*NORTHINGS),
        OTHER_BAND: _is_in_other_band(north) & (pl.col("latitude").is_null() | pl.col("longitude").is_null()),
    }
    is_complete = pl.all_horizontal(pl.col("utm_east", "utm_north", "utm_zone").is_not_null())
    return pl.coalesce(pl.when(is_complete & fails).then(pl.lit(fault)) for fault, fails in faults.items()).alias(
        "utm_fault"
    )


def _band_latitude() -> pl.Expr:
    """Return the southern edge of each row's band, in degrees."""
    edges = {band: MIN_LATITUDE + number * BAND_DEGREES for number, band in enumerate(BANDS)}
    return pl.col("utm_band").replace_strict(edges, default=None, return_dtype=pl.Float64)


def _is_in_other_band(north: pl.Expr) -> pl.Expr:
    south = _band_latitude()
    latitude = (north - pl.when(south < 0).then(FALSE_NORTHING).otherwise(0.0)) / METRES_PER_DEGREE
    degrees = BAND_DEGREES + pl.when(pl.col("utm_band") == BANDS[-1]).then(4.0).otherwise(0.0)
    in_band = latitude.is_between(south - BAND_MARGIN, south + degrees + BAND_MARGIN)
    in_hemisphere = (
        (pl.col("utm_band") == letter) & north.is_between(*metres) for letter, metres in HEMISPHERES.items()
    )
    return ~pl.any_horizontal(in_band, *in_hemisphere)
