"""Photos in one folder with camera names, located by EXIF or a table."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from data_manifest.tables import read_table
from pipeline.planning.image_statistics import compute_statistics
from tests.helpers import Luigi

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos each of 64 places in a square grid of 40 m, without headings."""
    (tmp_path / "photos").mkdir()
    generator = np.random.default_rng(0)
    for number in range(192):
        place = number // 3
        exif = Image.Exif()
        gps = {1: "N", 2: (48.0, 51.0, place % 8 * 1.3), 3: "E", 4: (2.0, 20.0, place // 8 * 2.0)}
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
        pixels = generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"IMG_{number:04d}.JPG", exif=exif)
    return tmp_path / "photos"


def test_photo_folder_to_evaluation(luigi: Luigi, photos: Path, tmp_path: Path) -> None:
    own = ("--photos-folder", str(photos), "--source", "exif", "--split", "area", "--block-m", "80", "--margin-m", "5")
    grouping = ("--M", "20", "--alpha", "360", "--N", "2", "--L", "1", "--min-images-per-class", "1")
    network = ("--backbone", "SqueezeNet1_0", "--fc-output-dim", "8", "--backbone-weights", "none", "--device", "cpu")
    training = ("--groups-num", "1", "--batch-size", "4", "--epochs-num", "1", "--iterations-per-epoch", "1")
    size = ("--image-size", "32", "--num-workers", "0", "--positive-dist-threshold", "60")
    done = luigi("EvaluateCosPlace", *own, *grouping, *network, *training, *size)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (photos_manifest,) = tmp_path.glob("artifacts/manifest/*-photos")
    assert any(line.startswith("BuildManifest: done") and f"{photos_manifest}/" in line for line in lines)
    assert sum(line.startswith("SplitDataset: done (") for line in lines) == 5
    assert lines[-1].startswith("EvaluateCosPlace: done (")
    queries, predictions = (
        {row[column] for each in tmp_path.glob(f"artifacts/{at}") for row in read_table(each, table).to_dicts()}
        for at, table, column in (
            ("manifest/*-photos-test-queries/current", "manifest", "path"),
            ("evaluation/*/current", "predictions", "query_path"),
        )
    )
    assert predictions == queries, "only the test part of the photos"
    (train,) = tmp_path.glob("artifacts/manifest/*-photos-train/current")
    assert compute_statistics(train).source == "exif"
    again = luigi("BuildGroups", *own, *grouping)
    assert "BuildGroups: up to date" in again.stdout


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared with the positions of the Paris photos is not here")
def test_paris_positions_from_a_table(luigi: Luigi, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with (SHARED / "data" / "itowns_paris" / "positions.csv").open() as file:
        positions = list(csv.DictReader(file))
    for number, position in enumerate(positions):
        Image.new("RGB", (16, 16)).save(tmp_path / "photos" / f"{position['id']}.jpg")
        position["file"] = f"{position['id']}.jpg" if number else "missing.jpg"
    with (tmp_path / "positions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(positions[0]))
        writer.writeheader()
        writer.writerows(positions)
    done = luigi(
        *("BuildGroups", "--photos-folder", str(tmp_path / "photos"), "--source", "table"),
        *("--table", str(tmp_path / "positions.csv"), "--M", "20", "--N", "2", "--min-images-per-class", "1"),
    )
    assert done.returncode == 0, done.stderr
    manifest = next(tmp_path.glob("artifacts/manifest/*-photos/current"))
    rows = {row["path"]: row for row in read_table(manifest, "manifest").to_dicts()}
    for position in positions[1:]:
        row = rows[position["file"]]
        assert (row["utm_east"], row["heading"]) == (float(position["utm_east"]), float(position["heading"]))
    assert len(rows) == len(positions) - 1
    assert read_table(manifest, "rejects").height == 2  # a row without a file and a file without a row
