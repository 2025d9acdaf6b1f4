"""Digests of the tables of fixed inputs: any changed row fails here.

Where rows change on purpose, raise the stage's VERSION and record the new digests.
"""

import hashlib
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import polars.selectors as cs
import pytest

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest

NUM_NAMES = 60_000
ROWS_PER_PARTITION = 25_000
NUM_TEST_SET_NAMES = 30_000
NUM_NAMES_WITH_NEGATIVE_HEADINGS = 5_000
ODD_SHARE = 0.05
OTHER_SETTINGS = GroupSettings(alpha=360, L=1, N=3, min_images_per_class=1, years="2011-2013,2015")
SETTINGS = GroupSettings(min_images_per_class=5)
DEMO_SETTINGS = GroupSettings(N=1, L=2, min_images_per_class=5)
REPOSITORY = Path(__file__).resolve().parents[2]
PARIS_SAMPLE = REPOSITORY.parent / "shared" / "tools" / "make_paris_sample.py"
EVALUATION_PARTS = ("val/database", "val/queries", "test/database", "test/queries_v1")

USUAL = "{folder}/{at}@10@S{rest}"
FOLDERS = (
    *("37.70", "37.71", "37.72", "37.73/deep/er", "x/y/z/1/2/3", "other"),
    *("37.74/@1@2@3@", "37.75/a@b", "@home/ä ö"),
)
BROKEN_NAMES = (
    *("{folder}/{east}@{north}@10@S{rest}", "{folder}/{pano}.png", "{folder}/._{pano}.jpg", "{folder}/@{pano}.jpg"),
    *("{folder}/@{east}@x@10@S@@@{pano}@@{turn}@@@@201413@day@.JPG", "{folder}/{pano}", "{folder}/@@@{pano}.jpg"),
    *("{folder}/{at}@10@S@@@{pano}@@five@@@@{date}@@.jpg", "{folder}/ {at}@.jpg", "{folder}/@.jpg", "{pano}.heic"),
    *("{folder}/{at}@10@S@@@{pano}@@{turn}@@@@{date}@@.txt", "{folder}/{at}@10@S@@@{pano}@@@@.gif"),
    *("{folder}/{at}@10@S@@@{pano}@@1e400@nan@inf@1_0@{date}@@.jpg", "{folder}/{at}@10@S@x@y@@@z@@@@{date}@@.jpg"),
)
PATHS = (
    *("../{folder}/{at}@.jpg", "/{folder}/{at}@.jpg", "{folder}/../{at}@.jpg", "C:/{folder}/{at}@.jpg"),
    *("{folder}\\{at}@.jpg", "{folder}/{at}@.jpg/", "{folder}/..a/{at}@.jpg", "{at}@10@S{rest}", "{at}@.jpg"),
    *("{folder}/\udcff/{at}@10@S{rest}", "\udcff{pano}.jpg", "%FF/{pano}.jpg", "{folder}/{at}@10@S@\udce9.jpg"),
    *("{folder}@x/{at}@10@S{rest}", "@/{at}@10@S{rest}", "{folder}/\ufeff{at}@.jpg", "{folder}/ü\u2028{at}@.jpg"),
)
LINES = (
    *(f"{USUAL}\r", f"{USUAL} \r", f"{USUAL} ", f"./{USUAL}", f"././{USUAL}", f".//{USUAL}", "./{pano}", "./", "."),
    *(f"{USUAL}\n{USUAL}", f"./{USUAL}\n{USUAL}", f"{USUAL}\r\n{USUAL}", f"\n{USUAL}", f" \n\t\n{USUAL}\n\r\n"),
    *("{folder}//{at}@10@S{rest}", "{folder}/./{at}@.jpg", "{folder}///{at}@.jpg", "//{folder}/{at}@.jpg"),
)
SHORT_NAMES = (
    *("{folder}/{at}@.jpg", "{folder}/@{north}@{east}@.jpg", "{folder}/{at}.jpg", "{folder}/{at}@10@.jpeg"),
    *("{folder}/{at}@10@S@.PNG", "{folder}/{at}@10@S.jpg", "{folder}/{at}@10@S@12@.jpg", "{folder}/{at}@12.jpg"),
    *("{folder}/{at}@10@S@37.8@-122.5@.jpg", "{folder}/{at}@10@S@37.8@-122.5@{pano}@@{turn}.jpg"),
    *("{folder}/{at}@query {pano}.jpg", "{folder}/{at}@12@345@.jpg", "{folder}/{at}@.jpg@.jpg"),
    *("{folder}/{at}@@@@@@@30@@@@{date}@@x@y@z.jpg", "{folder}/{at}@@@@@{pano}@@@@@@@@.jpg", "{folder}/{at}@@@@.jpg"),
    *("{folder}/{at}@query@from@a@phone@.jpg", "{folder}/{at}@10@S@@@{pano}0@{date}@.jpg"),
)
POSITIONS = (
    *(
        f"{{folder}}/{{at}}@{zone}{{rest}}"
        for zone in ("10@I", "10@N", "10@T", "10@H", "10@s", "10@10", "11@S", "61@S")
    ),
    *("{folder}/{at}@{rest}", "{folder}/{at}@10@{rest}", "{folder}/{at}@@S{rest}", "{folder}/{at}@@H{rest}"),
    *("{folder}/@{north}@{east}@10@S{rest}", "{folder}/@0@{number}.3@@@@@@@@@@@@@.jpg", "{folder}/@@{north}@10@S.jpg"),
    *("{folder}/@1e30@{north}@10@S{rest}", "{folder}/@545.9@4184.9@10@S{rest}", "{folder}/@37.8@-122.5@10@S{rest}"),
    *("{folder}/@10{east}@{north}@10@S{rest}", "{folder}/@{east}@-3749051.7@10@S{rest}", "{folder}/{at}@ 10@S{rest}"),
    *("{folder}/@{east}0@{north}0@010@S{rest}", "{folder}/@+{east}@{north}@10@S{rest}", "{folder}/@{east}@1@10@S.jpg"),
    *(
        f"{{folder}}/{{at}}@10@S@{degrees}@{{pano}}@@{{turn}}@@@@{{date}}@@.jpg"
        for degrees in ("37.80@-122.49", "37.8@-122.5", "91@-122.5", "-122.5@37.8", "37.8@", "37.80@-122.4@")
    ),
    "{folder}/{at}@10@S@@@{pano}@@{turn}@-5@1.5@2@{date}@{number}@.jpg",
)
UNUSUAL_HEADINGS = ("-1", "-1.0", "-9999", "999", "360", "372.5", "", "-0", "+5", "1e3", "089")
UNUSUAL_TIMES = (
    *("", "2014", "20140", "2014091", "20140912", "20140912_101112", "201400", "201413", "201", "0000", "000001"),
    *("0000_5", "9999", "x201409", "2014-09-12", "20131", "٢٠١٤٠٩"),
)
HEADINGS_AND_TIMES = (
    *(f"{{folder}}/{{at}}@10@S@@@{{pano}}@@{heading}@@@@{{date}}@@.jpg" for heading in UNUSUAL_HEADINGS),
    *(f"{{folder}}/{{at}}@10@S@@@{{pano}}@@{{turn}}@@@@{date}@@.jpg" for date in UNUSUAL_TIMES),
)
ODD_NAMES = (*BROKEN_NAMES, *PATHS, *LINES, *SHORT_NAMES, *POSITIONS, *HEADINGS_AND_TIMES)
NEGATIVE_HEADINGS = tuple(
    f"{{folder}}/{{at}}@10@S@@@{{pano}}@@{heading}@@@@{{date}}@@.jpg"
    for heading in ("-1", "-90", "-0.5", "-1.1", "-999")
)

