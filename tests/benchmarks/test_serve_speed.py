import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from tests.serve.conftest import needs_server


@needs_server
@pytest.mark.slow
def test_the_loop_and_each_number_of_clients_are_measured() -> None:
    words = [sys.executable, str(ROOT / "benchmarks/serve_speed.py"), "--images", "500", "--seconds", "0.1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows] == ["photos by", "localize in a loop", "1 client", "4 clients", "16 clients"]
    assert all(float(row[1]) > 0 and row[2].endswith("%") for row in rows[1:])
