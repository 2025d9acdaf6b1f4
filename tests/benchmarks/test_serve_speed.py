"""The benchmark of the server, with a small network and small photos."""

import importlib
import multiprocessing
from types import SimpleNamespace

import pytest

from tests.helpers import ROOT
from tests.serve.conftest import needs_server


@needs_server
@pytest.mark.slow
def test_the_loop_and_each_number_of_clients_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    small = {"serve_speed.BACKBONE": "SqueezeNet1_1", "serve_speed.PHOTO_SIZE": (96, 64), "synthetic_database.SIDE": 64}
    for name, value in small.items():
        monkeypatch.setattr(name, value)
    forking = multiprocessing.get_context("forkserver")  # the script's context starts Python
    monkeypatch.setattr("serve_process.multiprocessing", SimpleNamespace(get_context=lambda _: forking))
    monkeypatch.setattr("sys.argv", ["serve_speed.py", "--images", "500", "--seconds", "0.02"])
    importlib.import_module("serve_speed").main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows] == ["photos by", "localize in a loop", "1 client", "4 clients", "16 clients"]
    assert all(float(row[1]) > 0 and row[2].endswith("%") for row in rows[1:])
