import logging
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from data_manifest.errors import UserError
from tests.helpers import progress_lines_on_request
from training.data.sampling import EpochPlan
from training.loop.reporting import EpochProgress, log_metrics
from training.loop.state import EpochState
from training.settings import RuntimeSettings

PLAN = EpochPlan(num_classes=40, batch_size=10, iterations=100, seed=0, epoch=1)


def _row(data_wait_share: float) -> dict[str, Any]:
    cache = {"cache_hit_share": None, "gb_read": None}
    speed = {"images_per_second": 123.0, "data_wait_share": data_wait_share}
    return {"epoch": 1, "loss": 2.5, "recall_1": 40.0, **speed, **cache}


def test_metrics_line_and_advice_on_data_wait(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_metrics(_row(0.2), 4, 45.0, RuntimeSettings(num_workers=3))
        log_metrics(_row(0.5), 4, None, RuntimeSettings(num_workers=3))
    assert caplog.messages[:1] == ["epoch 2/4  loss 2.500  val R@1 40.0 (best 45.0)  123 img/s  data wait 20 %"]
    assert "  val R@1 40.0 (best)  " in caplog.messages[-2]
    advice = "data wait 50 %: training could be up to 2.0 times as fast with more workers than --num-workers 3"
    assert caplog.messages[-1].startswith(f"{advice}, --cache-folder, a faster disk")


def test_metrics_line_and_advice_with_a_cache(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    row = _row(0.5) | {"cache_hit_share": 0.375, "gb_read": 1.5}
    with caplog.at_level(logging.INFO):
        log_metrics(row, 4, None, RuntimeSettings(cache_folder=tmp_path, cache_gb=40))
        log_metrics({**row, "cache_hit_share": 1.0}, 4, None, RuntimeSettings(cache_folder=tmp_path))
    assert caplog.messages[0].endswith("  123 img/s  data wait 50 %  cache hits 38 %  read 1.50 GB")
    assert "--num-workers 8, a larger --cache-gb than 40, a faster disk" in caplog.messages[1]
    assert "--num-workers 8, a faster disk" in caplog.messages[3]


def test_progress_line_has_loss_and_time_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, percentages, log_line = [0.0], list[int](), progress_lines_on_request(monkeypatch)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    # A run of four epochs resumes its second after 50 of 100 iterations.
    state = EpochState(50, torch.tensor(100.0, dtype=torch.float64))
    with caplog.at_level(logging.INFO), EpochProgress(PLAN, state, 4, percentages.append) as progress:
        for _ in range(10):
            now[0] += 2.0
            state.iterations, state.loss_sum = state.iterations + 1, state.loss_sum + 1.0
            progress.advance_iteration()
        log_line()
    # 100 images in 20 seconds: 400 images of the epoch are left, 2,000 of the two after it.
    rates = "5.0 images/s, 01:20 left, loss 1.833, run 08:00 left"
    assert caplog.messages[-1] == f"epoch 2/4: 600 of 1,000 images (60%), {rates}"
    assert percentages[0] == (100 + 51) // 4
    assert percentages[-1] == (100 + 60) // 4


def test_infinite_loss_is_an_error() -> None:
    state = EpochState(7, torch.tensor(float("inf"), dtype=torch.float64))
    with pytest.raises(UserError, match=r"The loss is inf at iteration 7 of epoch 2\. Lower --lr"):
        EpochProgress(PLAN, state, 4, None).advance_iteration()
