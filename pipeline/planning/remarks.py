"""Say what is notable about images: remarks on amount, headings, positions and years, each with its numbers."""

from collections.abc import Iterator
from typing import Any

from pipeline.planning.advise_training import warn_of_amount
from pipeline.planning.image_statistics import ImageStatistics
from pipeline.sources.settings import NAMES

NEARLY_ALL = 0.9
WARNING, NOTE = "warning", "note"
Remark = tuple[str, str]  # WARNING or NOTE, and the text with numbers and what to do
MAP = "https://www.openstreetmap.org/?mlat={0:.4f}&mlon={1:.4f}#map=12/{0:.4f}/{1:.4f}"


def make_remarks(statistics: ImageStatistics, trainable: dict[str, int] | None) -> Iterator[Remark]:
    """Yield all remarks; `trainable` is that of the suggested plan, None without one."""
    yield from _on_amount(statistics, trainable)
    yield from _on_headings(statistics)
    yield from _on_positions(statistics)
    if len(statistics.years) > 1:
        yield NOTE, "--split time makes the newest photos the queries; --split area separates places"
    else:
        yield NOTE, "all images are of one year or of unknown years: use --split area, which separates places"


def _on_amount(statistics: ImageStatistics, trainable: dict[str, int] | None) -> Iterator[Remark]:
    figures = statistics.figures
    if rejects := figures["rejects"]:
        share = rejects / (rejects + figures["images"])
        text = f"{rejects:,} files ({share:.1%}) are rejects: cosplace rejects {statistics.manifest}"
        yield WARNING if share > 0.05 else NOTE, text
    if warning := warn_of_amount(figures["images"], trainable):
        yield WARNING, warning


def _on_headings(statistics: ImageStatistics) -> Iterator[Remark]:
    figures = statistics.figures
    headings, without = figures["with_heading"], figures["images"] - figures["with_heading"]
    if without:
        advice = "--alpha 360 --L 1 makes classes without headings"
        if statistics.uses_headings:
            advice = "they will be dropped; --heading from-track estimates headings of a camera that faces forward"
        yield NOTE, f"{without:,} of {figures['images']:,} images have no heading: {advice}"
    if _are_radians(figures):
        text = "seem to be radians: convert them to degrees (times 57.2958) and build the manifest again"
        yield WARNING, f"all {headings:,} headings are within 0 to 6.28 or -3.14 to 3.14, and {text}"
    if statistics.has_one_heading:
        yield (
            WARNING,
            f"all {headings:,} headings are the same, so they are not measured, unless the images were selected by "
            "heading (SF-XL's small/train, made with L = 12, has only 0: train on it with --groups-num 1)",
        )
    elif figures["heading_is_0"] > NEARLY_ALL * headings > 0:
        yield WARNING, f"{figures['heading_is_0']:,} headings are 0, as from a camera without a compass"
    elif headings and figures["heading_in_steps_of_30"] > NEARLY_ALL * headings:
        yield (
            NOTE,
            f"{figures['heading_in_steps_of_30']:,} of {headings:,} headings are multiples of 30, as of crops that "
            "start at north: they are on the borders of heading bins, which is harmless while they are exact",
        )
    if magnetic := figures["magnetic"]:
        others = f"{headings - magnetic:,} on true north or an unknown one"
        yield (
            NOTE,
            f"{magnetic:,} headings are based on magnetic north, {others}: within a city the difference is one angle, "
            "which matters only if both kinds are mixed",
        )
    if figures["from_track"]:
        yield NOTE, f"{figures['from_track']:,} headings are estimated from tracks: use an alpha of at least 60"
    if panoramas := figures["panoramas"]:
        source = "" if statistics.source == NAMES else f" --source {statistics.source}"
        yield WARNING, f"{panoramas:,} images are whole panoramas: first cut them with cosplace crop{source}"
    if figures["turned"]:
        yield NOTE, f"{figures['turned']:,} photos are stored rotated (EXIF orientation); they are read upright"


def _are_radians(figures: dict[str, Any]) -> bool:
    """Return whether headings seem to be radians: all in the range of a full turn of radians, mostly fractions."""
    headings = figures["with_heading"]
    is_within = headings in (figures["heading_within_2_pi"], figures["heading_within_pi_of_0"])
    return bool(is_within and figures["distinct_headings"] > 1 and figures["heading_is_fractional"] > headings / 2)


def _on_positions(statistics: ImageStatistics) -> Iterator[Remark]:
    figures, zones = statistics.figures, statistics.zones
    if figures["at_a_shared_position"] > 0.01 * figures["images"]:
        yield (
            WARNING if figures["most_at_a_position"] > 50 else NOTE,
            f"{figures['at_a_shared_position']:,} images share their position with another shot, up to "
            f"{figures['most_at_a_position']:,} shots at one position: from a camera that did not move, copies of a "
            "photo, or positions that were not measured, such as a town's centre",
        )
    if figures["rounded"] > NEARLY_ALL * figures["with_latitude"] > 0:
        yield WARNING, "latitudes have at most 3 decimals (100 metres): too coarse for cells of metres"
    if len(zones) > 1:
        names = (f"zone {each['utm_zone'] or '?'} {each['hemisphere'] or '?'}" for each in zones[:5])
        shown = ", ".join(f"{each['images']:,} in {name}" for each, name in zip(zones, names, strict=False))
        yield (
            NOTE,
            f"images are in {len(zones)} UTM zones or hemispheres: {shown}. Cells and distances end at the border of a "
            "zone. If all images are of one city, the small ones may be errors",
        )
    if zones and (latitude := zones[0]["latitude"]) is not None:
        longitude = zones[0]["longitude"]
        yield (
            NOTE,
            f"most images are around latitude {latitude:.4f}, longitude {longitude:.4f}: check the place at "
            f"{MAP.format(latitude, longitude)}; if it is wrong, the two may be swapped",
        )
    if statistics.source == "exif":
        yield NOTE, "positions of phones and cameras are off by 5 to 15 metres: use cells of at least 20 metres"
