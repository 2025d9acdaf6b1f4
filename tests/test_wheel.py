"""The wheel, installed apart from the checkout and used from another folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT

NOT_COPIED = {"artifacts", "build", "demo", "tests"}  # of the top folder, besides hidden files
NAME = "@0545981.19@4184971.70@10@S@@@pano@@174@@@@201409@@.jpg"


def leave_out(folder: str, names: list[str]) -> set[str]:
    """Return the files and folders that the build does not need, or that an earlier build left behind."""
    hidden = {name for name in names if name.startswith(".") or name.endswith(".egg-info")}
    return hidden | NOT_COPIED if Path(folder) == ROOT else hidden


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = shutil.copytree(ROOT, folder / "sources", ignore=leave_out)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = ["wheel", str(sources), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*pip, *build], check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def python(installed: Path, cwd: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_commands_run_from_another_folder(installed: Path, tmp_path: Path) -> None:
    assert str(installed) in python(installed, tmp_path, "-c", "import cosplace; print(cosplace.__file__)")
    assert "localize" in python(installed, tmp_path, "-m", "cosplace")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / NAME).touch()
    for command in (["cosplace", "groups"], ["luigi", "--module", "workflows", "BuildGroups"]):
        words = [*command, "--train-folder", "train", "--min-images-per-class", "1"]
        assert "BuildGroups: " in python(installed, tmp_path, "-m", *words)


def test_the_demo_and_the_page_are_inside(installed: Path) -> None:
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    for folder, pattern in (
        ("cosplace/demo", "*.cfg"),
        ("evaluation/report/page", "*.[hcj]*s*"),
        ("serve/page", "*.*"),
        ("serve/page/leaflet", "*"),
    ):
        expected = {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob(pattern)}
        assert expected
        assert expected <= files
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "cosplace = cosplace.__main__:main" in entry_points.read_text()
    assert "workflows.py" in files
