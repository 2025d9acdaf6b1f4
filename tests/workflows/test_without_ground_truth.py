"""EvaluateCosPlace on the MSLS challenge, whose images have no positions."""

from pathlib import Path

import numpy as np
import polars as pl

from data_manifest.tables import read_table
from tests.helpers import Luigi, run_module
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

CITIES = ("athens", "miami")


def write_challenge(folder: Path, city: Path) -> None:
    """Write `database/CITY/KEY.jpg` and `queries/CITY/KEY.jpg` with the images of a data set."""
    for role, source in (("database", "database"), ("queries", "queries_v1")):
        for number, path in enumerate(sorted((city / "test" / source).iterdir())):
            target = folder / role / CITIES[number % 2] / f"-{role[0]}_{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def test_predictions_are_written_and_no_recall_is_shown(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    write_challenge(tmp_path / "sets" / "msls_challenge", city)
    model, artifacts = tmp_path / "model.pth", tmp_path / "artifacts"
    save_network(GeoLocalizationNet("SqueezeNet1_1", 16), model)
    command = ("EvaluateCosPlace", "--model", str(model), "--num-workers", "0", "--device", "cpu")
    sets = ("--test-sets-folder", str(tmp_path / "sets"), "--dataset-folder", str(city))
    done = luigi(*command, *sets, "--test-sets", f"msls-challenge,{city / 'test'}")
    assert done.returncode == 0, done.stderr

    (file,) = artifacts.glob("evaluation/*/*[!t]/msls_prediction.csv")
    lines = [line.split(" ") for line in file.read_text().splitlines()]
    assert sorted(line[0] for line in lines) == [f"-q_{number}" for number in range(8)], "no query is lost"
    arrays = {}
    for role in ("database", "queries"):
        (folder,) = (path for path in artifacts.glob(f"descriptors/*msls_challenge-{role}/*") if not path.is_symlink())
        (manifest,) = (path for path in artifacts.glob(f"manifest/*msls_challenge-{role}/*") if not path.is_symlink())
        keys = [Path(path).stem for path in read_table(manifest, "manifest")["path"]]
        arrays[role] = dict(zip(keys, np.load(folder / "descriptors.npy"), strict=True))
    for query, *matches in lines:
        scores = {key: float(arrays["queries"][query] @ value) for key, value in arrays["database"].items()}
        assert sorted(matches) == sorted(scores)
        assert [scores[key] for key in matches] == sorted(scores.values(), reverse=True)

    evaluation = file.parent
    recalls, predictions = (read_table(evaluation, name) for name in ("recalls", "predictions"))
    unknown = ("recall", "recall_answerable", "interval_low", "interval_high", "queries_without_positive")
    assert recalls.select(pl.col(unknown).is_null().all()).row(0) == (True,) * 5
    assert recalls.select("k", "queries", "database_images").rows() == [(k, 8, 8) for k in (1, 5, 10, 20)]
    assert recalls["count_warning"][0].startswith("8 queries, published with 27,092; 8 database images, published with")
    assert predictions.select(pl.col("distance_m", "correct").is_null().all()).row(0) == (True, True)
    assert all(read_table(evaluation, name).is_empty() for name in ("breakdown", "certainty", "auprc"))

    line = next(line for line in done.stdout.splitlines() if line.startswith("msls-challenge  "))
    assert line.split() == ["msls-challenge", "25", "metres", "8", "8"], "no recalls, no count of positives"
    assert "msls-challenge: no ground truth, so no recalls." in done.stdout

    (comparison,) = (path for path in artifacts.glob("comparison/*/*") if not path.is_symlink())
    report = luigi("WriteReport", "--evaluation", str(comparison))
    assert report.returncode == 0, report.stderr
    (page,) = artifacts.glob("report/*/current/report.html")
    assert f"msls-challenge has no ground truth, so no recalls. Its predictions are in {evaluation}" in page.read_text()
    photo = next((city / "test" / "database").iterdir())
    for words, message in (
        (("report", str(evaluation)), "its test set has no ground truth, so there are no recalls to report"),
        (
            ("localize", "--model", str(model), "--database", str(evaluation), str(photo)),
            "its database has no positions, so photos cannot be localized in it",
        ),
    ):
        refused = run_module("cosplace", *words)
        assert refused.returncode != 0
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
    assert run_module("cosplace", "pairs", str(evaluation), "--k", "1", "--output", str(tmp_path / "p")).returncode == 0
    firsts = [[Path(name).stem for name in line.split()] for line in (tmp_path / "p").read_text().splitlines()]
    assert firsts == [line[:2] for line in lines]
