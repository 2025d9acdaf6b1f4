import errno
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cosplace.__main__ import run
from data_manifest.errors import UserError
from data_manifest.tables import read_member_paths
from tests.training.conftest import WriteGroups
from training.data.reads.write_reads import write_reads
from training.data.sampling import EpochPlan
from training.settings import TrainingSettings

SIZES = {0: 7, 3: 5}
TRAINING = TrainingSettings(groups_num=2, batch_size=4, iterations_per_epoch=3, seed=3)
FLAGS = ["--groups-num", "2", "--batch-size", "4", "--iterations-per-epoch", "3", "--seed", "3"]


@pytest.fixture
def groups(write_groups: WriteGroups) -> Path:
    """Return a groups artifact."""
    folder = write_groups(SIZES) / "groups"
    recipe = {"stage": "groups", "name": "city", "digest": "0123abc", "settings": {}, "summary": {}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def _rows(epochs: range) -> list[dict[str, Any]]:
    """Return the table as single samples give it, one by one."""
    rows = []
    for epoch in epochs:
        group, num_classes = list(SIZES.items())[epoch % 2]
        plan = EpochPlan(num_classes, 4, 3, 3, epoch)
        for sample in range(plan.num_samples):
            path = f"g{group}/é{plan.class_index(sample)}_{plan.image_number(sample, 3)}.png"
            rows.append({"epoch": epoch, "sample": sample, "group": group, "path": path})
    paths = [row["path"] for row in rows]
    later = [
        paths.index(path, number + 1) if path in paths[number + 1 :] else None for number, path in enumerate(paths)
    ]
    return [{**row, "next_use": next_use} for row, next_use in zip(rows, later, strict=True)]


@pytest.mark.parametrize("epochs", [range(5), range(3, 5), range(1)])
def test_table_has_the_reads_one_by_one(groups: Path, tmp_path: Path, epochs: range) -> None:
    facts = write_reads(groups, TRAINING, epochs, tmp_path / "reads.parquet")
    written, expected = pl.read_parquet(tmp_path / "reads.parquet"), _rows(epochs)
    assert written.to_dicts() == expected
    assert any(row["next_use"] for row in expected)
    assert facts["reads"] == len(expected)
    assert facts["images"] == len({row["path"] for row in expected})


def test_counts_of_each_epoch(groups: Path, tmp_path: Path) -> None:
    counts = write_reads(groups, TRAINING, range(5), tmp_path / "reads.parquet")["epochs"]
    rows = _rows(range(5))
    for epoch, count in enumerate(counts):
        paths = {row["path"] for row in rows if row["epoch"] == epoch}
        before = {row["path"] for row in rows if row["epoch"] < epoch and row["group"] == count["group"]}
        group = (0, 3)[epoch % 2]
        expected = {"read": len(paths), "new": len(paths - before), "read_so_far": len(paths | before)}
        assert count == {"epoch": epoch, "group": group, "group_images": 3 * SIZES[group], **expected}


def test_list_has_each_path_once_in_the_order_of_its_first_read(
    groups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "files.txt"
    assert run(["reads", str(groups), "--epochs", "1:4", "--output", str(output), *FLAGS]) == 0
    paths = [row["path"] for row in _rows(range(1, 4))]
    assert output.read_text("utf-8").splitlines() == list(dict.fromkeys(paths))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{output}: 36 reads of {len(set(paths))} images"
    read = len({row["path"] for row in _rows(range(1, 2))})
    assert lines[2].split() == ["1", "3", "15", f"{read / 15:.0%}", f"{read / 15:.0%}"]


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_rsync_copies_the_listed_images(groups: Path, tmp_path: Path) -> None:
    write_reads(groups, TRAINING, range(1), tmp_path / "files.txt")
    words = [
        "rsync",
        "-a",
        f"--files-from={tmp_path / 'files.txt'}",
        f"{tmp_path / 'images'}/",
        f"{tmp_path / 'here'}/",
    ]
    subprocess.run(words, check=True)
    copied = {path.relative_to(tmp_path / "here").as_posix() for path in (tmp_path / "here").rglob("*.png")}
    assert copied == {row["path"] for row in _rows(range(1))}


def test_json_has_every_epoch(groups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reads", str(groups), "--epochs", "0:30", "--output", str(tmp_path / "reads.parquet"), *FLAGS]
    run([*command, "--format", "json"])
    assert len(json.loads(capsys.readouterr().out)["epochs"]) == 30
    run(command)
    assert "and 10 more epochs: see --format json" in capsys.readouterr().out


MISTAKES = {
    "random seed": (["--seed", "-1"], r"seed = -1: each start draws a new seed"),
    "batch": (["--batch-size", "6"], "Group 3 has 5 classes, fewer than --batch-size 6"),
    "group": (["--groups", "0,1"], "groups = 0,1: no classes in 1. Groups with classes: 0, 3"),
    "suffix": (["--output", "reads.csv"], r"reads\.csv: give a name that ends with \.parquet .* or \.txt"),
    "folder": (["--output", "none/reads.parquet"], "none/reads.parquet: not a file in an existing folder"),
}


@pytest.mark.parametrize(("flags", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_write_nothing(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], message: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match=message):
        run(["reads", str(groups), "--epochs", "0:2", "--groups-num", "2", *flags])
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["reads.parquet", "files.txt"])
def test_full_disk_leaves_the_earlier_file(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full_disk(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "here").mkdir()
    (tmp_path / "here" / name).write_text("earlier")
    monkeypatch.setattr("data_manifest.store.files.fsync", full_disk)
    with pytest.raises(UserError, match=r"the disk of .*here is full .* choose --output"):
        write_reads(groups, TRAINING, range(2), tmp_path / "here" / name)
    assert {path.name: path.read_text() for path in (tmp_path / "here").iterdir()} == {name: "earlier"}


@pytest.mark.parametrize("text", ["5", "5:5", "5:2", "-1:2", "0:x", "0:5:2"])
def test_epochs_are_a_range(groups: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit):
        run(["reads", str(groups), f"--epochs={text}"])
    assert f"{text}: expected FIRST:END, as in 0:5 for the first five epochs" in capsys.readouterr().err


def test_other_artifacts_are_an_error(groups: Path, tmp_path: Path) -> None:
    (groups / "recipe.json").write_text((groups / "recipe.json").read_text().replace('"groups"', '"manifest"'))
    with pytest.raises(UserError, match="is of the stage manifest: reads needs groups"):
        write_reads(groups, TRAINING, range(1), tmp_path / "reads.parquet")


@pytest.mark.parametrize("name", ["#a.jpg", ";a.jpg", "b\n.jpg", "c\r.jpg"])
def test_names_that_split_a_list_are_an_error(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def renamed(folder: Path, group: int) -> pl.Series:
        return pl.Series([name]).new_from_index(0, len(read_member_paths(folder, group)))

    monkeypatch.setattr("training.data.reads.write_reads.read_member_paths", renamed)
    with pytest.raises(UserError, match="cannot be in a list of files"):
        write_reads(groups, TRAINING, range(1), tmp_path / "files.txt")
    assert not list(tmp_path.glob("*files.txt*"))
    write_reads(groups, TRAINING, range(1), tmp_path / "reads.parquet")
    assert pl.read_parquet(tmp_path / "reads.parquet")["path"].unique().to_list() == [name]
