"""Parameters that follow from --model; the models are not trained."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.store.publish import publishing
from data_manifest.store.recipe import Recipe
from tests.helpers import write_images
from tests.methods.conftest import write_repository
from training.network.model import GeoLocalizationNet
from training.network.weights import save_network

VALIDATION = {"positive_dist_threshold": 60.0, "resized_to": 40}
SETTINGS = {
    "backbone": "VGG16",
    "fc_output_dim": 64,
    "grayscale": True,
    "image_size": "40x56",
    "validation": VALIDATION,
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_images(tmp_path / "photos", (2015,))
    return tmp_path / "photos"


@pytest.fixture
def trained(photos: Path, tmp_path: Path) -> Path:
    """Return the folder of a published training that records its data set."""
    return publish(tmp_path, {"data_set": {"photos_folder": str(photos), "split": "time", "source": "exif"}})


def publish(tmp_path: Path, summary: dict[str, Any]) -> Path:
    recipe = Recipe("training", "city", 1, SETTINGS, {"made from": str(summary)})
    with publishing(tmp_path / "artifacts", recipe, summary) as staging:
        (staging / "model.pth").write_bytes(b"weights")
    return recipe.folder(tmp_path / "artifacts")


def evaluate(**parameters: Any) -> Any:
    import workflows

    return workflows.EvaluateCosPlace(**parameters)


def test_an_export_goes_to_the_artifacts_of_the_training(trained: Path) -> None:
    import workflows

    given: dict[str, Any] = {"model": str(trained), "format": "torch"}
    assert workflows.ExportModel(**given).artifacts_folder == trained.parents[2]
    other = Path("other")
    assert workflows.ExportModel(**given, artifacts_folder=other).artifacts_folder == other


def all_tasks(task: Any) -> Iterator[Any]:
    yield task
    for each in task.deps():
        yield from all_tasks(each)


def test_a_training_gives_network_threshold_and_data_set(trained: Path, photos: Path) -> None:
    task = evaluate(model=str(trained.parent))
    expected = {"backbone": "VGG16", "fc_output_dim": 64, "grayscale": True, "resize_test_imgs": True}
    expected |= {"positive_dist_threshold": 60.0, "photos_folder": photos, "split": "time", "source": "exif"}
    assert {name: getattr(task, name) for name in expected} == expected
    assert task.extraction().resized_to == 40
    assert task.model == str(trained), "pinned, as `current` may change"
    assert task.artifacts_folder == trained.parents[2]
    assert evaluate(model=str(trained), artifacts_folder="other").artifacts_folder == Path("other")
    for alias in (str(trained / "model.pth"), str(trained.parent / "current")):
        assert evaluate(resume_model=alias).task_id == evaluate(model=alias).task_id == task.task_id


def test_flags_override_the_data_set_and_the_threshold(trained: Path, tmp_path: Path) -> None:
    task = evaluate(model=str(trained), positive_dist_threshold=25, resize_test_imgs=False, split_seed=3)
    assert (task.positive_dist_threshold, task.resize_test_imgs, task.split_seed) == (25.0, False, 3)
    assert task.source == "exif"
    other = evaluate(model=str(trained), test_folder=str(tmp_path))
    assert (other.test_folder, other.photos_folder, other.source) == (tmp_path, None, "names"), "none of the recorded"


def test_nothing_is_trained_with_a_model(tmp_path: Path) -> None:
    for part, year in (("database", 2017), ("queries_v1", 2018)):
        write_images(tmp_path / "city" / "test" / part, (year,))
    save_network(GeoLocalizationNet("SqueezeNet1_1", 8), tmp_path / "a.pth")
    task = evaluate(
        model=str(tmp_path / "a.pth"), dataset_folder=tmp_path / "city", artifacts_folder=tmp_path / "artifacts"
    )
    assert {each.task_family for each in all_tasks(task)} == {"EvaluateCosPlace", "ExtractDescriptors", "BuildManifest"}
    assert (task.backbone, task.fc_output_dim) == ("SqueezeNet1_1", 8)


def test_contradictions_are_errors(trained: Path) -> None:
    model = str(trained)
    with pytest.raises(UserError, match=r"^backbone = ResNet50: .*model\.pth has VGG16\. Leave out --backbone\.$"):
        evaluate(model=model, backbone="ResNet50")
    with pytest.raises(UserError, match=r"^backbone = ResNet18: "):
        evaluate(model=model, backbone="ResNet18")  # the default, but given
    with pytest.raises(UserError, match=r"^model = .* and resume_model = .* Give only --model"):
        evaluate(model=model, resume_model=model)
    with pytest.raises(UserError, match="train_new"):
        evaluate(model=model, train_new=True)


def test_a_data_set_that_is_gone_or_not_recorded_is_an_error(trained: Path, photos: Path, tmp_path: Path) -> None:
    model, old = str(trained), str(publish(tmp_path, {}))
    photos.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=rf"the data set of the model, {photos}, is gone\. Pass --dataset-folder"):
        evaluate(model=model)
    with pytest.raises(UserError, match=r"the model records no data set\. Pass --dataset-folder"):
        evaluate(model=old)
    assert evaluate(model=old, test_sets="tokyo247", test_sets_folder=tmp_path).backbone == "VGG16"
    assert evaluate(model=model, photos_folder=tmp_path / "moved").photos_folder == tmp_path / "moved"


def test_a_report_takes_an_evaluation_or_a_model(trained: Path, tmp_path: Path) -> None:
    import workflows
    from luigi_tasks.given_model import is_evaluation

    recipes = [Recipe(stage, "city", 1, {}, {}) for stage in ("evaluation", "comparison", "groups")]
    for recipe in recipes:
        with publishing(tmp_path / "artifacts", recipe):
            pass
    evaluation, comparison, groups = (recipe.folder(tmp_path / "artifacts") for recipe in recipes)
    assert [is_evaluation(str(each)) for each in (evaluation.parent, comparison)] == [True, True]
    others = (trained, trained.parent, trained / "model.pth", groups, tmp_path, "ResNet50-512")
    assert not any(is_evaluation(str(each)) for each in others)
    report: Any = workflows.WriteReport
    task = report(evaluation=evaluation.parent)
    assert (task.evaluation, task.artifacts_folder, task.requires()) == (evaluation, tmp_path / "artifacts", [])
    with pytest.raises(UserError, match="give only one of the two"):
        report(evaluation=evaluation, model=str(trained))
    with pytest.raises(UserError, match=r"is of the stage groups: a report needs evaluation or comparison"):
        report(evaluation=groups)


def test_a_method_takes_the_place_of_a_model(photos: Path, tmp_path: Path) -> None:
    hub = f"{write_repository(tmp_path / 'repository')}:colours(dim=2)"
    others: dict[str, Any] = {"dataset_folder": photos, "artifacts_folder": tmp_path / "artifacts", "trust_repo": True}
    task = evaluate(hub=hub, **others)
    assert (task.model, task.hub, task.training()) == (hub, None, [])
    assert evaluate(model=hub, **others).task_id == task.task_id
    assert (task.digests().backbone, task.digests().fc_output_dim) == ("repository:colours", 2)
    assert (task.backbone, task.resize_test_imgs) == ("ResNet18", False), "those of a training have no effect"
    assert task.clone(type(task)).trained_model() is task.trained_model(), "loaded once"
    sized = evaluate(hub=hub, input_multiple=4, **others)
    assert sized.digests() != task.digests()
    assert evaluate(hub=hub, resize_test_imgs=True, image_size=64, **others).extraction().resized_to == 64


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"method": "MegaLok"}, r"method = 'MegaLok': no such method\. Closest: MegaLoc"),
        ({"method": "SALAD"}, r"^SALAD runs code of others: .* Pass --trust-repo"),
        ({"method": "SALAD", "hub": "a/b:c"}, "give only one of the two"),
        ({"method": "SALAD", "model": "a.pth"}, r"model = a\.pth and the method SALAD: give only one of the two"),
        ({"method": "SALAD", "fc_output_dim": 8}, r"fc_output_dim = 8: SALAD is a method\. Leave out --fc-output-dim"),
        ({"method": "SALAD", "train_new": True}, "train_new: SALAD is a method and not trained"),
        ({"method": "SALAD", "input_size": 224, "resize_test_imgs": True}, "input_size = 224 and resize_test_imgs"),
        ({"hub": "repository"}, "hub = repository: expected REPO:ENTRY"),
        ({"method_module": "net.py"}, r"method_module = net\.py: expected FILE\.py:FUNCTION"),
        ({"input_multiple": 14}, r"input_multiple = 14: no effect, because no method is given\. Leave out --input-mul"),
        ({"trust_repo": True}, r"trust_repo = True: no effect, because no method is given\. Leave out --trust-repo"),
        ({"model": "none.pth", "trust_repo": True}, r"trust_repo = True: no effect, because none\.pth is not a method"),
        ({"model": "none.pth", "input_size": 224}, r"input_size = 224: no effect, because none\.pth is not a method"),
    ],
)
def test_contradictions_with_methods_are_errors(parameters: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=problem):
        evaluate(dataset_folder=tmp_path, **parameters)
