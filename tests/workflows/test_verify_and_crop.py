"""VerifyImages and CropPanoramas."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers import Luigi


def test_groups_leave_out_bad_images(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    first, second, *_ = sorted(city.glob("train/*/*.jpg"))
    first.write_bytes(first.read_bytes()[:300])
    second.write_bytes(b"")
    grouping = ("--dataset-folder", str(city), "--min-images-per-class", "1", "--verified", "header")
    done = luigi("BuildGroups", *grouping)
    assert done.returncode == 0, done.stderr
    assert "VerifyImages: done (" in done.stdout
    assert "of 14 images" in done.stdout
    assert "left out 1 images as bad: truncated" in done.stderr
    assert "left out 1 images as bad: zero bytes" in done.stderr
    again = luigi("BuildGroups", *grouping)
    assert again.stdout.startswith("BuildGroups: up to date")
    wrong = luigi("VerifyImages", "--dataset-folder", str(city), "--check", "twice")
    assert wrong.returncode != 0
    assert "choose one of header, decode" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_panoramas_to_groups(luigi: Luigi, tmp_path: Path) -> None:
    (tmp_path / "panoramas" / "37.81").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 416, 3), np.uint8)
    name = "@0545981.19@4184971.70@10@S@037.81098@-122.47762@pano@@90@@@@201409@@.jpg"
    Image.fromarray(pixels).save(tmp_path / "panoramas" / "37.81" / name)
    folders = ("--panoramas-folder", str(tmp_path / "panoramas"), "--output-folder", str(tmp_path / "database"))
    done = luigi("CropPanoramas", *folders, "--crop-size", "32")
    assert done.returncode == 0, done.stderr
    assert "12 crops of 1 panoramas, 1 of them cut now" in done.stdout
    assert luigi("CropPanoramas", *folders, "--crop-size", "32").stdout.startswith("CropPanoramas: up to date")
    groups = luigi("BuildGroups", "--train-folder", str(tmp_path / "database"), "--min-images-per-class", "1")
    assert "12 classes of 12 images in 2 groups" in groups.stdout, groups.stderr
