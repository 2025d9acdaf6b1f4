import json
import random
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from pipeline.__main__ import main
from pipeline.groups.build_groups import build_groups
from pipeline.manifest.build_manifest import build_manifest
from pipeline.manifest.settings import SplitSettings
from pipeline.manifest.split_manifest import split_manifest
from pipeline.planning.advise import advice_as_text, advise
from pipeline.planning.plan_groups import EpochSettings, plan_groups
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from tests.pipeline.planning.conftest import dense_city, name, texts


def test_dense_images_get_the_published_grouping(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    manifest = manifest_of(dense_city())
    advice = advise(manifest, tmp_path / "A")
    assert advice.choice.plan is not None
    assert (advice.choice.plan.settings.M, advice.choice.plan.settings.alpha, advice.choice.plan.settings.N) == (
        10,
        30,
        5,
    )
    assert advice.choice.plan.summary["images"] == 40_000
    _, (plan,) = plan_groups(manifest, tmp_path / "A", [advice.choice.plan.settings], EpochSettings())
    assert plan.summary == advice.choice.plan.summary
    build_groups(manifest, tmp_path / "A", advice.choice.plan.settings)
    assert "--M 10 --alpha 30 --N 5 --L 2 --min-images-per-class 10" in advice.commands[0]
    assert "--split time makes the newest photos the queries" in texts(advice)
    assert "warning" not in texts(advice)


def test_sparse_images_get_a_coarser_grouping(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    advice = advise(manifest_of(dense_city(per_place=1, headings=("",))), tmp_path / "A")
    assert advice.choice.plan is not None
    assert (advice.choice.plan.settings.alpha, advice.choice.plan.settings.L) == (360, 1)
    assert advice.choice.plan.settings.M > 10
    assert "1,000 of 1,000 images have no heading: --alpha 360 --L 1" in texts(advice)
    assert "warning: 999 trainable images in 333 classes are few" in texts(advice)


def test_commands_have_all_options_of_the_source(tmp_path: Path) -> None:
    """Also of a part of split photos."""
    photos, table = tmp_path / "my photos", tmp_path / "photos.csv"
    lines = ["p,y,x"]
    for number in range(900):
        path = photos / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        lines.append(f"{number}.jpg,{48.85 + number // 3 * 0.0004},2.33")
    table.write_text("\n".join(lines))
    settings = SourceSettings(
        source="table", table=table, columns="path=p,latitude=y,longitude=x", heading="from-track"
    )
    whole = build_manifest(photos, tmp_path / "A", source=make_source(settings))
    part = split_manifest(whole, tmp_path / "A", SplitSettings(split="area"))["train"]
    for manifest in (whole, part):
        words = shlex.split(advise(manifest, tmp_path / "A").commands[0])
        options = dict(zip(words[2::2], words[3::2], strict=True))
        given = {name: options[f"--{name}"] for name in ("source", "table", "columns", "heading")}
        assert SourceSettings(**given) == settings  # type: ignore[arg-type]
        assert options["--photos-folder"] == str(photos)


def test_commands_use_dataset_folder_where_possible(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    alone = advise(manifest_of(dense_city()), tmp_path / "A").commands
    assert f"--train-folder {tmp_path / 'city'} --val-folder VAL --M" in alone[1]
    (tmp_path / "set" / "val").mkdir(parents=True)
    (tmp_path / "set" / "train_images_paths.txt").write_text("\n".join(dense_city()))
    manifest = build_manifest(tmp_path / "set" / "train", tmp_path / "A")
    assert f"cosplace train --dataset-folder {tmp_path / 'set'} --M" in advise(manifest, tmp_path / "A").commands[1]


def test_command_line(
    manifest_of: Callable[[list[str]], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(dense_city())
    main(["advise", str(manifest)])
    assert "cosplace groups --train-folder" in capsys.readouterr().out
    main(["advise", str(manifest), "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["images"] == 40_000
    assert told["grouping"]["M"] == 10
    with pytest.raises(UserError, match="Build it first, as by cosplace manifest"):
        main(["advise", str(tmp_path)])
    with pytest.raises(UserError, match=f"in {manifest.parents[1]} there are {manifest.parent}"):
        main(["advise", str(manifest.parents[1] / "trian" / "current")])


def test_small_city_gets_narrow_cells_and_few_groups(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    """33 places, 12 directions, 8 years: wide cells would leave the directions that they mix indistinguishable."""
    cells = random.Random(0).sample(range(40_000), 33)
    names = [
        name(500_005 + 10 * (cell % 200), 4_000_005 + cell // 200 * 10, 30 * turn + 7, 2010 + year, f"{cell}_{year}")
        for cell in cells
        for turn in range(12)
        for year in range(8)
    ]
    advice = advise(manifest_of(names), tmp_path / "A")
    assert advice.choice.plan is not None
    settings = advice.choice.plan.settings
    assert (settings.M, settings.alpha, settings.N, settings.L, settings.min_images_per_class) == (10, 30, 2, 2, 5)
    assert "--M 10 --alpha 30 --N 2 --L 2 --min-images-per-class 5 --groups-num" in advice.commands[1]
    said = " ".join(advice_as_text(advice).split())
    assert "396 classes of 3,168 images" in said
    published = "M = 10, alpha = 30, N = 5, L = 2, min_images_per_class = 10"
    assert f"the published grouping, {published}: no group can be trained on" in said
    assert "at least 10 metres or 30 degrees apart, so that some show the same houses" in said