TRAINING = {
    "manifest": "a0ab18c8bb588809",
    "rejects": "be7fb113caa9e421",
    "classes": "a470afee80a9a30f",
    "members": "c1c64d961a783a62",
}
TRAINING_OTHER_GROUPS = {
    "classes": "d91e2bd52da2054e",
    "members": "66449c596e5c1760",
}
TRAINING_COUNTS = {
    "files": 59929,
    "repeats": 121,
    "usable": 58507,
    "rejects: not UTF-8": 77,
    "rejects: unsafe path": 105,
    "rejects: not an image name": 202,
    "rejects: wrong number of fields": 495,
    "rejects: not a number": 164,
    "rejects: out of range": 334,
    "rejects: positions disagree": 45,
    "without_heading": 406,
    "headings: -1, taken as unknown": 52,
    "headings: outside -360 to 450 degrees, taken as unknown": 74,
    "apart_over_1_m": 24,
    "first_year": 2010,
    "last_year": 9999,
}
TEST_SET = {
    "manifest": "db9159bafee8e095",
    "rejects": "edcd20e98860f7c3",
    "classes": "37b60d042abaf476",
    "members": "0f3d1e3ca1673b7c",
}
TEST_SET_OTHER_GROUPS = {
    "classes": "b1010c794731378b",
    "members": "3749a374f1de354d",
}
TEST_SET_COUNTS = {
    "files": 29861,
    "repeats": 54,
    "usable": 29510,
    "rejects: not UTF-8": 43,
    "rejects: unsafe path": 51,
    "rejects: not an image name": 93,
    "rejects: wrong number of fields": 112,
    "rejects: not a number": 6,
    "rejects: no position": 25,
    "rejects: out of range": 21,
    "without_heading": 373,
    "headings: -1, taken as unknown": 27,
    "headings: outside -360 to 450 degrees, taken as unknown": 43,
    "UTM kept: these are degrees, not metres": 9,
    "UTM kept: these are kilometres, not metres": 19,
    "UTM kept: easting and northing are swapped": 15,
    "UTM kept: the northing lacks the 10,000,000 m that are added in the south": 14,
    "UTM kept: the northing is not in this band": 27,
    "apart_over_1_m": 59,
    "apart_over_1_km": 47,
    "first_year": 2010,
    "last_year": 9999,
}
NEGATIVE = {
    "manifest": "0c90f2727257205b",
    "rejects": "2852067978723c7c",
    "classes": "6518b758a359a736",
    "members": "a7c5cf89c14bc2ed",
}
NEGATIVE_COUNTS = {
    "files": 5000,
    "usable": 5000,
    "without_heading": 50,
    "headings: below 0, turned by 360 degrees": 144,
    "headings: -1, taken as 359 degrees because other headings are negative": 46,
    "headings: outside -360 to 450 degrees, taken as unknown": 50,
    "first_year": 2010,
    "last_year": 2019,
}
TOY_CITY = {
    "manifest": "4a139f0353e09f5e",
    "rejects": "2852067978723c7c",
    "classes": "d3a96ad6e80a0717",
    "members": "04426c05c0abd4c0",
    "val/database": "92ce809509e52a76",
    "val/queries": "b76d094198d189af",
    "test/database": "d70f67060f9628df",
    "test/queries_v1": "db915d7ede08b508",
}
PARIS = {
    "manifest": "f06effde21e5766f",
    "rejects": "2852067978723c7c",
    "classes": "eaf54a2369ad2fe4",
    "members": "7326bb7e9f286500",
}
PARIS_COUNTS = {
    "files": 600,
    "usable": 600,
    "first_year": 2014,
    "last_year": 2014,
}
PARIS_GROUPS_COUNTS = {
    "images": 536,
    "classes": 84,
    "groups": 20,
    "classes_with_too_few_images": 44,
    "images_in_them": 64,
    "largest_class": 14,
}


