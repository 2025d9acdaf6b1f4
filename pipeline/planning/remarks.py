"""What is to be known of a body of images: each remark with the numbers that it rests on, and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.planning.image_statistics import Facts
from pipeline.sources.settings import NAMES

BATCH = 32
FEW_CLASSES, FEW_IMAGES = 1_000, 20_000  # less has not trained a network from ImageNet weights to much
HOPELESS_IMAGES = 2_000  # a toy city of 3,000 renderings is learnt from nothing, at 64 pixels; photos differ by more
MOST = 0.9  # of the images: "nearly all"
WARNING, NOTE = "warning", "note"
MAP = "https://www.openstreetmap.org/?mlat={0:.4f}&mlon={1:.4f}#map=12/{0:.4f}/{1:.4f}"


@dataclass(frozen=True)
class Remark:
    """One thing to know: `kind` is warning or note; `text` has the numbers it rests on and what to do."""

    kind: str
    text: str


def use_headings(facts: Facts) -> bool:
    """Return whether most images have a heading that says something."""
    figures = facts.figures
    return bool(figures["with_heading"] > figures["images"] / 2) and not _one_heading(figures)


def takeable(facts: Facts) -> int:
    """Return how many images a grouping could take: those with a heading, where headings are used."""
    return int(facts.figures["with_heading" if use_headings(facts) else "images"])


def _one_heading(figures: dict[str, Any]) -> bool:
    return bool(figures["distinct_headings"] == 1 and figures["with_heading"] > 1)


def _in_radians(figures: dict[str, Any]) -> bool:
    """Return whether headings seem to be radians: all are within a turn or half a turn of them, mostly fractions."""
    headings = figures["with_heading"]
    within = headings in (figures["heading_within_2_pi"], figures["heading_within_pi_of_0"])
    return bool(within and figures["distinct_headings"] > 1 and figures["heading_is_fractional"] > headings / 2)


def all_remarks(facts: Facts, taken: dict[str, Any] | None) -> Iterator[Remark]:
    """Give everything that is to be known; `taken` is how much the grouping to use trains on, if there is one."""
    yield from _on_amount(facts, taken)
    yield from _on_headings(facts)
    yield from _on_positions(facts)
    yield from _on_years(facts)


def _on_amount(facts: Facts, taken: dict[str, Any] | None) -> Iterator[Remark]:
    figures = facts.figures
    if figures["rejects"]:
        share = figures["rejects"] / (figures["rejects"] + figures["images"])
        text = (
            f"{figures['rejects']:,} files ({share:.1%}) are rejects: python -m data_manifest rejects {facts.manifest}"
        )
        yield Remark(WARNING if share > 0.05 else NOTE, text)
    if taken is None:
        text = (
            f"{figures['images']:,} images make no group of {BATCH} classes, one for each image of a batch: that is "
            "too little to train on. Use published weights with --resume-model, and these images as the database"
        )
        yield Remark(WARNING, text)
    elif taken["images"] < HOPELESS_IMAGES:
        text = (
            f"{taken['images']:,} images in {taken['classes']:,} classes can be trained on, and are far too few for a "
            "network to learn from: use published weights with --resume-model, and these images as the database"
        )
        yield Remark(WARNING, text)
    elif taken["classes"] < FEW_CLASSES or taken["images"] < FEW_IMAGES:
        text = (
            f"{taken['images']:,} images in {taken['classes']:,} classes are little to train on (SF-XL: "
            "5.6 million): begin with published weights, --resume-model, and look at the validation whether it helps"
        )
        yield Remark(WARNING, text)


def _on_headings(facts: Facts) -> Iterator[Remark]:
    figures, without = facts.figures, facts.figures["images"] - facts.figures["with_heading"]
    if without:
        text = f"{without:,} of {figures['images']:,} images have no heading"
        if not use_headings(facts):
            text += ": --alpha 360 --L 1 makes classes of cells alone, each of all directions"
        else:
            text += " and will be left out; --heading from-track estimates those of a camera that looks along its way"
        yield Remark(NOTE, text)
    if _in_radians(figures):
        text = (
            f"all {figures['with_heading']:,} headings are within 0 to 6.28 or -3.14 to 3.14, so they seem to be "
            "radians: convert them to degrees (times 57.2958) and build the manifest again"
        )
        yield Remark(WARNING, text)
    if _one_heading(figures):
        text = (
            f"all {figures['with_heading']:,} headings are one number: that is no measurement, unless the images were "
            "selected for it (SF-XL's small/train, made with L = 12, has 0 alone: train on it with --groups-num 1)"
        )
        yield Remark(WARNING, text)
    elif figures["heading_is_0"] > MOST * figures["with_heading"] > 0:
        yield Remark(WARNING, f"{figures['heading_is_0']:,} headings are 0, as of a camera without a compass")
    elif figures["with_heading"] and figures["heading_in_steps_of_30"] > MOST * figures["with_heading"]:
        text = (
            f"{figures['heading_in_steps_of_30']:,} of {figures['with_heading']:,} headings are multiples of 30: those "
            "of crops counted from north. They lie on the borders of bins; that does no harm while they are exact"
        )
        yield Remark(NOTE, text)
    if figures["magnetic"]:
        others = figures["with_heading"] - figures["magnetic"]
        text = (
            f"{figures['magnetic']:,} headings count from magnetic north, {others:,} do not: in one city the "
            "difference is one angle, which matters only where both kinds are mixed"
        )
        yield Remark(NOTE, text)
    if figures["from_track"]:
        yield Remark(NOTE, f"{figures['from_track']:,} headings are estimated from tracks: take alpha of 60 or more")
    if figures["panoramas"]:
        source = "" if facts.source == NAMES else f" --source {facts.source}"
        text = (
            f"{figures['panoramas']:,} images are whole panoramas: cut them into views with CropPanoramas{source} first"
        )
        yield Remark(WARNING, text)
    if figures["turned"]:
        text = f"{figures['turned']:,} photos are stored turned (EXIF's orientation); they are read upright"
        yield Remark(NOTE, text)


def _on_positions(facts: Facts) -> Iterator[Remark]:
    figures, frames = facts.figures, facts.frames
    if figures["at_a_shared_position"] > 0.01 * figures["images"]:
        text = (
            f"{figures['at_a_shared_position']:,} images share their position with another shot, up to "
            f"{figures['most_at_a_position']:,} shots at one: of a camera that stood still, copies of a photo, or "
            "positions that are not measured, as that of a town's centre"
        )
        yield Remark(WARNING if figures["most_at_a_position"] > 50 else NOTE, text)
    if figures["rounded"] > MOST * figures["with_latitude"] > 0:
        yield Remark(WARNING, "latitudes have at most 3 decimals, 100 metres: too coarse for cells of metres")
    if len(frames) > 1:
        shown = ", ".join(f"{each['images']:,} in {_frame(each)}" for each in frames[:5])
        text = (
            f"images are in {len(frames)} UTM zones or hemispheres: {shown}. Cells and distances end at the border of "
            "a zone; if all are of one city, the small ones may be mistakes"
        )
        yield Remark(NOTE, text)
    if frames and frames[0]["latitude"] is not None:
        latitude, longitude = frames[0]["latitude"], frames[0]["longitude"]
        text = (
            f"most images are around latitude {latitude:.4f}, longitude {longitude:.4f}: is that the place "
            f"({MAP.format(latitude, longitude)})? If not, are the two swapped?"
        )
        yield Remark(NOTE, text)
    if facts.source == "exif":
        text = "positions of phones and cameras are off by 5 to 15 metres: cells of less than 20 metres would be noise"
        yield Remark(NOTE, text)


def _frame(frame: dict[str, Any]) -> str:
    return f"zone {frame['utm_zone'] or '?'} {frame['hemisphere'] or '?'}"


def _on_years(facts: Facts) -> Iterator[Remark]:
    fit = [each for each in facts.years if each["answered"] >= 0.5 and each["images"] >= 20]
    if len(facts.years) > 1 and fit:
        newest = fit[-1]
        text = (
            f"{newest['images']:,} images of {newest['year']} could be queries: {newest['answered']:.0%} have an "
            "image of another year within about 25 metres; --split time takes the newest as queries"
        )
        yield Remark(NOTE, text)
    elif len(facts.years) <= 1:
        yield Remark(NOTE, "all images are of one year, or of none that is known: --split area keeps places apart")
    else:
        yield Remark(NOTE, "hardly any place was photographed in two years: --split area keeps places apart")
