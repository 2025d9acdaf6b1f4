"""What is needed: followed by hand through a few recipes."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.store.garbage import DEFAULT_STAGES
from data_manifest.store.needed import Rules, reasons_to_keep
from data_manifest.store.publish import make_current, publishing
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import STAGES, read_artifacts, read_users

Publish = Callable[..., Path]
ALL = Rules(STAGES)


def recipe(stage: str, version: int = 1, name: str = "city", **inputs: Any) -> Recipe:
    return Recipe(stage, name, version, {}, inputs)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the reason for each artifact in tmp_path/A that is kept, by stage, name and digest."""

    def kept(rules: Rules = ALL) -> dict[str, str]:
        artifacts = tmp_path / "A"
        reasons = reasons_to_keep(read_artifacts(artifacts), read_users(artifacts), rules)
        return {str(folder.relative_to(artifacts)): why for folder, why in reasons.items()}

    return kept


Kept = Callable[..., dict[str, str]]


def key(made: Recipe) -> str:
    return f"{made.stage}/{made.name}/{made.digest}"


def test_nothing_needs_what_was_current_before(publish: Publish, kept: Kept) -> None:
    old, new = recipe("manifest"), recipe("manifest", 2)
    publish(old)
    publish(new)
    assert kept() == {key(new): "current"}


def test_current_that_was_swapped_back(publish: Publish, kept: Kept) -> None:
    old, new = recipe("manifest"), recipe("manifest", 2)
    for each in (old, new, old):
        publish(each)
    assert kept() == {key(old): "current"}


def test_inputs_of_inputs_are_needed(publish: Publish, kept: Kept) -> None:
    manifests = [recipe("manifest", version) for version in (1, 2, 3)]
    groups = [recipe("groups", manifest=manifest.digest) for manifest in manifests]
    model = recipe("training", groups=groups[0].digest, validation="unknown")
    evaluation = recipe("evaluation", model=model.digest, database="unknown", queries="unknown")
    for each in (*manifests, *groups, model, evaluation):
        publish(each)
    make_current(publish(groups[2]))
    assert kept() == {
        key(manifests[2]): "current",
        key(groups[2]): "current",
        key(model): "current",
        key(evaluation): "current",
        key(groups[0]): f"used by {key(model)}",
        key(manifests[0]): f"used by {key(groups[0])}",
    }


def test_a_digest_is_one_artifact_under_any_name(publish: Publish, kept: Kept) -> None:
    city, town = recipe("manifest"), recipe("manifest", name="town")
    groups = recipe("groups", manifest=city.digest)
    for each in (city, recipe("manifest", 2), town, recipe("manifest", 2, "town"), groups):
        publish(each)
    assert city.digest == town.digest
    assert kept()[key(city)] == kept()[key(town)] == f"used by {key(groups)}"


def test_a_model_needs_the_manifests_it_was_validated_with(publish: Publish, kept: Kept) -> None:
    database, queries = recipe("manifest", name="val-database"), recipe("manifest", 7, name="val-queries")
    model = recipe("training", groups="0", validation={"database": database.digest, "queries": queries.digest})
    for each in (database, queries, model):
        publish(each)
        publish(dataclasses.replace(each, version=8, inputs={}))
    make_current(publish(model))
    reasons = kept()
    assert reasons[key(database)] == reasons[key(queries)] == f"used by {key(model)}"


def test_inputs_may_be_nested(publish: Publish, kept: Kept) -> None:
    manifests = [recipe("manifest", version) for version in (1, 2, 3, 4)]
    for each in (*manifests, recipe("groups", manifests=[manifests[0].digest, {"more": manifests[1].digest}], n=3)):
        publish(each)
    assert kept().keys() & set(map(key, manifests)) == {key(manifests[0]), key(manifests[1]), key(manifests[3])}


def test_the_newest_are_kept_if_asked_for(publish: Publish, kept: Kept) -> None:
    recipes = [recipe("manifest", version, name) for name in ("city", "town") for version in (1, 2, 3, 4)]
    for age, each in enumerate(recipes):
        os.utime(publish(each), (1e9 + age, 1e9 + age))
    assert set(kept()) == {key(recipes[3]), key(recipes[7])}
    expected = {key(each) for each in recipes if each.version > 2}
    assert set(kept(Rules(STAGES, keep_newest=2))) == expected
    assert set(kept(Rules(STAGES, keep_newest=9))) == set(map(key, recipes))


def test_stages_that_are_not_asked_for_are_kept_with_their_inputs(publish: Publish, kept: Kept) -> None:
    groups = [recipe("groups", version) for version in (1, 2, 3)]
    models = [recipe("training", groups=each.digest) for each in groups[:2]]
    for each in (*groups, *models):
        publish(each)
    assert kept(Rules(("manifest", "groups"))) == {
        key(groups[2]): "current",
        key(models[1]): "current",
        key(models[0]): "its stage is not asked for",
        key(groups[0]): f"used by {key(models[0])}",
        key(groups[1]): f"used by {key(models[1])}",
    }
    assert key(models[0]) not in kept(Rules(("training",)))


