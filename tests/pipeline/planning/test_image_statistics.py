import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from pipeline.manifest.build_manifest import build_manifest
from pipeline.manifest.settings import SplitSettings
from pipeline.manifest.split_manifest import split_manifest
from pipeline.planning.image_statistics import compute_statistics
from tests.pipeline.planning.conftest import dense_city, fields_at, name

ManifestOf = Callable[[list[str]], Path]


def test_figures_agree_with_plain_python(train: Path, tmp_path: Path) -> None:
    manifest = build_manifest(train, tmp_path / "A")
    found, images = compute_statistics(manifest), list(fields_at(seed=1))
    headings = [image["heading"] for image in images if image["heading"] != ""]
    years = Counter(image["timestamp"] for image in images)
    shots = Counter((image["utm_east"], image["utm_north"]) for image in images)  # each image is a shot of its own
    assert (found.manifest, found.origin, found.source) == (manifest, train, "names")
    assert found.years == [{"year": year, "images": years[year]} for year in (2013, 2014, 2015)]
    assert found.figures == {
        "images": 500,
        "rejects": 2,
        "with_heading": len(headings),
        "heading_is_0": headings.count(0),
        "heading_is_fractional": 0,
        "heading_within_2_pi": headings.count(0),
        "heading_within_pi_of_0": headings.count(0),
        "heading_in_steps_of_30": len(headings),
        "distinct_headings": 12,
        **dict.fromkeys(("magnetic", "from_track", "panoramas", "turned", "with_latitude", "rounded"), 0),
        "with_year": 500 - years[""],
        "positions": len(shots),
        "at_a_shared_position": sum(count for count in shots.values() if count > 1),
        "most_at_a_position": max(shots.values()),
    }


def test_crops_of_one_panorama_do_not_share_their_position(manifest_of: ManifestOf) -> None:
    crops = [name(5e5, 4e6, 30 * turn, shot="pano") for turn in range(12)]
    assert compute_statistics(manifest_of(crops)).figures["at_a_shared_position"] == 0
    others = [name(5e5, 4e6, 7, shot="another"), name(5.1e5, 4e6, 7, shot="elsewhere")]
    figures = compute_statistics(manifest_of([*crops, *others])).figures
    assert (figures["positions"], figures["at_a_shared_position"], figures["most_at_a_position"]) == (2, 13, 2)


def test_zones_have_median_positions_and_the_largest_comes_first(
    manifest_of: ManifestOf, name_with: Callable[..., str]
) -> None:
    latitudes = (37.811, 37.8112, 37.8119)
    written = [name_with(latitude=each, longitude=-122.4776, pano_id=each) for each in latitudes]
    zones = compute_statistics(manifest_of([name(5e5, 4e6, zone=9), *written])).zones
    assert [(zone["utm_zone"], zone["hemisphere"], zone["images"]) for zone in zones] == [(10, "N", 3), (9, "N", 1)]
    assert [(zone["latitude"], zone["longitude"]) for zone in zones] == [(37.8112, -122.4776), (None, None)]


@pytest.mark.parametrize(
    ("headings", "has_one", "uses"),
    [
        ((15, 105, 195), False, True),
        ((90, 90, 90), True, False),
        ((15, 105, "", ""), False, False),
        ((15, 105, 195, "", ""), False, True),
        (("", ""), False, False),
        ((7,), False, True),
    ],
)
def test_which_headings_are_used(
    headings: tuple[object, ...], has_one: bool, uses: bool, manifest_of: ManifestOf
) -> None:
    names = [name(5e5 + 100 * number, 4e6, heading, shot=number) for number, heading in enumerate(headings)]
    found = compute_statistics(manifest_of(names))
    assert (found.has_one_heading, found.uses_headings) == (has_one, uses)


def test_rejects_of_a_part_are_counted(manifest_of: ManifestOf, tmp_path: Path) -> None:
    parts = split_manifest(manifest_of(dense_city(1)), tmp_path / "A", SplitSettings(split="area", block_m=100.0))
    figures = compute_statistics(parts["train"]).figures
    assert figures["rejects"] > 0
    assert figures["images"] + figures["rejects"] < 4_000


def test_only_manifests_have_statistics(tmp_path: Path) -> None:
    recipe = {"stage": "verified", "name": "city", "digest": "1", "settings": {}, "summary": {}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(UserError, match="is of the stage verified: advise needs manifest"):
        compute_statistics(tmp_path)
