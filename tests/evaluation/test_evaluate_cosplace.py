"""A model on several test sets, and photos looked up in their database: from files to files, with real weights."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe, read_recipe
from data_manifest.tables import read_table, write_table
from evaluation.__main__ import main
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel, find_model
from evaluation.evaluate_cosplace import ListedSet, evaluate_cosplace, evaluate_on_sets
from evaluation.localization.find_database import find_database, photos_in
from evaluation.localization.localize import Localizer
from evaluation.settings import EvaluationSettings, RetrievalSettings
from evaluation.test_sets.named_sets import NAMED_SETS
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

ROOT = Path(__file__).parents[2]
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 230), "grey": (128, 128, 128)}
BACKBONE, DIM = "SqueezeNet1_1", 8
HOW = {"device": "cpu", "num_workers": 0}


def pattern(colour: tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
    """A colour with a mark in its upper left, so that it matters which way up it is."""
    image = Image.new("RGB", size, colour)
    image.paste((0, 0, 0), (0, 0, size[0] // 2, size[1] // 3))
    return image


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def city(tmp_path: Path, artifacts: Path) -> Callable[..., ImageList]:
    """Make a folder of images a metre apart from the database's, and its published manifest."""

    def make(name: str, shift_m: float = 0.0, colours: tuple[str, ...] = tuple(COLOURS)) -> ImageList:
        folder = tmp_path / "city" / name
        folder.mkdir(parents=True)
        rows = []
        for number, colour in enumerate(colours):
            pattern(COLOURS[colour], (64, 48)).save(folder / f"{colour}.png")
            place = {"utm_east": 500_000.0 + 1000 * number + shift_m, "utm_north": 4e6, "utm_zone": 10, "utm_band": "S"}
            facts = {"latitude": 36.14, "longitude": -123.0 + number / 100, "heading": 90.0 * number, "year": 2015}
            if colour == "grey":  # whose name has metres alone
                del facts["latitude"], facts["longitude"]
            rows.append({**dict.fromkeys(schemas.MANIFEST.names), "path": f"{colour}.png", **place, **facts})
        recipe = Recipe("manifest", f"city-{name}", 1, {}, {"images": name})
        with publishing(artifacts, recipe, {"made": "some"}) as staging:
            frame = pl.DataFrame(rows, schema=pl.DataFrame(schemas.MANIFEST.empty_table()).schema)
            write_table(frame, staging / "manifest" / "part.parquet", schemas.MANIFEST)
        return ImageList(recipe.folder(artifacts), folder)

    return make


@pytest.fixture
def training(artifacts: Path) -> Path:
    torch.manual_seed(0)
    recipe = Recipe("training", "city-train", 1, {"backbone": BACKBONE, "fc_output_dim": DIM}, {})
    with publishing(artifacts, recipe, {"made": "a model"}) as staging:
        save_network(GeoLocalizationNet(BACKBONE, DIM), staging / "model.pth")
    return recipe.folder(artifacts)


def test_one_database_serves_many_sets_and_is_described_once(
    city: Callable[..., ImageList], training: Path, artifacts: Path
) -> None:
    database, day, night = city("database"), city("queries_day", 3.0), city("queries_night", 3.0, ("red", "blue"))
    sets = [ListedSet(database, day), ListedSet(database, night, NAMED_SETS["svox-night"])]
    folder = evaluate_on_sets(training / "model.pth", BACKBONE, DIM, sets, artifacts, **HOW)
    described = {path.resolve() for path in artifacts.glob("descriptors/*/*/descriptors.npy")}
    assert sorted(path.name for path in artifacts.glob("descriptors/*")) == [
        *("city-database", "city-queries_day", "city-queries_night")
    ]
    assert len(described) == 3
    assert list(artifacts.glob("runs/*/*")) == []

    recalls = read_table(folder, "recalls")
    assert recalls.filter(k=1).select("test_set", "queries", "database_images").rows() == [
        ("city-queries_day", 4, 4),
        ("svox-night", 2, 4),
    ]
    assert recalls.filter(k=5)["recall"].to_list() == [100.0, 100.0]
    warning = "2 queries, published with 823; 4 database images, published with about 17,000"
    assert recalls["count_warning"].to_list() == [None] * 4 + [warning] * 4
    shown = read_recipe(folder)["summary"]["made"]
    assert "R@1 (95 % interval)" in shown
    assert f"WARNING svox-night: {warning}" in shown

    before = {path: path.stat().st_mtime_ns for path in artifacts.rglob("*.npy")}
    wider = evaluate_cosplace(
        *(training / "model.pth", BACKBONE, DIM, database, day, artifacts, EvaluationSettings(1.0)),
        retrieval=RetrievalSettings(recall_values="2,4", index="hnsw"),
        **HOW,  # type: ignore[arg-type]
    )
    assert {path: path.stat().st_mtime_ns for path in artifacts.rglob("*.npy")} == before, "nothing is described anew"
    other = read_table(wider, "recalls")
    assert other.select("k", "recall", "index", "queries_without_positive").rows() == [
        *((k, 0.0, "hnsw", 4) for k in (2, 4))
    ]
    assert other["index_loss"].to_list() == [0.0, 0.0]


