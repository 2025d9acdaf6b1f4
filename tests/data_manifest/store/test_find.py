import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.store.find import find_artifact, read_recipe_of
from data_manifest.store.recipe import Recipe

Publish = Callable[..., Path]
RECIPE = Recipe("manifest", "city", 1, {}, {})


def test_the_paths_that_mean_an_artifact(publish: Publish) -> None:
    old, new = publish(RECIPE), publish(dataclasses.replace(RECIPE, version=2))
    assert find_artifact(old) == find_artifact(old / "things") == old
    for path in (new, new.parent, new.parent / "current", new.parent / "current" / "things"):
        assert find_artifact(path) == new
    assert find_artifact(new / "things" / "part.parquet") == new
    assert find_artifact(Path(os.path.relpath(new.parent))) == new


def test_what_current_leads_to_is_fixed_when_it_is_found(publish: Publish) -> None:
    found = find_artifact(publish(RECIPE).parent / "current")
    publish(dataclasses.replace(RECIPE, version=2))
    assert found.name == RECIPE.digest


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none: no such file or folder$"):
        find_artifact(tmp_path / "none")


def test_a_folder_that_is_no_artifact_but_holds_some(publish: Publish, tmp_path: Path) -> None:
    city, town = publish(RECIPE).parent, publish(dataclasses.replace(RECIPE, name="town", stage="groups")).parent
    with pytest.raises(UserError) as error:
        find_artifact(tmp_path / "A")
    assert str(error.value) == f"{tmp_path / 'A'} is not a published artifact; in it there are {town}, {city}"
    with pytest.raises(UserError, match=rf"manifest is not a published artifact; in it there are {city}$"):
        find_artifact(city.parent)
    with pytest.raises(UserError, match=r"is not a published artifact$"):
        find_artifact(tmp_path)


def test_not_all_of_many_are_named(publish: Publish, tmp_path: Path) -> None:
    for number in range(7):
        publish(dataclasses.replace(RECIPE, name=f"city{number}"))
    with pytest.raises(UserError, match=r"city4, and 2 more$"):
        find_artifact(tmp_path / "A")


@pytest.mark.parametrize("content", ["[]", "7", "{}", '{"stage": "manifest"}'])
def test_a_recipe_that_is_none(publish: Publish, content: str) -> None:
    artifact = publish(RECIPE)
    (artifact / "recipe.json").write_text(content)
    with pytest.raises(UserError, match=f"json is not a recipe: remove {artifact} and run again"):
        read_recipe_of(artifact, "summary", ("manifest",))


def test_a_stage_that_a_command_does_not_know(publish: Publish) -> None:
    artifact = publish(RECIPE)
    assert read_recipe_of(artifact, "rejects", ("manifest",))["name"] == "city"
    with pytest.raises(UserError) as error:
        read_recipe_of(artifact, "classes", ("groups",))
    assert str(error.value) == f"{artifact} is of the stage manifest: classes needs groups"
