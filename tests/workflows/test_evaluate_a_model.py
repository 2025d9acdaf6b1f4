"""Evaluate a trained model by its folder, and stop before training one by mistake."""

import html
import re
import shlex
from pathlib import Path

from data_manifest.store.recipe import read_recipe
from tests.helpers import TINY, Luigi, current_artifacts, published_files


def test_forgetting_the_backbone_in_an_evaluation_cannot_start_a_training_where_a_model_exists(
    city: Path, luigi: Luigi, tmp_path: Path
) -> None:
    data = ("--dataset-folder", str(city), "--positive-dist-threshold", "3")
    trained = luigi("TrainCosPlace", *data, *TINY, "--epochs-num", "1")
    assert trained.returncode == 0, trained.stderr
    model, before = current_artifacts(tmp_path)["training/train"], published_files(tmp_path / "artifacts")
    flag = TINY.index("--backbone")
    forgotten = (*data, *TINY[:flag], *TINY[flag + 2 :])
    for command in ("EvaluateCosPlace", "WriteReport", "ExtractDescriptors"):
        stopped = luigi(command, *forgotten)
        assert stopped.returncode != 0
        assert "backbone SqueezeNet1_1 (not ResNet18), epochs_num 1 (not 50)" in stopped.stderr
        assert f"  cosplace evaluate {model}\n" in stopped.stderr
        assert stopped.stderr.count("pass --train-new to train a new model") == 1
        assert "Traceback" not in stopped.stderr
    assert published_files(tmp_path / "artifacts") == before
    assert len(list((tmp_path / "artifacts" / "runs").glob("*/*"))) == 1

    machine = ("--num-workers", "0", "--device", "cpu")
    given = luigi("WriteReport", "--model", str(model.parent), *machine, "--report-queries", "2")
    assert given.returncode == 0, given.stderr
    assert "TrainCosPlace" not in given.stdout
    settings = read_recipe(current_artifacts(tmp_path)["evaluation/queries_v1"])["settings"]
    assert (settings["backbone"], settings["positive_dist_threshold"]) == ("SqueezeNet1_1", 3.0)
    (page,) = current_artifacts(tmp_path)["report/queries_v1"].glob("report.html")
    (code,) = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page.read_text(), re.DOTALL)
    words = shlex.split(html.unescape(code).splitlines()[-1])  # after the commit
    assert (words[words.index("--model") + 1], "--backbone" in words) == (str(model), False)
    assert luigi(*words[3:]).stdout.startswith("WriteReport: up to date (")
    evaluation = ("--evaluation", str(current_artifacts(tmp_path)["evaluation/queries_v1"].parent))
    assert luigi("WriteReport", *evaluation, "--report-queries", "2").stdout.startswith("WriteReport: up to date (")
    other = luigi("WriteReport", *evaluation, "--report-queries", "3")
    assert other.stdout.startswith("WriteReport: done ("), other.stdout + other.stderr

    insisted = luigi("EvaluateCosPlace", *data, *TINY, "--epochs-num", "1", "--seed", "1", "--train-new")
    assert insisted.returncode == 0, insisted.stderr
    assert "TrainCosPlace: done (" in insisted.stdout


def test_training_in_one_go_records_the_test_set(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    folders = [f"--{split}-folder={city / split}" for split in ("train", "val", "test")]
    (city / "test" / "queries_v1").rename(city / "test" / "queries")
    done = luigi("EvaluateCosPlace", *folders, "--test-queries", "queries", *TINY, "--epochs-num", "1")
    assert done.returncode == 0, done.stderr
    model = current_artifacts(tmp_path)["training/train"]
    again = luigi("EvaluateCosPlace", "--model", str(model))
    assert again.stdout.startswith("EvaluateCosPlace: up to date ("), again.stdout + again.stderr