def names(count: int, odd_names: tuple[str, ...]) -> Iterator[str]:
    """Yield list lines in random order, one in twenty of them odd."""
    choose = random.Random(0)
    for number in range(count):
        form = choose.choice(odd_names) if choose.random() < ODD_SHARE else USUAL
        folder, pano, turn = choose.choice(FOLDERS), f"pano{number // 4}", choose.randrange(360)
        east = f"0{545_000 + choose.randrange(1_200) / 4:.2f}"
        north = f"{4_184_000 + choose.randrange(1_200) / 4:.2f}"
        date = f"{choose.randrange(2010, 2020)}{choose.randrange(1, 13):02}"
        at, rest = f"@{east}@{north}", f"@@@{pano}@@{turn}@@@@{date}@@.jpg"
        fields = {"folder": folder, "east": east, "north": north, "pano": pano, "turn": turn, "date": date}
        yield form.format(**fields, at=at, rest=rest, number=number)


def in_order(lines: list[str], order: str) -> list[str]:
    """Return the lines grouped by folder, sorted, or shuffled."""
    if order == "folders":
        return sorted(lines, key=lambda line: line.rpartition("/")[0])
    return sorted(lines) if order == "sorted" else random.Random(1).sample(lines, len(lines))


def write_list(folder: Path, lines: list[str]) -> Path:
    """Write a list file without a final newline, and return the images folder it lists."""
    folder.mkdir()
    (folder / "train_images_paths.txt").write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    return folder / "train"


def digest(artifact: Path, name: str) -> str:
    """Return a digest of a table's sorted rows.

    Floats are rounded to four decimals, because processors differ in the last bits.
    """
    table = read_table(artifact, name).with_columns(cs.float().round(4), cs.categorical().cast(pl.String))
    rows = table.sort(table.columns, nulls_last=True).write_csv()
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def manifest_digests(manifest: Path) -> dict[str, str]:
    return {table: digest(manifest, table) for table in ("manifest", "rejects")}


def groups_digests(manifest: Path, artifacts: Path, settings: GroupSettings = SETTINGS) -> dict[str, str]:
    groups = build_groups(manifest, artifacts, settings)
    return {table: digest(groups, table) for table in ("classes", "members")}


