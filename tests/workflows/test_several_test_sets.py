"""EvaluateCosPlace on several test sets."""

from pathlib import Path

import polars as pl

from tests.helpers import Luigi, write_images
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network


def test_several_test_sets_give_one_table_and_share_descriptors(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    write_images(city / "test" / "queries_night", (2019,), shift_m=3.0)
    save_network(GeoLocalizationNet("SqueezeNet1_1", 16), tmp_path / "model.pth")
    network = ("--backbone", "SqueezeNet1_1", "--fc-output-dim", "16", "--resume-model", str(tmp_path / "model.pth"))
    where = ("--dataset-folder", str(city), "--num-workers", "0", "--device", "cpu")
    command = ("EvaluateCosPlace", *network, *where, "--infer-precision", "bf16", "--recall-values", "1,3")
    done = luigi(*command, "--test-sets", f"sf-xl-v1,{city / 'test'}")
    assert done.returncode == 0, done.stderr
    assert "R@1 (95 % interval)" in done.stdout
    assert "WARNING sf-xl-v1: 8 queries, published with 1,000; 8 database images" in done.stdout
    (comparison,) = (path for path in (tmp_path / "artifacts").glob("comparison/*/*") if not path.is_symlink())
    recalls = pl.read_parquet(comparison / "recalls" / "*.parquet")
    assert recalls.filter(k=1)["queries"].to_list() == [8, 8, 8]
    assert [name.split("-")[-1] for name in recalls.filter(k=3)["test_set"]] == ["v1", "queries_night", "queries_v1"]
    assert len([path for path in (tmp_path / "artifacts").glob("descriptors/*/*") if not path.is_symlink()]) == 3
    # Test sets in SF-XL's form are read by their names, whatever the photos are read by that one trains on.
    again = luigi(*command, "--test-sets", f"sf-xl-v1,{city / 'test'}", "--source", "exif")
    assert again.stdout.startswith("EvaluateCosPlace: up to date"), again.stdout

    mistaken = luigi(*command, "--test-sets", "sf-xl-v3")
    assert mistaken.returncode != 0
    assert "Did you mean sf-xl-v" in mistaken.stderr
    assert "Traceback" not in mistaken.stderr
