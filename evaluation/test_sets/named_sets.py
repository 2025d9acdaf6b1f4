"""Test sets of the literature: folders, thresholds, and published numbers of images.

Folders are those of SF-XL and of its authors' VPR-datasets-downloader.
"""

from dataclasses import dataclass
from typing import Any

from evaluation.settings import FRAMES, WITHIN_25_M, Threshold

SVOX_WEATHER = {"night": 823, "overcast": 872, "rain": 937, "snow": 870, "sun": 854}  # queries
GALLERY = "SVOX's archive calls the database gallery. Beside gallery, run: ln -s gallery database"
ALL_WEATHER = (
    "The folder links the queries of each weather. Beside database, run: mkdir queries_all && "
    f"for each in {' '.join(SVOX_WEATHER)}; do ln -s ../queries_$each queries_all/$each; done"
)
MSLS_CITIES = (
    "The folder links the images of MSLS's test cities. In msls_challenge, with MSLS as the path of the data set, "
    "run: mkdir database queries && "
    "for each in athens bengaluru buenosaires kampala miami stockholm; do "
    "ln -s $MSLS/test/$each/database/images database/$each; ln -s $MSLS/test/$each/query/images queries/$each; done"
)


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
    database_from: str = ""  # how to make database/, if its archive has none; ends the error if it is missing
    queries_from: str = ""  # likewise for the folder of its queries
    prediction_file: str | None = None  # written in place of recalls, because the set has no ground truth

    @property
    def has_ground_truth(self) -> bool:
        """True if recalls can be computed."""
        return self.prediction_file is None

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


def _svox(weather: str, num_queries: int, **others: Any) -> NamedSet:
    others = {"queries": f"queries_{weather}", "rounding": (1, 1000), "database_from": GALLERY, **others}
    return _downloaded(f"svox-{weather}", "svox", num_queries, 17_000, **others)


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
        _downloaded(
            "msls-challenge",
            "msls_challenge",
            27_092,
            38_770,
            prediction_file="msls_prediction.csv",
            database_from=MSLS_CITIES,
            queries_from=MSLS_CITIES,
        ),
        _downloaded("st-lucia", "st_lucia", 1_464, 1_549),
        _downloaded("nordland", "nordland", 27_592, 27_592, threshold=Threshold(10.0, FRAMES)),
        _downloaded("nordland-subset", "nordland_subset", 2_760, 27_592, threshold=Threshold(1.0, FRAMES)),
        _downloaded("amstertime", "amstertime", 1_231, 1_231),
        _downloaded("eynsham", "eynsham", 24_000, 24_000, rounding=(1000, 1000)),
        _downloaded("sf-landmark", "san_francisco", 598, 1_040_000, rounding=(1, 10_000)),
        _downloaded("sped", "sped", 607, 607),
        *(_svox(weather, num_queries) for weather, num_queries in SVOX_WEATHER.items()),
        _svox("all", sum(SVOX_WEATHER.values()), queries_from=ALL_WEATHER),
    )
}


def has_ground_truth(test_set: str | None) -> bool:
    """Return whether a test set has recalls: each but those of `NAMED_SETS` with a prediction file."""
    named = NAMED_SETS.get(test_set or "")
    return named is None or named.has_ground_truth