def test_a_run_keeps_what_it_trains_on(publish: Publish, kept: Kept, tmp_path: Path) -> None:
    manifest = recipe("manifest")
    groups = [recipe("groups", manifest=manifest.digest), recipe("groups", 2), recipe("groups", 3)]
    for each in (manifest, recipe("manifest", 2), *groups):
        publish(each)
    run = tmp_path / "A" / "runs" / "city" / "0123"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(recipe("training", groups=groups[0].digest).stored()))
    reasons = kept()
    assert reasons[key(groups[0])] == "used by the run city/0123"
    assert reasons[key(manifest)] == f"used by {key(groups[0])}"
    assert key(groups[1]) not in reasons


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", "7"])
def test_a_run_that_does_not_say_may_need_all_manifests_and_groups(
    publish: Publish, kept: Kept, tmp_path: Path, content: str | None
) -> None:
    for stage in STAGES:
        publish(recipe(stage))
        publish(recipe(stage, 2))
    run = tmp_path / "A" / "runs" / "city" / "0123"
    run.mkdir(parents=True)
    if content is not None:
        (run / "run.json").write_text(content)
    current = {key(recipe(stage, 2)) for stage in STAGES}
    assert set(kept()) == current | {key(recipe(stage)) for stage in DEFAULT_STAGES}


def test_a_build_that_is_running_keeps_its_inputs(publish: Publish, kept: Kept, tmp_path: Path) -> None:
    old, other, new = (recipe("manifest", version) for version in (1, 2, 3))
    for each in (old, other, new):
        publish(each)
    with publishing(tmp_path / "A", recipe("groups", manifest=old.digest)) as staging:
        assert kept() == {key(new): "current", key(old): f"used by the build in {staging}"}
    assert set(kept()) == {key(new), key(old), key(recipe("groups", manifest=old.digest))}


def test_a_build_that_has_not_said_yet_may_need_everything(publish: Publish, kept: Kept, tmp_path: Path) -> None:
    for stage in STAGES:
        publish(recipe(stage))
        publish(recipe(stage, 2))
    with publishing(tmp_path / "A", recipe("groups", 3)) as staging:
        (staging / "recipe.json").write_text('{"stage": "gro')
        assert len(kept()) == 2 * len(STAGES)


def damage_whole(folder: Path) -> None:
    (folder / "recipe.json").write_text("")


def damage_list(folder: Path) -> None:
    (folder / "recipe.json").write_text("[]")


def damage_inputs(folder: Path) -> None:
    (folder / "recipe.json").write_text(json.dumps({"digest": folder.name}))


def damage_digest(folder: Path) -> None:
    (folder / "recipe.json").write_text(json.dumps({"digest": "another", "inputs": {}}))


@pytest.mark.parametrize("damage", [damage_whole, damage_list, damage_inputs, damage_digest])
def test_a_damaged_artifact_is_kept_with_all_that_may_be_its_input(
    publish: Publish, kept: Kept, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    before = ("manifest", "checks", "verified")
    for stage in (*before, "groups"):
        publish(recipe(stage))
        publish(recipe(stage, 2))
    damage(tmp_path / "A" / key(recipe("groups")))
    assert kept() == {
        **{key(recipe(stage, 2)): "current" for stage in (*before, "groups")},
        key(recipe("groups")): "damaged",
        **{key(recipe(stage)): f"perhaps used by {key(recipe('groups'))}" for stage in before},
    }


def test_where_nothing_is_current_everything_is_kept(publish: Publish, kept: Kept) -> None:
    for version in (1, 2):
        publish(recipe("manifest", version))
        link = publish(recipe("groups", version)).parent / "current"
    link.unlink()
    link.symlink_to("gone")
    reason = "nothing is current there"
    assert {why for name, why in kept().items() if name.startswith("groups")} == {reason}
    assert len(kept()) == 3
    link.unlink()
    assert len(kept()) == 3


def test_a_copy_that_followed_links_is_left_whole(publish: Publish, kept: Kept) -> None:
    publish(recipe("manifest"))
    link = publish(recipe("manifest", 2)).parent / "current"
    target = link.resolve()
    link.unlink()
    link.mkdir()
    (link / "recipe.json").write_bytes((target / "recipe.json").read_bytes())
    assert len(kept()) == 3


def test_what_was_published_a_moment_ago_may_become_current(publish: Publish, kept: Kept) -> None:
    old, new = recipe("manifest"), recipe("manifest", 2)
    publish(old)
    link = publish(new).parent / "current"
    link.unlink()
    link.symlink_to(old.digest)
    os.utime(link, (1e9, 1e9), follow_symlinks=False)  # as before `publishing` comes to swap it
    assert kept() == {key(old): "current", key(new): "newer than what is current"}


def test_nothing_there(kept: Kept) -> None:
    assert kept() == {}