def counts(artifact: Path) -> dict[str, int]:
    """Return the counts of a recipe's summary that are not 0, nested or not."""

    def flat(summary: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
        for key, value in summary.items():
            yield from flat(value, f"{prefix}{key}: ") if isinstance(value, dict) else [(f"{prefix}{key}", value)]

    summary = flat(read_recipe(artifact)["summary"])
    return {key: value for key, value in summary if isinstance(value, int) and value and "partitions" not in key}


@pytest.fixture(autouse=True)
def _several_partitions(rows_per_partition: Callable[[int], None]) -> None:
    rows_per_partition(ROWS_PER_PARTITION)


@pytest.fixture(scope="module")
def generated() -> list[str]:
    return "\n".join(names(NUM_NAMES, ODD_NAMES)).split("\n")


@pytest.mark.parametrize("order", ["folders", "shuffled"])
def test_generated_names_in_any_order_give_the_recorded_training_tables(
    order: str, generated: list[str], tmp_path: Path
) -> None:
    manifest = build_manifest(write_list(tmp_path / "names", in_order(generated, order)), tmp_path, "names")
    assert manifest_digests(manifest) | groups_digests(manifest, tmp_path) == TRAINING
    assert counts(manifest) == TRAINING_COUNTS
    if order == "shuffled":
        assert groups_digests(manifest, tmp_path, OTHER_SETTINGS) == TRAINING_OTHER_GROUPS


def test_sorted_names_give_the_recorded_test_set_tables(generated: list[str], tmp_path: Path) -> None:
    images_folder = write_list(tmp_path / "names", in_order(generated[:NUM_TEST_SET_NAMES], "sorted"))
    manifest = build_manifest(images_folder, tmp_path, "names", strict=False)
    assert manifest_digests(manifest) | groups_digests(manifest, tmp_path) == TEST_SET
    assert groups_digests(manifest, tmp_path, OTHER_SETTINGS) == TEST_SET_OTHER_GROUPS
    assert counts(manifest) == TEST_SET_COUNTS


@pytest.mark.parametrize("order", ["folders", "sorted", "shuffled"])
def test_negative_headings_in_any_order_give_the_recorded_tables(order: str, tmp_path: Path) -> None:
    lines = list(names(NUM_NAMES_WITH_NEGATIVE_HEADINGS, NEGATIVE_HEADINGS))
    manifest = build_manifest(write_list(tmp_path / "names", in_order(lines, order)), tmp_path, "names")
    settings = GroupSettings(min_images_per_class=1)
    assert manifest_digests(manifest) | groups_digests(manifest, tmp_path, settings) == NEGATIVE
    assert counts(manifest) == NEGATIVE_COUNTS


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy city of the demo, with empty files as images."""
    from cosplace.demo.city import dataset
    from cosplace.demo.city.light import light_of_year
    from cosplace.demo.city.settings import CitySettings

    def unpainted(plan: object, settings: CitySettings, year: dataset.Year) -> object:
        return SimpleNamespace(light=light_of_year(settings.seed, year.mood, year.year))

    monkeypatch.setattr(dataset, "scene_of_year", unpainted)
    monkeypatch.setattr(dataset, "render", lambda scene, camera: camera.headings)
    empty = SimpleNamespace(save=lambda path, quality: path.touch())
    monkeypatch.setattr(dataset, "Image", SimpleNamespace(fromarray=lambda view: empty))
    dataset.write_city(tmp_path / "city", CitySettings(), processes=1)
    return tmp_path / "city"


def test_the_toy_city_gives_the_recorded_tables(city: Path, tmp_path: Path) -> None:
    train = build_manifest(city / "train", tmp_path, "train")
    parts = {part: build_manifest(city / part, tmp_path, strict=False) for part in EVALUATION_PARTS}
    assert {
        **manifest_digests(train),
        **groups_digests(train, tmp_path, DEMO_SETTINGS),
        **{part: digest(manifest, "manifest") for part, manifest in parts.items()},
    } == TOY_CITY
    assert [counts(manifest)["usable"] for manifest in (train, *parts.values())] == [3168, 396, 396, 396, 792]


@pytest.mark.skipif(not PARIS_SAMPLE.is_file(), reason="needs the Paris photos in ../shared")
def test_the_paris_sample_gives_the_recorded_tables(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(PARIS_SAMPLE), str(tmp_path / "paris"), "--size", "16"], check=True)
    manifest = build_manifest(tmp_path / "paris" / "train", tmp_path, "paris")
    settings = GroupSettings(min_images_per_class=3)
    assert manifest_digests(manifest) | groups_digests(manifest, tmp_path, settings) == PARIS
    assert counts(manifest) == PARIS_COUNTS
    images = read_table(manifest, "manifest")
    assert images["utm_zone"].unique().to_list() == [31]
    assert images.group_by("pano_id").len()["len"].unique().to_list() == [12]
    members = read_table(build_groups(manifest, tmp_path, settings), "members").join(images, on="path")
    extents = members.group_by("group_index", "class_index").agg(
        (pl.col(axis).max() - pl.col(axis).min()).alias(axis) for axis in ("utm_east", "utm_north")
    )
    assert extents.select(pl.max_horizontal("utm_east", "utm_north").max()).item() < settings.M
    assert counts(build_groups(manifest, tmp_path, settings)) == PARIS_GROUPS_COUNTS
