"""Digests of the tables that fixed names give: a change of any row shows here.

Where rows change on purpose, raise the stage's version and record the new digests.
"""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pytest

from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest

NAMES = 50_000
ODD = (  # each takes a usual name and changes what it must not be
    *("{folder}/{east}@{north}@10@S@@@{pano}@@{turn}@@@@201409@@.jpg", "{folder}/@{east}@{north}@.jpg"),
    *("{folder}/@{north}@{east}@10@S@@@{pano}@@{turn}@@@@201409@@.jpg", "{folder}/@{east}@{north}@10@S@12@.jpg"),
    *("{folder}/@{east}@{north}@10@S@@@{pano}@@-1@@@@201409@@.jpg", "{folder}/{pano}.png", "{folder}/._{pano}.jpg"),
    *("{folder}/@{east}@{north}@10@S@@@{pano}@@-9999@@@@2014@@.jpg", "{folder}/@{east}@{north}@@@@@{pano}@@@@@@@@.jpg"),
    *("{folder}/@{east}@{north}@10@I@@@{pano}@@{turn}@@@@201409@@.jpg", "../{folder}/@{east}@{north}@.jpg", "./{pano}"),
    *(
        "{folder}/@{east}@x@10@S@@@{pano}@@{turn}@@@@201413@day@.JPG",
        "/{folder}/@{east}@{north}@.jpg",
        "\xff{pano}.jpg",
    ),
    *("{folder}/@{east}@{north}@10@S@91@-122.5@{pano}@@{turn}@@@@201409@@.jpg", "{folder}\\@{east}@{north}@.jpg"),
    *("{folder}/@{east}@{north}@10@S@37.1@-122.5@{pano}@@{turn}@@@@201409@@.jpg", "{folder}//@{east}@{north}@@.jpeg"),
    *("{folder}/@0@{number}.3@@@@@@@@@@@@@.jpg", "{folder}@x/@{east}@{north}@10@S@@@{pano}@@360@@@@20140931@@.jpg"),
)
RECORDED = {
    "manifest": "e814cde9db012e87",
    "rejects": "af76587f15333820",
    "lenient manifest": "2b875cc0a708988e",
    "lenient rejects": "eb7035e127e9279d",
    "classes": "872f14c6db688606",
    "members": "b46960f4ed18bdb3",
}


def names() -> Iterator[str]:
    """Give names, one in twenty of them odd, in no order."""
    choose = random.Random(0)
    for number in range(NAMES):
        east, north = 545_000 + choose.randrange(3_000) / 4, 4_184_000 + choose.randrange(3_000) / 4
        usual = "{folder}/@{east}@{north}@10@S@@@{pano}@@{turn}@@@@{year}{month:02}@@.jpg"
        form = choose.choice(ODD) if choose.random() < 0.05 else usual
        yield form.format(
            folder=f"37.{choose.randrange(70, 75)}",
            east=f"0{east:.2f}",
            north=f"{north:.2f}",
            pano=f"pano{number // 4}",
            turn=choose.randrange(360),
            year=choose.randrange(2010, 2020),
            month=choose.randrange(1, 13),
            number=number,
        )


def digest(table: pl.DataFrame) -> str:
    """Return a digest of the rows, with floats to four decimals because processors differ in the last bits."""
    return hashlib.sha256(table.with_columns(cs.float().round(4)).write_csv().encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    text = "".join(f"{name}\n" for name in names())
    (folder / "train_images_paths.txt").write_bytes(text.encode("latin-1"))
    return folder / "train"


def test_fixed_names_give_the_recorded_tables(listed: Path, tmp_path: Path) -> None:
    strict, lenient = (build_manifest(listed, tmp_path, strict=strict) for strict in (True, False))
    groups = build_groups(strict, tmp_path, GroupSettings(min_images_per_class=2))
    found = {
        **{table: digest(read_table(strict, table)) for table in ("manifest", "rejects")},
        **{f"lenient {table}": digest(read_table(lenient, table)) for table in ("manifest", "rejects")},
        **{table: digest(read_table(groups, table)) for table in ("classes", "members")},
    }
    assert found == RECORDED
