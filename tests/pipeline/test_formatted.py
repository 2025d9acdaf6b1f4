"""The formatted data sets of the field, in their folders and forms of names: a row of each is as its fields say."""

from pathlib import Path

import pytest

from data_manifest.tables import read_table
from pipeline.dataset_layout import DatasetSettings
from pipeline.manifest.build_manifest import build_manifest

# The folder in a data set, a name, and of it UTM east and north, zone, heading, year and note.
FORMATTED = {
    "pitts30k": (
        "images/test/database",
        "@0585001.32@4476964.86@17@T@040.43794@-079.99768@000000@00@000@015@@@@@.jpg",
        (585001.32, 4476964.86, 17, 0.0, None, None),
    ),
    "pitts250k": (
        "images/test/queries",
        "@0584216.30@4477086.57@17@T@040.43912@-080.00691@008279@23@330@030@@@@@.jpg",
        (584216.30, 4477086.57, 17, 330.0, None, None),
    ),
    "tokyo247": (
        "images/test/database",
        "@0381904.46@3946329.36@54@S@035.65375@0139.69540@00399.jpg@@@@@@@@.jpg",
        (381904.46, 3946329.36, 54, None, None, None),
    ),
    "msls": (
        "images/val/queries",
        "@0347389.94@6173214.57@33@U@055.67962@012.57336@Zr2yQ0lWjYnGFnP8oQw3bA@@@@@@201909@day_forward_copenhagen@.jpg",
        (347389.94, 6173214.57, 33, None, 2019, "day_forward_copenhagen"),
    ),
    "st_lucia": (
        "images/test/database",
        "@0502023.57@6957052.56@56@J@-27.50985@0153.02049@@@@@@@20090908_084500@@.jpg",
        (502023.57, 6957052.56, 56, None, 2009, None),
    ),
    "nordland": ("images/test/queries", "@0@00352.3@@@@@148@@@@@@@@.jpg", (0.0, 352.3, None, None, None, None)),
    "nordland_subset": (
        "images/test/queries",
        "@0@46166.6@@@@@2770@@@@@@@@.jpg",
        (0.0, 46166.6, None, None, None, None),
    ),
    "sped": ("images/test/database", "@0@607000@@@@@0607@@@@@@@@.jpg", (0.0, 607000.0, None, None, None, None)),
    "amstertime": ("images/test/queries", "@0@100@@@@@0012@@@@@@@@.jpg", (0.0, 100.0, None, None, None, None)),
    "eynsham": (
        "images/test/database",
        "@0614013.29@5737893.70@30@U@051.78126@-001.34747@00012@@@@@@@@.jpg",
        (614013.29, 5737893.70, 30, None, None, None),
    ),
    "san_francisco": (
        "images/test/database",
        "@0550313.87@4184192.09@10@S@037.80373@-122.42845@14666@00@089@003@@@@@.jpg",
        (550313.87, 4184192.09, 10, 89.0, None, None),
    ),
    "svox": (
        "images/test/queries_night",
        "@0619725.17@5735782.42@30@U@051.76104@-001.26540@None@@@@@@20141210_183000@night@.jpg",
        (619725.17, 5735782.42, 30, None, 2014, "night"),
    ),
}


@pytest.mark.parametrize("name", FORMATTED)
def test_a_row_of_each_data_set(name: str, tmp_path: Path) -> None:
    folder, file, expected = FORMATTED[name]
    (tmp_path / name / folder).mkdir(parents=True)
    (tmp_path / name / folder / file).touch()
    split, role = folder.split("/")[1:]
    queries = role if role.startswith("queries") and split == "test" else "queries"
    here = tmp_path / name / "images"
    dataset = DatasetSettings(val_folder=here / "val", test_folder=here / "test", test_queries=queries)
    images_folder = dataset.images(f"{split}/{'database' if role == 'database' else 'queries'}")
    row = read_table(build_manifest(images_folder, tmp_path / "A", strict=False), "manifest").row(0, named=True)
    columns = ("utm_east", "utm_north", "utm_zone", "heading", "year", "note")
    assert tuple(row[column] for column in columns) == expected
