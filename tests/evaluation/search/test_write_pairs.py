from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from evaluation.__main__ import main
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.evaluate_cosplace import evaluate_cosplace
from evaluation.search.write_pairs import write_pairs
from tests.evaluation.conftest import COLOURS, City, list_images, on_cpu, paint, pattern


def test_each_line_is_a_query_and_one_of_its_best_matches(
    evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pairs", str(evaluation.parent), "--k", "2"]) == 0
    lines = (tmp_path / "pairs.txt").read_text().splitlines()
    assert sorted(line.split(" ")[0] for line in lines) == sorted(2 * [f"queries/{colour}.png" for colour in COLOURS])
    firsts = {f"queries/{colour}.png database/{colour}.png" for colour in COLOURS}
    assert firsts == set(lines[::2]), "the same picture is the best match"
    root = tmp_path / "city"
    assert all((root / name).is_file() for line in lines for name in line.split(" ")), "relative to the common folder"
    text = "pairs.txt: 8 pairs, of the 2 best matches of each of 4 queries. Names are relative to"
    assert capsys.readouterr().out == f"{text} {root}\n"


def test_pairs_are_in_the_order_of_the_matches(evaluation: Path, tmp_path: Path) -> None:
    write_pairs(evaluation, 4, tmp_path / "pairs.txt")
    expected = [
        f"queries/{row['query_path']} database/{row['database_path']}"
        for row in read_table(evaluation, "predictions").sort("query_path", "rank").to_dicts()
    ]
    lines = (tmp_path / "pairs.txt").read_text().splitlines()
    assert sorted(lines, key=lambda line: line.split()[0]) == expected, "sorted is stable"


def test_more_matches_than_are_stored_are_an_error(evaluation: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--k 5: .* stores 4 matches per query. These are all database images\. Pass"):
        write_pairs(evaluation, 5, tmp_path / "pairs.txt")
    assert list(tmp_path.glob("*pairs.txt")) == []


def test_more_matches_can_be_stored(model: TrainedModel, artifacts: Path, tmp_path: Path) -> None:
    for number in range(25):
        paint(tmp_path / "city" / "database", number, (10 * number, 200, 90))
    paint(tmp_path / "city" / "queries", 0, (0, 200, 90))
    database, queries = (list_images(tmp_path / "city" / role, artifacts) for role in ("database", "queries"))
    folder = evaluate_cosplace(model, database, queries, artifacts, on_cpu(16))
    with pytest.raises(UserError, match=r"stores 20 matches .* evaluate with --recall-values 1,5,10,20,22$"):
        write_pairs(folder, 22, tmp_path / "pairs.txt")
    folder = evaluate_cosplace(model, database, queries, artifacts, on_cpu(16), recall_values=(1, 5, 10, 20, 22))
    write_pairs(folder, 22, tmp_path / "pairs.txt")
    assert len((tmp_path / "pairs.txt").read_text().splitlines()) == 22


def test_images_among_themselves_are_not_paired_with_themselves(
    model: TrainedModel, artifacts: Path, tmp_path: Path
) -> None:
    for number in range(3):
        paint(tmp_path / "photos", number, (80 * number, 200, 90))
    images = list_images(tmp_path / "photos", artifacts)
    folder = evaluate_cosplace(model, images, images, artifacts, on_cpu(16))
    text = write_pairs(folder, 3, tmp_path / "pairs.txt")
    pairs = {tuple(line.split()) for line in (tmp_path / "pairs.txt").read_text().splitlines()}
    names = [path.name for path in (tmp_path / "photos").iterdir()]
    assert pairs == {(query, other) for query in names for other in names if query != other}
    assert "6 pairs, of the 3 best matches of each of 3 queries. Left out: 3 pairs of an image with itself." in text


@pytest.mark.parametrize("name", ["my photo.png", "#1.png", "tab\tbed.png"])
def test_names_that_would_be_split_are_refused(
    city: City, model: TrainedModel, artifacts: Path, tmp_path: Path, name: str
) -> None:
    database, queries = city("database"), city("queries", 3.0, ("red", "blue"))
    if name.startswith("#"):  # in the folder of both, which has no prefix
        queries = ImageList(queries.manifest_folder, database.images_folder)
    manifest = next(queries.manifest_folder.glob("manifest/*.parquet"))
    frame = read_table(queries.manifest_folder, "manifest").with_columns(
        path=read_table(queries.manifest_folder, "manifest")["path"].str.replace("red.png", name)
    )
    frame.write_parquet(manifest)
    pattern(COLOURS["red"], (64, 48)).save(queries.images_folder / name)
    folder = evaluate_cosplace(model, database, queries, artifacts, on_cpu(16))
    with pytest.raises(UserError, match=r"cannot be in a file of pairs, .* Rename the files") as caught:
        write_pairs(folder, 1, tmp_path / "pairs.txt")
    assert f"{name!r}: cannot"[1:] in str(caught.value)
    assert not (tmp_path / "pairs.txt").exists()


@pytest.mark.parametrize(("output", "message"), [("none/pairs.txt", "not a file in"), ("A", "not a file in")])
def test_an_output_that_cannot_be_written_is_an_error(tmp_path: Path, output: str, message: str) -> None:
    (tmp_path / "A").mkdir()
    with pytest.raises(UserError, match=f"--output .*{output}: {message} an existing folder"):
        write_pairs(tmp_path / "artifacts", 1, tmp_path / output)


def test_other_artifacts_are_refused(training: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is of the stage training: pairs needs evaluation"):
        write_pairs(training, 1, tmp_path / "pairs.txt")
    assert not (tmp_path / "pairs.txt").exists()
