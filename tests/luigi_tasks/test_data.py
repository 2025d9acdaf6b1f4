"""What the tasks on images keep during a command, and check before it reads anything."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import workflows
from data_manifest.errors import UserError
from tests.helpers import ROOT, needs_timm, write_images


def test_images_are_listed_once_per_command(tmp_path: Path) -> None:
    write_images(tmp_path / "train", (2015,))
    code = (
        "import workflows, pathlib, sys; task = workflows.BuildManifest(dataset_folder=sys.argv[1]);"
        "before = task.artifact(); next(pathlib.Path(sys.argv[1]).rglob('*.jpg')).unlink();"
        "sys.exit(before != task.artifact())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)


@needs_timm
def test_image_size_is_checked_before_anything_is_read() -> None:
    given: dict[str, Any] = {"dataset_folder": Path("/no/such/folder"), "backbone": "timm/vit_small_patch14_dinov2"}
    for task in (workflows.TrainCosPlace, workflows.EvaluateCosPlace):
        with pytest.raises(UserError, match=r"image_size = 512: not a multiple of 14.*Use 504 or 518"):
            task(**given).complete()
