"""Counts of groups against plain Python over the same classes."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.inspect.bars import ASCII
from data_manifest.inspect.classes import SHOWN_GROUPS, count_by_size, count_classes, find_quantiles, show_classes
from data_manifest.store.recipe import Recipe

PublishTables = Callable[..., Path]
RECIPE = Recipe("groups", "city", 1, {"M": 10.0, "alpha": 30.0, "N": 5}, {"manifest": "0123"})


@pytest.fixture
def classes() -> list[dict[str, Any]]:
    rng = random.Random(2)
    return [
        {
            **{"group_index": rng.choice([0, 7, 30]), "class_index": number, "heading_bin": rng.randrange(12)},
            **{"utm_zone": rng.choice([10, None]), "hemisphere": rng.choice(["N", None])},
            **{"cell_east": rng.randrange(3), "cell_north": rng.randrange(-2, 2)},
            "num_images": 10 + int(rng.expovariate(1 / 20)),
        }
        for number in range(400)
    ]


def test_the_keys_and_the_counts(classes: list[dict[str, Any]], publish_tables: PublishTables) -> None:
    artifact = publish_tables(RECIPE, {"classes": [classes[:150], [], classes[150:]], "members": [[]]})
    facts = count_classes(artifact)
    sizes = {group: [row["num_images"] for row in classes if row["group_index"] == group] for group in (0, 7, 30)}
    assert list(facts) == [
        *("stage", "name", "digest", "path", "settings", "groups", "classes", "images", "cells"),
        *("by_group", "images_per_class", "classes_by_images"),
    ]
    assert (facts["stage"], facts["name"], facts["digest"]) == ("groups", "city", RECIPE.digest)
    assert (facts["path"], facts["settings"]) == (str(artifact), {"M": 10.0, "alpha": 30.0, "N": 5})
    assert (facts["groups"], facts["classes"]) == (3, 400)
    assert facts["images"] == sum(map(sum, sizes.values()))
    cells = {(row["utm_zone"], row["hemisphere"], row["cell_east"], row["cell_north"]) for row in classes}
    assert facts["cells"] == len(cells)
    assert facts["by_group"] == [
        {
            **{"group_index": group, "classes": len(images), "images": sum(images)},
            "images_per_class": round(sum(images) / len(images), 1),
        }
        for group, images in sizes.items()
    ]
    in_order = sorted(row["num_images"] for row in classes)
    assert facts["images_per_class"] == {
        "min": in_order[0],
        **{f"{percent}%": in_order[4 * percent - 1] for percent in (10, 25, 50, 75, 90, 99)},  # of 400
        "max": in_order[-1],
    }
    assert sum(row["classes"] for row in facts["classes_by_images"]) == 400
    for row in facts["classes_by_images"]:
        assert row["classes"] == sum(row["from"] <= size <= row["to"] for size in in_order)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_quantiles_by_sorting(count: int) -> None:
    images = sorted(random.Random(count).choices(range(1, 40), k=count))
    sizes = {size: images.count(size) for size in sorted(set(images))}
    found = find_quantiles(sizes)
    for percent in (10, 25, 50, 75, 90, 99):
        assert found[f"{percent}%"] == images[math.ceil(percent * count / 100) - 1]
    assert (found["min"], found["max"]) == (images[0], images[-1])


def test_ranges_double() -> None:
    assert count_by_size({3: 1, 4: 10, 7: 5, 31: 2}) == [
        {"from": 2, "to": 3, "classes": 1},
        {"from": 4, "to": 7, "classes": 15},
        {"from": 8, "to": 15, "classes": 0},
        {"from": 16, "to": 31, "classes": 2},
    ]
    assert (count_by_size({}), find_quantiles({})) == ([], {})


def test_the_text(publish_tables: PublishTables) -> None:
    rows = [(3, 0, 10), (3, 1, 30), (41, 0, 1200)]
    place = {"utm_zone": 10, "hemisphere": "N", "cell_north": 0, "heading_bin": 0}
    classes = [
        {"group_index": group, "class_index": index, "cell_east": index, "num_images": images, **place}
        for group, index, images in rows
    ]
    artifact = publish_tables(RECIPE, {"classes": [classes]})
    assert show_classes(count_classes(artifact), ASCII).splitlines() == [
        f"groups city, {artifact}",
        "  M = 10, alpha = 30, N = 5",
        "",
        "  groups       2",
        "  classes      3",
        "  images   1,240",
        "  cells        2",
        "",
        "images by group",
        "  group  classes  images  per class",
        "      3        2      40       20.0  #",
        "     41        1   1,200    1,200.0  " + "#" * 30,
        "",
        "quantiles of images per class",
        "  min  10%  25%  50%    75%    90%    99%    max",
        "   10   10   10   30  1,200  1,200  1,200  1,200",
        "",
        "classes by images per class",
        "  8 to 15         1  33.3%  " + "#" * 30,
        "  16 to 31        1  33.3%  " + "#" * 30,
        *(f"  {f'{start:,} to {2 * start - 1:,}':14}  0   0.0%" for start in (32, 64, 128, 256, 512)),
        "  1,024 to 2,047  1  33.3%  " + "#" * 30,
    ]


def test_not_all_of_very_many_groups_are_shown(publish_tables: PublishTables) -> None:
    place = {"class_index": 0, "cell_east": 0, "cell_north": 0, "heading_bin": 0, "num_images": 12}
    facts = count_classes(publish_tables(RECIPE, {"classes": [[{"group_index": g, **place} for g in range(1052)]]}))
    assert len(facts["by_group"]) == 1052
    lines = show_classes(facts, ASCII).splitlines()
    assert f"  and {1052 - SHOWN_GROUPS:,} more groups: --format json lists all" in lines


def test_a_manifest_has_no_classes(publish_tables: PublishTables) -> None:
    manifest = publish_tables(Recipe("manifest", "city", 1, {}, {}), {"manifest": [[]]})
    with pytest.raises(UserError, match="is of the stage manifest: classes needs groups"):
        count_classes(manifest)
