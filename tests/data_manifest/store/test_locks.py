import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WITHOUT = "import runpy, sys; sys.modules['fcntl'] = None; sys.argv = sys.argv[1:];"


@pytest.mark.parametrize(
    "arguments",
    [
        ("luigi", "--module", "workflows", "BuildGroups"),
        ("data_manifest", "list"),
        ("pipeline", "plan", "."),
        ("evaluation", "localize", "--model", "m", "--database", "d", "docs/pictures/report.jpg"),
        ("training.train_cosplace",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_file_locks_each_command_ends_in_one_line(arguments: tuple[str, ...]) -> None:
    """As on Windows."""
    code = f"{WITHOUT} runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ERROR: this platform has no file locks (fcntl). On Windows, use WSL.\n")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
