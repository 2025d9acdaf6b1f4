"""The test sets that the literature compares on: where their images lie, what counts as right, how many there are.

Folders are those that SF-XL has, and those that its authors' VPR-datasets-downloader makes. Counts are the published
ones; "24 k" is compared as such.
"""

from dataclasses import dataclass

from evaluation.settings import FRAMES, Threshold

WITHIN_25_M = Threshold(25.0)


@dataclass(frozen=True)
class Count:
    """A published number of images, exact, or in thousands as it was rounded."""

    number: int
    unit: int = 1

    def agrees(self, found: int) -> bool:
        """Return whether a number of images would be written so."""
        return abs(found - self.number) <= self.unit // 2

    def __str__(self) -> str:
        return f"{self.number:,}" if self.unit == 1 else f"about {self.number:,}"


@dataclass(frozen=True)
class NamedSet:
    """A test set that is known by name.

    Args:
        name: As on a command line.
        folders: Where it may lie in the folder of test sets; each would hold the database and the queries.
        num_queries: As published.
        num_database: As published.
        queries: The folder of its queries.
        threshold: What counts as a positive.
        split: The part of SF-XL that it is, test or val, where it is one.
    """

    name: str
    folders: tuple[str, ...]
    num_queries: Count
    num_database: Count
    queries: str = "queries"
    threshold: Threshold = WITHIN_25_M
    split: str | None = None

    def warning(self, num_queries: int, num_database: int) -> str | None:
        """Return how these numbers of images differ from the published ones, if they do."""
        found = (("queries", num_queries, self.num_queries), ("database images", num_database, self.num_database))
        wrong = [
            f"{number:,} {what}, published with {count}" for what, number, count in found if not count.agrees(number)
        ]
        return "; ".join(wrong) or None


def _sf_xl(name: str, queries: str, num_queries: int, split: str = "test", num_database: int = 2_805_840) -> NamedSet:
    folders = tuple(f"{folder}/processed/{split}" for folder in ("sf-xl", "sf_xl"))
    return NamedSet(name, folders, Count(num_queries), Count(num_database), queries, split=split)


def _downloaded(
    name: str,
    folder: str,
    num_queries: Count,
    num_database: Count,
    split: str = "test",
    queries: str = "queries",
    threshold: Threshold = WITHIN_25_M,
) -> NamedSet:
    folders = (f"{folder}/images/{split}", f"{folder}/{split}", folder)
    return NamedSet(name, folders, num_queries, num_database, queries, threshold)


def _svox(weather: str, num_queries: int) -> NamedSet:
    counts = Count(num_queries), Count(17_000, 1000)
    return _downloaded(f"svox-{weather}", "svox", *counts, queries=f"queries_{weather}")


NAMED_SETS = {
    each.name: each
    for each in (
        _sf_xl("sf-xl-val", "queries", 7_983, split="val", num_database=8_015),
        _sf_xl("sf-xl-v1", "queries_v1", 1_000),
        _sf_xl("sf-xl-v2", "queries_v2", 598),
        _sf_xl("sf-xl-night", "queries_night", 466),
        _sf_xl("sf-xl-occlusion", "queries_occlusion", 76),
        _downloaded("pitts30k", "pitts30k", Count(6_816), Count(10_000)),
        _downloaded("pitts250k", "pitts250k", Count(8_280), Count(83_952)),
        _downloaded("tokyo247", "tokyo247", Count(315), Count(75_984)),
        _downloaded("msls-val", "msls", Count(740), Count(18_871), split="val"),
        _downloaded("st-lucia", "st_lucia", Count(1_464), Count(1_549)),
        _downloaded("nordland", "nordland", Count(27_592), Count(27_592), threshold=Threshold(10.0, FRAMES)),
        _downloaded("amstertime", "amstertime", Count(1_231), Count(1_231)),
        _downloaded("eynsham", "eynsham", Count(24_000, 1000), Count(24_000, 1000)),
        _downloaded("sf-landmark", "san_francisco", Count(598), Count(1_040_000, 10_000)),
        _svox("night", 823),
        _svox("overcast", 872),
        _svox("rain", 937),
        _svox("snow", 870),
        _svox("sun", 854),
    )
}
