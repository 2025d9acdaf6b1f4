"""What the tasks on images keep during a command."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT, write_images


def test_images_are_listed_once_per_command(tmp_path: Path) -> None:
    write_images(tmp_path / "train", (2015,))
    code = (
        "import workflows, pathlib, sys; task = workflows.BuildManifest(dataset_folder=sys.argv[1]);"
        "before = task.artifact(); next(pathlib.Path(sys.argv[1]).rglob('*.jpg')).unlink();"
        "sys.exit(before != task.artifact())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)
