"""Two data sets with the same folder and image names."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tests.helpers import Luigi

NETWORK = ("--backbone", "SqueezeNet1_1", "--backbone-weights", "none", "--fc-output-dim", "16", "--epochs-num", "0")
GROUPING = ("--M", "10", "--alpha", "360", "--N", "1", "--L", "1", "--min-images-per-class", "1", "--groups-num", "1")
MACHINE = ("--num-workers", "0", "--device", "cpu", "--image-size", "64")


def test_data_sets_with_equal_names_share_nothing(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    day, night = tmp_path / "day" / "東京" / "city", tmp_path / "night" / "東京" / "city"
    day.parent.mkdir(parents=True)
    city.rename(day)
    shutil.copytree(day, night)
    for path in night.rglob("*.jpg"):
        ImageOps.invert(Image.open(path)).save(path)
    command = ("EvaluateCosPlace", *NETWORK, *GROUPING, *MACHINE, "--dataset-folder")
    for folder in (day, night):
        done = luigi(*command, str(folder))
        assert done.returncode == 0, done.stderr
        assert "TrainCosPlace: done (" in done.stdout
        assert "EvaluateCosPlace: done (" in done.stdout
    artifacts = tmp_path / "artifacts"
    models = sorted(artifacts.glob("training/*/current"))
    assert [link.parent.name for link in models] == ["東京-city-train", "東京-city-train-2"]
    assert len({link.resolve().name for link in models}) == 2
    of_database = sorted(artifacts.glob("descriptors/*-database*/current/descriptors.npy"))
    first, second = map(np.load, of_database)
    assert (first != second).any()
