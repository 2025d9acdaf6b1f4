"""Test sets of the literature: folders, thresholds, and published numbers of images.

Folders are those of SF-XL and of its authors' VPR-datasets-downloader.
"""

from dataclasses import dataclass
from typing import Any

from evaluation.settings import FRAMES, WITHIN_25_M, Threshold


@dataclass(frozen=True)
class NamedSet:
    """A test set of the literature."""

    name: str  # on the command line
    folders: tuple[str, ...]  # possible places of its database and queries in the folder of test sets
    num_queries: int
    num_database: int
    queries: str = "queries"  # name of the folder of its queries
    threshold: Threshold = WITHIN_25_M
    split: str | None = None  # of SF-XL: test or val
    rounding: tuple[int, int] = (1, 1)  # of the published numbers of queries and database images

    def warning(self, num_queries: int, num_database: int) -> str | None:
        """Return how these numbers of images differ from the published ones; None if they do not."""
        counts = (
            ("queries", num_queries, self.num_queries, self.rounding[0]),
            ("database images", num_database, self.num_database, self.rounding[1]),
        )
        wrong = [
            f"{found:,} {images}, published with {'about ' if rounding > 1 else ''}{published:,}"
            for images, found, published, rounding in counts
            if abs(found - published) > rounding // 2
        ]
        return "; ".join(wrong) or None


def _sf_xl(name: str, queries: str, num_queries: int, split: str = "test", num_database: int = 2_805_840) -> NamedSet:
    folders = tuple(f"{folder}/processed/{split}" for folder in ("sf-xl", "sf_xl"))
    return NamedSet(name, folders, num_queries, num_database, queries, split=split)


def _downloaded(
    name: str, folder: str, num_queries: int, num_database: int, split: str = "test", **others: Any
) -> NamedSet:
    folders = (f"{folder}/images/{split}", f"{folder}/{split}", folder)
    return NamedSet(name, folders, num_queries, num_database, **others)


def _svox(weather: str, num_queries: int) -> NamedSet:
    return _downloaded(f"svox-{weather}", "svox", num_queries, 17_000, queries=f"queries_{weather}", rounding=(1, 1000))


NAMED_SETS = {
    each.name: each
    for each in (
        _sf_xl("sf-xl-val", "queries", 7_983, split="val", num_database=8_015),
        _sf_xl("sf-xl-v1", "queries_v1", 1_000),
        _sf_xl("sf-xl-v2", "queries_v2", 598),
        _sf_xl("sf-xl-night", "queries_night", 466),
        _sf_xl("sf-xl-occlusion", "queries_occlusion", 76),
        _downloaded("pitts30k", "pitts30k", 6_816, 10_000),
        _downloaded("pitts250k", "pitts250k", 8_280, 83_952),
        _downloaded("tokyo247", "tokyo247", 315, 75_984),
        _downloaded("msls-val", "msls", 740, 18_871, split="val"),
        _downloaded("st-lucia", "st_lucia", 1_464, 1_549),
        _downloaded("nordland", "nordland", 27_592, 27_592, threshold=Threshold(10.0, FRAMES)),
        _downloaded("amstertime", "amstertime", 1_231, 1_231),
        _downloaded("eynsham", "eynsham", 24_000, 24_000, rounding=(1000, 1000)),
        _downloaded("sf-landmark", "san_francisco", 598, 1_040_000, rounding=(1, 10_000)),
        _svox("night", 823),
        _svox("overcast", 872),
        _svox("rain", 937),
        _svox("snow", 870),
        _svox("sun", 854),
    )
}