def test_published_figures_stand_beside_those_of_the_same_network(
    city: Callable[..., ImageList], artifacts: Path, tmp_path: Path
) -> None:
    save_network(GeoLocalizationNet("ResNet18", 512), tmp_path / "official.pth")
    sets = [ListedSet(city("database"), city("queries"), NAMED_SETS["st-lucia"])]
    settings = EvaluationSettings(resize_test_imgs=True)
    for image_settings, published in ((None, [98.8, 99.7, 99.9, 100.0]), (settings, [None] * 4)):
        folder = evaluate_on_sets(
            tmp_path / "official.pth", "ResNet18", 512, sets, artifacts, settings=image_settings, image_size=32, **HOW
        )
        assert read_table(folder, "recalls")["published_recall"].to_list() == published


@pytest.fixture
def evaluation(city: Callable[..., ImageList], training: Path, artifacts: Path) -> Path:
    return evaluate_cosplace(
        *(training / "model.pth", BACKBONE, DIM, city("database"), city("queries", 3.0), artifacts),
        **HOW,  # type: ignore[arg-type]
    )


def test_photos_of_any_size_and_turn_find_their_place(evaluation: Path, training: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    pattern(COLOURS["blue"], (64, 48)).save(photos / "a.png")
    turned = pattern(COLOURS["blue"], (640, 480)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(photos / "b.jpg", exif=exif, quality=95)
    (photos / "c.jpg").write_bytes(b"no image")
    pattern(COLOURS["grey"], (64, 48)).save(photos / "d.png")
    (photos / "notes.txt").touch()

    model = find_model(training.parent)
    database = find_database(evaluation.parent, model, device="cpu", num_workers=0)
    localizer = Localizer(model, database, "cpu")
    same, large, broken, metres_alone = localizer.localize(photos_in([photos]), top=2)
    best = same.matches[0]
    assert (best.path, best.rank, best.heading, best.year) == ("blue.png", 1, 180.0, 2015)
    assert [best.latitude, best.longitude] == pytest.approx([36.14, -122.98])
    assert best.score == pytest.approx(1, abs=1e-5)
    assert large.matches[0].path == "blue.png"
    assert large.matches[0].score == pytest.approx(1, abs=1e-3), "shrunk to the database's size, and upright"
    other = {"red.png": 2000, "green.png": 1000, "grey.png": 1000}[same.matches[1].path]
    assert same.spread_m == pytest.approx(other)
    assert broken.error is not None
    assert "c.jpg cannot be opened" in broken.error
    assert not broken.matches
    grey = metres_alone.matches[0]
    assert grey.path == "grey.png"
    east_of_meridian = 3000 / 0.9996 / (111_320 * np.cos(np.radians(36.14)))  # of zone 10, at 123 degrees west
    assert [grey.latitude, grey.longitude] == pytest.approx([36.14, -123 + east_of_meridian], abs=0.005)


def test_the_command_line(evaluation: Path, training: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "city" / "queries" / "green.png"
    words = ["localize", "--model", str(training), "--database", str(evaluation), "--top", "3", str(photo)]
    fixed = ["--device", "cpu", "--num-workers", "0"]
    assert main([*words, *fixed]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == str(photo)
    assert table[2].split() == ["1", "1.000", "36.140000", "-122.990000", "90", "2015", "green.png"]
    assert table[-1].startswith("  the best 3 lie within ")

    panel = tmp_path / "panel.png"
    assert main([*words, *fixed, "--format", "json", "--panel", str(panel)]) == 0
    (located,) = json.loads(capsys.readouterr().out)
    assert [match["rank"] for match in located["matches"]] == [1, 2, 3]
    with Image.open(panel) as drawn:
        tiles = np.asarray(drawn.convert("RGB"))[220, [100, 350]]  # the photo and its best match, below their marks
    assert np.abs(tiles.astype(int) - [COLOURS["green"]] * 2).max() < 40

    assert main([*words, *fixed, "--format", "geojson"]) == 0
    features = json.loads(capsys.readouterr().out)["features"]
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [pytest.approx(-122.99), 36.14]}
    assert features[0]["properties"]["path"] == "green.png"

    (tmp_path / "broken.jpg").touch()
    several = [tmp_path / "none.jpg", tmp_path / "broken.jpg", photo]
    assert main([*words[:-1], *map(str, several), *fixed]) == 1
    missing, broken, found = capsys.readouterr().out.split("\n\n")
    assert missing == f"{several[0]}\n  {several[0]}: no such file or folder"
    assert f"{several[1]} cannot be opened as an image" in broken
    assert "manifest" not in broken
    assert "green.png" in found


@pytest.mark.parametrize(
    ("name", "wrong"), [("nowhere/panel.png", "there is no folder"), ("panel.text", "its suffix means no format")]
)
def test_a_panel_that_cannot_be_written_is_told_before_anything_is_looked_up(
    tmp_path: Path, name: str, wrong: str
) -> None:
    (tmp_path / "photo.jpg").touch()
    words = ["localize", "--model", "none", "--database", "none", "--panel", str(tmp_path / name)]
    with pytest.raises(UserError, match=wrong):
        main([*words, str(tmp_path / "photo.jpg")])


def test_no_match_at_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["localize", "--model", "none", "--database", "none", "--top", "0", "none.jpg"])
    assert "argument --top: 0: at least 1 match is needed" in capsys.readouterr().err


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evaluation", "localize", "--model", "none", "--database", "none", "none.jpg"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("error: none.jpg: no such file or folder\n")
    assert "Traceback" not in done.stderr


def test_what_is_no_model_or_database_is_refused(evaluation: Path, training: Path, tmp_path: Path) -> None:
    model = find_model(training / "model.pth")
    assert model == find_model(training)
    with pytest.raises(UserError, match="is of the stage training: localize looks into evaluation and descriptors"):
        find_database(training, model)
    with pytest.raises(UserError, match=r"it has no model\.pth"):
        find_model(evaluation)
    torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="no known network: its keys are"):
        find_model(tmp_path / "weights.pth")
    (tmp_path / "copied.pth").write_bytes((training / "model.pth").read_bytes())
    assert find_model(tmp_path / "copied.pth") == TrainedModel(tmp_path / "copied.pth", BACKBONE, DIM)
    assert find_model(tmp_path / "weights.pth", "VGG16", 64) == TrainedModel(tmp_path / "weights.pth", "VGG16", 64)
    with pytest.raises(UserError, match="no image in this folder"):
        photos_in([training])


def test_what_the_readme_shows(
    evaluation: Path,
    training: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = (ROOT / "README.md").read_text()
    (block,) = (each for each in re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.M) if "Localizer" in each)
    (words,) = re.findall(r"^python -m evaluation (localize .*?)$", readme.replace("\\\n", " "), re.M)
    (training.parents[1] / "sf-xl-processed-train").symlink_to(training.parent)
    (evaluation.parents[1] / "sf-xl-processed-test-queries_v1").symlink_to(evaluation.parent)
    pattern(COLOURS["red"], (64, 48)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert capsys.readouterr().out.startswith("36.14 -123.0 ")
    assert main(shlex.split(words)) == 0
    assert "red.png" in capsys.readouterr().out
    assert (tmp_path / "panel.png").is_file()
