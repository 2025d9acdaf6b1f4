from pathlib import Path

import pytest

from data_manifest.errors import UserError
from evaluation.metrics.published_recalls import PUBLISHED, published_recalls
from evaluation.settings import ChosenSets, Threshold
from evaluation.test_sets.named_sets import NAMED_SETS, Count
from evaluation.test_sets.set_folders import SetFolders, find_sets


def make(folder: Path, *parts: str) -> Path:
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    return folder


def nowhere(split: str) -> Path:
    raise UserError(f"where are the {split} images?")


def find(test_sets: str | None, folder: Path | None = None, own: Path | None = None) -> list[SetFolders]:
    return find_sets(ChosenSets(test_sets, folder), (lambda split: own / split) if own else nowhere, "queries_own")


def test_without_a_choice_it_is_the_data_sets_own(tmp_path: Path) -> None:
    assert find(None, own=tmp_path) == [SetFolders(tmp_path / "test", "queries_own")]


def test_named_sets_lie_where_they_are_downloaded_to_and_those_of_sf_xl_in_the_data_set_too(tmp_path: Path) -> None:
    downloads, own = tmp_path / "downloads", make(tmp_path / "sf", "test/database", "val/database")
    make(downloads, "tokyo247/images/test/database", "msls/val/database", "svox/images/test/database")
    found = find("tokyo247, sf-xl-v2,SF_XL_val,msls-val,svox-night", downloads, own)
    assert [(each.folder.relative_to(tmp_path).as_posix(), each.queries) for each in found] == [
        ("downloads/tokyo247/images/test", "queries"),
        ("sf/test", "queries_v2"),
        ("sf/val", "queries"),
        ("downloads/msls/val", "queries"),
        ("downloads/svox/images/test", "queries_night"),
    ]
    assert [each.named.name for each in found if each.named] == [
        *("tokyo247", "sf-xl-v2", "sf-xl-val", "msls-val", "svox-night")
    ]
    make(downloads, "sf-xl/processed/test/database")
    assert find("sf-xl-v1", downloads, own)[0].folder == downloads / "sf-xl/processed/test"


def test_a_folder_of_ones_own_has_as_many_sets_as_folders_of_queries(tmp_path: Path) -> None:
    town = make(tmp_path / "town", "database", "queries_day", "queries_night", "more")
    both = [SetFolders(town, "queries_day"), SetFolders(town, "queries_night")]
    assert find(str(town)) == both
    assert find(f"{town / 'queries_night'},{town}") == both[::-1], "each once"


def test_published_sets_and_folders_in_their_form_are_read_by_names(tmp_path: Path) -> None:
    town = make(tmp_path / "town", "database/empty", "database/more", "queries")
    assert not SetFolders(town, "queries").by_names
    (town / "database" / "more" / "IMG_0001.JPG").touch()
    assert not SetFolders(town, "queries").by_names
    assert SetFolders(town, "queries", NAMED_SETS["nordland"]).by_names
    (town / "database" / "more" / "IMG_0001.JPG").rename(town / "database" / "@0@00352.3@@@@@148@@@@@@@@.jpg")
    assert SetFolders(town, "queries").by_names


def test_a_thumbnail_does_not_say_how_a_set_is_named(tmp_path: Path) -> None:
    for first, name in (("@eaDir", "@0@1@@@@@@@@@@@@@.jpg"), (".thumbnails", "IMG_1.jpg")):
        folder = make(tmp_path / first, f"database/{first}", "queries") / "database" / first
        (folder / name).touch()
    assert not SetFolders(tmp_path / "@eaDir", "queries").by_names, "there is no photo"
    (tmp_path / ".thumbnails" / "database" / "@0@1@@@@@@@@@@@@@.jpg").touch()
    assert SetFolders(tmp_path / ".thumbnails", "queries").by_names


@pytest.mark.parametrize(
    ("test_sets", "message"),
    [
        ("tokyo24", "no such folder, nor a test set of that name; is it tokyo247?"),
        ("zzz", "the names are sf-xl-val, sf-xl-v1"),
        ("tokyo247,", "expected names or folders with commas between"),
        ("tokyo247", "where is tokyo247? Give --test-sets-folder, which holds tokyo247/images/test"),
        ("sf-xl-v1", "where are the test images?"),
        ("EMPTY", "a test set holds a folder database and folders queries"),
    ],
)
def test_mistakes(tmp_path: Path, test_sets: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        find(str(tmp_path) if test_sets == "EMPTY" else test_sets)
    assert message in str(caught.value)


def test_a_named_set_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"eynsham: .* looked for .*eynsham/images/test/database, .*eynsham/database"):
        find("eynsham", tmp_path)


def test_numbers_that_differ_are_told_and_rounded_ones_compared_as_such() -> None:
    tokyo, eynsham = NAMED_SETS["tokyo247"], NAMED_SETS["eynsham"]
    assert tokyo.warning(315, 75984) is None
    assert tokyo.warning(314, 75984) == "314 queries, published with 315"
    assert tokyo.warning(315, 1) == "1 database images, published with 75,984"
    assert eynsham.warning(23_600, 24_400) is None
    assert eynsham.warning(23_000, 24_000) == "23,000 queries, published with about 24,000"
    assert str(Count(17_000, 1000)) == "about 17,000"


def test_nordland_counts_frames() -> None:
    others = {each.threshold for name, each in NAMED_SETS.items() if name != "nordland"}
    assert (NAMED_SETS["nordland"].threshold, others) == (Threshold(10, "frames"), {Threshold(25, "metres")})


def test_published_figures_are_of_named_sets_and_the_authors_own_come_first() -> None:
    assert {each.test_set for each in PUBLISHED} <= NAMED_SETS.keys()
    found = published_recalls("VGG16", 512, "pitts30k", 1)
    assert [(each.recall, each.source) for each in found] == [
        (88.5, "gmberton/CosPlace#13"),
        (88.4, "EigenPlaces paper"),
    ]
    assert published_recalls("VGG16", 512, "pitts30k", 20)[0].recall == 96.7
    assert published_recalls("ResNet50", 128, "eynsham", 1)[0].recall == 88.6
    assert published_recalls("ResNet50", 64, "eynsham", 1) == []


def test_the_table_agrees_with_the_figures_that_the_project_collects() -> None:
    """Each row of the shared list of figures, read anew."""
    figures = Path(__file__).parents[3].parent / "shared" / "figures.md"
    if not figures.is_file():
        pytest.skip("the list of published figures is not here")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in figures.read_text().splitlines() if "|" in line
    ]
    names = {"Pitts250k": "pitts250k", "Pitts30k": "pitts30k", "Tokyo 24/7": "tokyo247", "MSLS val": "msls-val"}
    more = {"SF-XL v1": "sf-xl-v1", "SF-XL v2": "sf-xl-v2", "St Lucia": "st-lucia", "Nordland": "nordland"}
    names |= {**more, "AmsterTime": "amstertime", "Eynsham": "eynsham"}
    header: list[str] = []
    checked = 0
    for cells in rows:
        if cells[0].startswith("model"):
            header = cells
        elif header and "-" in cells[0] and cells[0].split("-")[-1].isdecimal():
            backbone, _, dim = cells[0].rpartition("-")
            for title, cell in zip(header[1:-1], cells[1:-1], strict=True):
                for k, value in zip((1, 5, 10, 20), cell.split("/"), strict=False):
                    found = [each.recall for each in published_recalls(backbone, int(dim), names[title], k)]
                    assert float(value) in found, (cells[0], title, k)
                    checked += 1
    assert checked == 2 * 4 * 4 + 4 * 10
