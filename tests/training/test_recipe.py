"""Which settings and inputs change the digests of models and runs."""

import dataclasses
import json
from pathlib import Path

from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import read_users
from data_manifest.store.run_folders import write_run_file
from training.data.settings import AugmentationSettings
from training.network.settings import NetworkSettings
from training.recipe import decisive_settings, finished_training, run_folder, training_recipe
from training.settings import TrainingSettings

GROUPS = {"name": "city-train", "digest": "0123456789abcdef", "settings": {"M": 10.0}}


MANIFESTS = {"database": "0" * 16, "queries": "1" * 16}


def recipe_with(
    network: NetworkSettings | None = None,
    augmentation: AugmentationSettings | None = None,
    training: TrainingSettings | None = None,
    threshold: float = 25.0,
    manifests: dict[str, str] | None = None,
    folders: tuple[str, ...] = ("train", "database", "queries"),
) -> Recipe:
    settings = decisive_settings(
        network or NetworkSettings(), augmentation or AugmentationSettings(), training or TrainingSettings()
    )
    return training_recipe(GROUPS, settings, {"positive_dist_threshold": threshold}, manifests or MANIFESTS, folders)


def test_digest_and_paths() -> None:
    """Recorded for VERSION 2, the order of images drawn by SplitMix64."""
    recipe = recipe_with()
    assert recipe.digest == "f7cf015f8f0c0ba5"
    assert recipe.folder(Path("artifacts")) == Path("artifacts/training/city-train/f7cf015f8f0c0ba5")
    assert run_folder(Path("artifacts"), recipe) == Path("artifacts/runs/city-train/639227f012129f80")


def test_more_epochs_share_the_run_folder() -> None:
    some, more = recipe_with(), recipe_with(training=TrainingSettings(epochs_num=60))
    assert some.digest != more.digest
    assert run_folder(Path("a"), some) == run_folder(Path("a"), more)


def test_run_file_has_the_recipe(tmp_path: Path) -> None:
    for recipe in (recipe_with(), recipe_with(training=TrainingSettings(epochs_num=60))):
        run = run_folder(tmp_path, recipe)
        run.mkdir(parents=True, exist_ok=True)
        write_run_file(run, recipe)
        assert json.loads((run / "run.json").read_text()) == recipe.stored()
    assert [path.name for path in run.iterdir()] == ["run.json"]
    (user,) = read_users(tmp_path)
    assert user.inputs == frozenset(["0123456789abcdef", "0" * 16, "1" * 16, "train", "database", "queries"])


def test_decisive_settings_change_the_run_folder() -> None:
    others = [
        recipe_with(network=NetworkSettings(backbone="ResNet50")),
        recipe_with(augmentation=AugmentationSettings(image_size=224)),
        recipe_with(training=TrainingSettings(seed=1)),
        recipe_with(threshold=10.0),
        recipe_with(manifests={"database": "0" * 16, "queries": "another"}),
        recipe_with(folders=("train at night", "database", "queries")),
        recipe_with(folders=("train", "database", "queries at night")),
    ]
    folders = {run_folder(Path("a"), recipe) for recipe in [recipe_with(), *others]}
    assert len(folders) == 1 + len(others)


def test_named_groups_and_their_order_change_the_digest() -> None:
    first, turned = (recipe_with(training=TrainingSettings(groups=groups)) for groups in ("0,1,2", "2,1,0"))
    assert len({recipe_with().digest, first.digest, turned.digest}) == 3, "their order is that of the epochs"
    assert recipe_with(training=TrainingSettings(groups="0, 1,2", groups_num=3)).digest == first.digest
    assert first.settings["groups"] == "0,1,2"
    assert "groups" not in recipe_with().settings


def test_weights_files_count_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    (tmp_path / "b.pth").write_bytes(b"weights")
    (tmp_path / "c.pth").write_bytes(b"others")
    a, b, c = (recipe_with(network=NetworkSettings(resume_model=tmp_path / f"{name}.pth")).digest for name in "abc")
    assert a == b != c


def publish(recipe: Recipe, artifacts: Path, images_folder: Path) -> Path:
    with publishing(artifacts, recipe, {"images_folder": str(images_folder)}):
        pass
    return recipe.folder(artifacts)


def test_finished_training_is_found_by_its_images_folder(tmp_path: Path) -> None:
    finished = publish(recipe_with(), tmp_path, tmp_path / "old")
    grown = recipe_with(manifests={"database": "more images", "queries": "1" * 16}, folders=("train",))
    renamed = dataclasses.replace(grown, name="town-train")
    assert finished_training(tmp_path, grown, tmp_path / "old") == finished
    assert finished_training(tmp_path, renamed, tmp_path / "new") == finished
    other_settings = recipe_with(training=TrainingSettings(seed=1), folders=("train",))
    assert finished_training(tmp_path, other_settings, tmp_path / "old") is None


def test_finished_training_of_another_folder_is_not_found(tmp_path: Path) -> None:
    publish(recipe_with(), tmp_path, tmp_path / "old")
    assert finished_training(tmp_path, recipe_with(folders=("another",)), tmp_path / "old") is None


def test_finished_training_without_identities_is_found_by_path(tmp_path: Path) -> None:
    recipe = recipe_with()
    before = {key: value for key, value in recipe.inputs.items() if key != "folders"}
    finished = publish(dataclasses.replace(recipe, inputs=before), tmp_path, tmp_path / "here")
    assert finished_training(tmp_path, recipe, tmp_path / "here") == finished
    assert finished_training(tmp_path, recipe, tmp_path / "elsewhere") is None


def test_training_with_the_earlier_order_of_images_is_not_reused(tmp_path: Path) -> None:
    recipe = recipe_with()
    earlier = dataclasses.replace(recipe, version=1)
    publish(earlier, tmp_path, tmp_path / "images")
    assert finished_training(tmp_path, recipe, tmp_path / "images") is None
    assert run_folder(tmp_path, earlier) != run_folder(tmp_path, recipe), "an unfinished run starts again"


def test_earlier_crop_meaning_is_distinguished() -> None:
    recipe = recipe_with(augmentation=AugmentationSettings(random_resized_crop=0.8))
    assert recipe.settings["crop_scale"] == [0.2, 1.0]
    assert "crop_scale" not in recipe_with().settings, "at 0.5 both mean the same"
