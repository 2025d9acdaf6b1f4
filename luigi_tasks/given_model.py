"""The parameters that follow from a given model or evaluation: network, image size, threshold, folders."""

import contextlib
import dataclasses
import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.images.images_folder import as_images_folder, is_missing
from data_manifest.settings import flag_of
from data_manifest.store.find import find_artifact, read_recipe_of
from data_manifest.store.recipe import is_published, read_recipe
from evaluation.descriptors.trained_model import TrainedModel
from methods.entry import Entry, entry_of
from methods.find_method import find
from methods.settings import FLAGS, METHOD_INPUTS, MethodSettings
from pipeline.dataset_layout import ArtifactsSettings
from training.network.settings import NetworkSettings
from training.recipe import DATA_SET, STAGE

EVALUATIONS = ("evaluation", "comparison")  # stages
FOLDERS = ("dataset_folder", "train_folder", "val_folder", "test_folder", "photos_folder")
NETWORK = ("backbone", "fc_output_dim", "grayscale")  # may be given, if the model has them
Values = Mapping[str, Any]
pinned_model = functools.cache(find)  # may load or download it


def forget_models() -> None:
    """Clear the cache of models, as a new command would begin."""
    pinned_model.cache_clear()


def with_model(values: Values, given: Collection[str]) -> dict[str, Any]:
    """Return the parameters of a task, completed from the model or method that one of its parameters names.

    Args:
        values: All parameters.
        given: Names of those that are not defaults. They override the recipe, except for the network's.

    Raises:
        UserError: There is no such model, its network is not the given one, or its data set is unknown.
    """
    reference, inputs = _reference(values), _method_settings(values).inputs
    entry = reference and entry_of(reference)
    if not entry:
        check_no_inputs(values, f"{reference} is not a method" if reference else "no method is given")
    if reference is None:
        return dict(values)
    if entry:
        _check_method(entry, values, given)
        pinned_model(reference, inputs)  # fails early; clones name the method as their model
        return {**values, **dict.fromkeys(FLAGS), "model": reference, "resume_model": None}
    found = pinned_model(reference, inputs)
    network = {name: getattr(found, name) for name in NETWORK}
    for name, value in network.items():
        if name in given and values[name] != value:
            raise UserError(f"{name} = {values[name]}: {found.path} has {value}. Leave out {flag_of(name)}.")
    recipe = read_recipe(found.path.parent) if is_published(found.path.parent) else {}
    more = {
        **_evaluation(found, recipe),
        **_data_set(found.path, recipe, values, given),
        **artifacts_of(found.path, recipe, values),
    }
    defaults = {name: value for name, value in more.items() if name in values and name not in given}
    name = str(found.path.parent if recipe else reference)
    return {**values, **defaults, **network, "model": name, "resume_model": None}


def _reference(values: Values) -> str | None:
    """Return the model or method that the parameters name; raises UserError if they name two."""
    model, resumed, method = values["model"], values["resume_model"], _method_settings(values).reference
    if model is not None and resumed is not None:
        raise UserError(f"model = {model} and resume_model = {resumed} name the same thing. Give only --model.")
    found = model or resumed
    if found is not None and method is not None:
        raise UserError(f"model = {found} and the method {method}: give only one of the two.")
    return None if found is None and method is None else str(found or method)


def _method_settings(values: Values) -> MethodSettings:
    return MethodSettings(**{field.name: values[field.name] for field in dataclasses.fields(MethodSettings)})


def _check_method(entry: Entry, values: Values, given: Collection[str]) -> None:
    """Raise UserError if parameters of trained models are given, or if two sizes are."""
    for name in NETWORK:
        if name in given and values[name] != NetworkSettings.__dataclass_fields__[name].default:
            raise UserError(f"{name} = {values[name]}: {entry.shown} is a method. Leave out {flag_of(name)}.")
    if values["train_new"]:
        raise UserError(f"train_new: {entry.shown} is a method and not trained. Leave it out.")
    if values["input_size"] and values["resize_test_imgs"]:
        raise UserError(f"input_size = {values['input_size']} and resize_test_imgs: give only one of the two.")


def check_no_inputs(values: Values, reason: str) -> None:
    """Raise UserError for settings that only methods have."""
    for name in METHOD_INPUTS:
        if values[name] not in (None, False):
            raise UserError(f"{name} = {values[name]}: no effect, because {reason}. Leave out {flag_of(name)}.")


def _evaluation(model: TrainedModel, recipe: Values) -> dict[str, Any]:
    """Return how images were read and positives defined in the validation of a training."""
    size = {} if model.image_size is None else {"image_size": model.image_size}
    validation = recipe.get("settings", {}).get("validation")
    if validation is None:
        return size
    threshold = {"positive_dist_threshold": validation["positive_dist_threshold"]}
    return {**size, **threshold, "resize_test_imgs": validation["resized_to"] is not None}


def _data_set(model: Path, recipe: Values, values: Values, given: Collection[str]) -> dict[str, Any]:
    """Return the data set that a model records, unless another is given.

    Raises:
        UserError: No images are given, and those of the record are missing.
    """
    if any(values[name] is not None for name in FOLDERS if name in given):
        return {}
    record: dict[str, Any] = recipe.get("summary", {}).get(DATA_SET, {})
    folders = [as_images_folder(record[name]) for name in FOLDERS if record.get(name)]
    if any(not is_missing(folder) for folder in folders):
        return record
    if recipe and values.get("test_sets") is None and not any(values[name] for name in FOLDERS):
        what = f"the data set of the model, {folders[0]}, is gone" if folders else "the model records no data set"
        raise UserError(f"{model.parent}: {what}. Pass --dataset-folder, --photos-folder or --test-folder.")
    return {}


def artifacts_of(model: Path, recipe: Values, values: Values) -> dict[str, Any]:
    """Return the artifacts folder of a training, unless another than the default is configured."""
    training, configured = model.parent, values["artifacts_folder"]
    is_elsewhere = bool(recipe) and training.parents[1].name == STAGE and training.parents[2] != configured.resolve()
    if not is_elsewhere or configured != ArtifactsSettings.artifacts_folder:
        return {}
    return {"artifacts_folder": training.parents[2]}


def with_evaluation(values: Values, given: Collection[str]) -> dict[str, Any]:
    """Return the parameters of a report, completed from the evaluation that --evaluation names.

    Raises:
        UserError: There is no such evaluation, or a model is given too.
    """
    if values["evaluation"] is None:
        return dict(values)
    if values["model"] is not None:
        raise UserError(f"evaluation = {values['evaluation']} and model = {values['model']}: give only one of the two.")
    folder = find_artifact(values["evaluation"])
    read_recipe_of(folder, "a report", EVALUATIONS)
    artifacts = {} if "artifacts_folder" in given else {"artifacts_folder": folder.parents[2]}
    return {**values, "evaluation": folder, **artifacts}


def is_evaluation(path: str) -> bool:
    """Return whether a path is that of a published evaluation or comparison; otherwise it is to be a model's."""
    with contextlib.suppress(UserError):
        return read_recipe(find_artifact(Path(path)))["stage"] in EVALUATIONS
    return False
