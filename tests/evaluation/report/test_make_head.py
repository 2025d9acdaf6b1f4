"""The head of the page, and the evaluation of the untrained network that it is compared with."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe, read_recipe
from evaluation.report.find_inputs import find_inputs
from evaluation.report.make_head import make_head
from evaluation.report.page.blocks import Tile
from evaluation.report.sections import provenance_section
from evaluation.report.sections.provenance_section import code_commit
from evaluation.report.sections.query_outcomes import read_results
from tests.evaluation.report.conftest import Town, publish_evaluation

PLACES = [Tile("25 m", "radius of positives"), Tile("9", "queries"), Tile("12", "database images")]


def publish_untrained(artifacts: Path, town: Town, **changed: object) -> Path:
    """Publish an evaluation of the network before training, with changed settings of its training."""
    trained = read_recipe(next((town.artifacts / "training" / "town-train").glob("[!c]*")))
    settings = {**trained["settings"], "epochs_num": 0, **changed}
    recipe = Recipe("training", "town-train", 1, settings, trained["inputs"])
    with publishing(artifacts, recipe, {"made": "untrained"}):
        pass
    names = {"database": "town-test-database", "queries": "town-test-queries_v1"}
    manifests = {role: (artifacts / "manifest" / name / "current").resolve() for role, name in names.items()}
    return publish_evaluation(town.images, artifacts, manifests, recipe.digest)


@pytest.fixture
def artifacts(town: Town, tmp_path: Path) -> Path:
    """A copy of the town's artifacts."""
    return shutil.copytree(town.artifacts, tmp_path / "artifacts", symlinks=True)


def test_title_facts_and_tiles(town: Town) -> None:
    inputs = find_inputs(town.evaluation, town.artifacts)
    head = make_head(inputs, read_results(inputs.test_sets))
    assert head.title == "ResNet18-32 on town, test queries v1"
    assert inputs.training is not None
    assert dict(head.facts)["model"] == str(inputs.training.folder / "model.pth")
    assert (head.tiles[0].value, head.tiles[0].label) == ("44.4 %", "R@1")
    assert head.tiles[1:] == [*PLACES, Tile("32", "dimensions")]
    assert head.sentences == ["Fewer than two bins of distance, heading or years have 20 queries to compare."]


def test_recall_has_its_interval_and_the_published_one(town: Town) -> None:
    inputs = find_inputs(town.evaluation, town.artifacts)
    (result,) = read_results(inputs.test_sets)
    more = {"interval_low": 30.0, "interval_high": 60.0, "published_recall": 76.7, "published_source": "the paper"}
    recalls = result.recalls.with_columns(**{name: pl.lit(value) for name, value in more.items()})
    head = make_head(inputs, [dataclasses.replace(result, recalls=recalls)])
    assert head.tiles[:2] == [
        Tile("44.4 %", "R@1", "95 % interval: 30.0 to 60.0"),
        Tile("76.7 %", "R@1 published", "the paper"),
    ]


@pytest.mark.parametrize(
    ("changed", "is_found"), [({}, True), ({"backbone_weights": "none"}, False), ({"epochs_num": 1}, False)]
)
def test_untrained_network_is_the_same_one_before_training(
    town: Town, artifacts: Path, changed: dict[str, object], is_found: bool
) -> None:
    untrained = publish_untrained(artifacts, town, **changed)
    inputs = find_inputs(artifacts / town.evaluation.relative_to(town.artifacts), artifacts)
    found = inputs.test_sets[0].untrained
    assert (found.folder if found else None) == (untrained if is_found else None)
    tiles = make_head(inputs, read_results(inputs.test_sets)).tiles
    assert (Tile("44.4 %", "R@1 untrained") in tiles) == is_found


def test_untrained_network_is_named_and_not_compared_with_itself(town: Town, artifacts: Path) -> None:
    publish_untrained(artifacts, town, lr=1.0)
    inputs = find_inputs(publish_untrained(artifacts, town), artifacts)
    assert inputs.test_sets[0].untrained is None
    assert make_head(inputs, read_results(inputs.test_sets)).title.startswith("Untrained ResNet18-32 on town")


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_commit_is_that_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "code.py"
    file.write_text("")
    monkeypatch.setattr(provenance_section, "__file__", str(file))
    assert code_commit.__wrapped__() == "", "no repository"
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "a")
    assert code_commit.__wrapped__() == "", "the repository of something else"
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-m", "b")
    commit = code_commit.__wrapped__()
    assert len(commit) >= 7
    file.write_text("changed")
    assert code_commit.__wrapped__() == f"{commit}-dirty"
