"""`cosplace serve` as a process: its messages, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers import ROOT, as_main, fork, run_module
from tests.serve.client import Client, photo_of
from tests.serve.conftest import needs_server

WAIT_S = 60
pytestmark = needs_server


@pytest.fixture
def words(city: Path, evaluation: Path) -> list[str]:
    model = str(city / "artifacts" / "training" / "city-train")
    return ["--model", model, "--database", str(evaluation), "--port", "0", "--device", "cpu"]


def wait_for(file: Path, pattern: str) -> str:
    for _ in range(WAIT_S * 10):
        if file.is_file() and (found := re.search(pattern, file.read_text())):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(file.read_text() + file.with_name("stderr").read_text())


@pytest.mark.slow
def test_sighup_reloads_and_sigterm_finishes_running_requests(words: list[str], tmp_path: Path) -> None:
    process = fork(tmp_path, as_main, "cosplace", "serve", *words)
    client = Client(int(wait_for(tmp_path / "stdout", r"Open http://127\.0\.0\.1:(\d+) \(Ctrl-C stops\)")))
    assert client.get("/api/database").json["model"] == "SqueezeNet1_1-8"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGHUP)
    wait_for(tmp_path / "stderr", r"(reloaded: database, 4 images)")
    with ThreadPoolExecutor(1) as threads:
        large = photo_of("red", (3000, 2000), "JPEG")
        running = threads.submit(client.send_form, [(str(number), large) for number in range(4)])
        time.sleep(0.1)
        process.terminate()
        assert running.result().status == 200
    process.join(10)
    assert process.exitcode == 0
    assert (tmp_path / "stdout").read_text().endswith("Stopped.\n")
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def serve_without_end(words: list[str]) -> None:
    """Serve with a network that never returns, and little time to stop."""
    from evaluation.localization.localize import Localizer
    from serve import run_server

    run_server.GRACE_S, run_server.STOP_S = 0.2, 1.2  # type: ignore[assignment]

    def search(*_: object) -> None:
        print("searching", flush=True)
        threading.Event().wait()

    Localizer.search = search  # type: ignore[assignment, method-assign]
    as_main("cosplace", "serve", *words)


def test_a_batch_that_does_not_end_does_not_keep_a_stopped_server_alive(words: list[str], tmp_path: Path) -> None:
    process = fork(tmp_path, serve_without_end, words)
    client = Client(int(wait_for(tmp_path / "stdout", r"Open http://127\.0\.0\.1:(\d+)")))
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(client.send, photo_of("red"))
        wait_for(tmp_path / "stdout", "(searching)")
        process.terminate()
        assert running.result().status == 503
    process.join(WAIT_S)
    assert process.exitcode == 0
    assert (tmp_path / "stdout").read_text().endswith("Stopped.\n")
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_idle_threads_do_not_spin() -> None:
    code = "import os, sys; from cosplace.serve_databases import serve; assert 'torch' not in sys.modules"
    code += "\ntry: serve(None)\nexcept AttributeError: print(os.environ['OMP_WAIT_POLICY'])"
    for policy, expected in ((None, "passive"), ("active", "active")):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nowhere", "--database", "x", "--port", "0"], "nowhere: no such file or folder, and no official"),
        (["--model", "x", "--database", "x", "--host", "0.0.0.0"], "--host 0.0.0.0: other machines can reach it."),
        (["--model", "x"], "the following arguments are required: --database"),
        (["--model", "x", "--database", "a", "--database", "b=c"], "--database a: several databases need names."),
        (["--model", "x", "--database", "a", "--watch"], "--watch: neither the model nor a database is an artifact or"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str) -> None:
    done = run_module("cosplace", "serve", *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
