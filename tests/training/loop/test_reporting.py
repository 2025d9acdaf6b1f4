import logging
import time
from typing import Any

import pytest
import torch

from data_manifest.errors import UserError
from tests.helpers import progress_lines_on_request
from training.data.sampling import EpochPlan
from training.loop.reporting import EpochProgress, log_figures
from training.loop.state import PartOfEpoch
from training.settings import RuntimeSettings

PLAN = EpochPlan(num_classes=40, batch_size=10, iterations=100, seed=0, epoch=1)


def _row(data_wait_share: float) -> dict[str, Any]:
    return {"epoch": 1, "loss": 2.5, "recall_1": 40.0, "images_per_second": 123.0, "data_wait_share": data_wait_share}


def test_a_run_that_waits_for_images_is_called_data_bound(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_figures(_row(0.2), 45.0, RuntimeSettings(num_workers=3))
    text = "epoch 2: loss 2.500, R@1 40.0 (best 45.0), 123 images/s, 20% of the time spent waiting for images"
    assert caplog.messages == [text]
    log_figures(_row(0.5), 45.0, RuntimeSettings(num_workers=3))
    assert caplog.messages[-1].startswith("data-bound: the network waits for images; more than --num-workers 3")
    assert caplog.messages[-1].endswith("up to 2.0 times as fast")


def test_a_line_has_loss_rate_and_the_time_left_for_epoch_and_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, percentages, log_line = [0.0], list[int](), progress_lines_on_request(monkeypatch)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    # A run of four epochs goes on with its second after 50 of 100 iterations.
    part = PartOfEpoch(50, torch.tensor(100.0, dtype=torch.float64))
    with caplog.at_level(logging.INFO), EpochProgress(PLAN, part, 4, percentages.append) as progress:
        for _ in range(10):
            now[0] += 2.0
            part.iterations, part.loss_sum = part.iterations + 1, part.loss_sum + 1.0
            progress.advance_iteration()
        log_line()
    # 100 images in 20 seconds: 400 images of the epoch are left, 2,000 of the two after it.
    rates = "5.0 images/s, 01:20 left, loss 1.833, run 08:00 left"
    assert caplog.messages[-1] == f"epoch 2 of 4: 600 of 1,000 images (60%), {rates}"
    assert percentages[0] == (100 + 51) // 4
    assert percentages[-1] == (100 + 60) // 4


def test_a_loss_that_is_no_number_is_told() -> None:
    part = PartOfEpoch(7, torch.tensor(float("inf"), dtype=torch.float64))
    with pytest.raises(UserError, match="the loss is inf by iteration 7 of epoch 2: lower --lr"):
        EpochProgress(PLAN, part, 4, None).advance_iteration()
