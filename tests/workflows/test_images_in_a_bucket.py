"""Training and evaluation on images in a bucket give the same as on the same images in a folder."""

from pathlib import Path

import polars as pl
import pytest

from data_manifest.store.recipe import read_recipe
from tests.helpers import TINY, Luigi, current_artifacts
from tests.object_server import RESET, ObjectServer

BUCKET_URL = "s3://bucket/city"
TRAINING = (*TINY, "--epochs-num", "1")


@pytest.fixture
def bucket(city: Path, objects: ObjectServer) -> ObjectServer:
    """A bucket with the images of the data set, of which each read fails once."""
    objects.put_files(city, "city", "*.jpg")
    objects.failures = {key: [503 if number % 2 else RESET] for number, key in enumerate(objects.objects)}
    return objects


@pytest.mark.slow
def test_bucket_gives_the_same_weights_and_recalls(
    city: Path, bucket: ObjectServer, luigi: Luigi, tmp_path: Path
) -> None:
    command = ("EvaluateCosPlace", *TRAINING, "--dataset-folder")
    done = luigi(*command, BUCKET_URL, "--num-workers", "1")
    assert done.returncode == 0, done.stderr
    assert "unreadable" not in done.stderr
    assert "very-secret" not in done.stderr + done.stdout
    artifacts = current_artifacts(tmp_path)
    assert read_recipe(artifacts["training/train"])["summary"]["images_folder"] == f"{BUCKET_URL}/train"
    assert not [path for path in tmp_path.rglob("*.json") if "very-secret" in path.read_text()]
    read = bucket.requests.total()
    again = luigi(*command, BUCKET_URL)
    assert again.stdout.startswith("EvaluateCosPlace: up to date"), again.stdout
    assert bucket.requests.total() - read < read / 2, "states are requested, but images are not read"
    report = luigi("WriteReport", *TRAINING, "--model", str(artifacts["training/train"]))
    assert report.returncode == 0, report.stderr
    assert "EvaluateCosPlace: up to date" in report.stdout, "the model remembers the bucket"
    assert "cannot be opened" not in report.stderr

    (tmp_path / "artifacts").rename(tmp_path / "of_bucket")
    done = luigi(*command, str(city))
    assert done.returncode == 0, done.stderr
    roots = tmp_path / "of_bucket", tmp_path / "artifacts"
    weights = (next(root.glob("training/*/current/model.pth")).read_bytes() for root in roots)
    assert len(set(weights)) == 1
    of_bucket, of_folder = (pl.read_parquet(root / "evaluation/*/current/recalls/*.parquet") for root in roots)
    assert of_bucket.select("k", "recall").equals(of_folder.select("k", "recall"))
