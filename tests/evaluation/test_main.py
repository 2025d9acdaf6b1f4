import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.tables import read_table, write_table
from evaluation.__main__ import main
from tests.evaluation.conftest import COLOURS, pattern

ROOT = Path(__file__).parents[2]
ON_CPU = ["--device", "cpu", "--num-workers", "0"]


def test_table_json_geojson_and_panel(
    evaluation: Path, training: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "city" / "queries" / "green.png"
    words = ["localize", "--model", str(training), "--database", str(evaluation), "--top", "3", *ON_CPU]
    assert main([*words, str(photo)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == str(photo)
    assert table[2].split() == ["1", "1.000", "0", "36.140000", "-122.990000", "90", "2015", "green.png"]
    assert table[-4].startswith("  the best 3 are within ")
    share = "correct (within 25 metres) for 100 % of the 4 test queries as certain as this"
    assert table[-3] == f"  {share} (95 % interval 51 to 100 %)"
    assert table[-2] == "  geo:36.140000,-122.990000"
    assert table[-1].startswith("  https://www.openstreetmap.org/?mlat=36.140000&mlon=-122.990000")

    panel = tmp_path / "panel.png"
    assert main([*words, "--format", "json", "--panel", str(panel), str(photo)]) == 0
    (located,) = json.loads(capsys.readouterr().out)
    assert [match["rank"] for match in located["matches"]] == [1, 2, 3]
    first, *others = located["matches"]
    assert first["distance_m"] == 0
    assert [each["distance_m"] for each in others] == [abs(each["utm_east"] - first["utm_east"]) for each in others]
    with Image.open(panel) as drawn:
        tiles = np.asarray(drawn.convert("RGB"))[220, [100, 350]]  # the photo and its best match, below their marks
    assert np.abs(tiles.astype(int) - [COLOURS["green"]] * 2).max() < 40

    assert main([*words, "--format", "geojson", str(photo)]) == 0
    features = json.loads(capsys.readouterr().out)["features"]
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [pytest.approx(-122.99), 36.14]}
    assert features[0]["properties"]["path"] == "green.png"

    (tmp_path / "broken.jpg").touch()
    several = [tmp_path / "none.jpg", tmp_path / "broken.jpg", photo]
    assert main([*words, *map(str, several)]) == 1
    missing, broken, found = capsys.readouterr().out.split("\n\n")
    assert missing == f"{several[0]}\n  {several[0]}: no such file or folder"
    assert f"{several[1]} cannot be opened as an image" in broken
    assert "green.png" in found


def test_a_panel_that_cannot_be_written_is_an_error_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    panel = str(tmp_path / "nowhere" / "panel.png")
    with pytest.raises(UserError, match="no such folder"):
        main(["localize", "--model", "none", "--database", "none", "--panel", panel, str(tmp_path / "photo.jpg")])


def test_min_certainty_needs_a_share_and_an_evaluation_of_the_model(
    evaluation: Path, training: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(tmp_path / "city" / "queries" / "green.png")
    words = ["localize", "--model", str(training), *ON_CPU, photo, "--database"]
    with pytest.raises(SystemExit):
        main([*words, str(evaluation), "--min-certainty", "90"])
    assert "--min-certainty: 90: expected a number from 0 to 1, as in 0.9" in capsys.readouterr().err
    assert main([*words, str(evaluation), "--min-certainty", "0.9"]) == 0
    (certain, *others) = (evaluation / "certainty").iterdir()
    assert not others
    queries = read_table(evaluation, "certainty").with_columns(correct=pl.col("query_path") == "green.png")
    write_table(queries, certain, schemas.CERTAINTY)
    assert main([*words, str(evaluation), "--min-certainty", "0.9"]) == 0
    text = "correct (within 25 metres) for 25 % of the 4 test queries as certain as this (95 % interval 5 to 70 %)"
    assert capsys.readouterr().out.endswith(f"\n{photo}\n  not certain enough (25 %): {text}\n")
    descriptors = next(path for path in evaluation.parents[2].glob("descriptors/city-database/*") if path.is_dir())
    certain.unlink()
    certain.parent.rmdir()
    with pytest.raises(
        UserError, match=r"^--min-certainty 0\.9: certainty not calibrated: no evaluation of this database"
    ):
        main([*words, str(descriptors), "--min-certainty", "0.9"])


def test_top_0_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["localize", "--model", "none", "--database", "none", "--top", "0", "none.jpg"])
    assert "argument --top: 0: expected a whole number of at least 1" in capsys.readouterr().err


def test_a_user_error_is_one_line_without_a_traceback() -> None:
    command = [sys.executable, "-m", "evaluation", "localize", "--model", "none", "--database", "none", "none.jpg"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("ERROR: none.jpg: no such file or folder\n")
    assert "Traceback" not in done.stderr


def test_the_examples_of_the_page_on_localize(
    evaluation: Path,
    training: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs" / "guides" / "localize.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.M)
    (words,) = re.findall(r"^cosplace (localize .* --panel .*)$", page, re.M)
    (training.parents[1] / "sf-xl-processed-train").symlink_to(training.parent)
    (evaluation.parents[1] / "sf-xl-processed-test-queries_v1").symlink_to(evaluation.parent)
    pattern(COLOURS["red"], (64, 48)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(block, {"__name__": "__main__"})
    assert capsys.readouterr().out.startswith("36.14 -123.0 ")
    assert main(shlex.split(words)) == 0
    assert "red.png" in capsys.readouterr().out
    assert (tmp_path / "panel.png").is_file()
