import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_manifest.__main__ import main
from data_manifest.errors import UserError
from data_manifest.store.publish import make_current
from data_manifest.store.recipe import Recipe
from data_manifest.store.references import STAGES

Publish = Callable[..., Path]
PublishTables = Callable[..., Path]
ROOT = Path(__file__).parents[2]
GROUPS = Recipe("groups", "sf-xl", 1, {"M": 10.0}, {})
MANIFEST = Recipe("manifest", "sf-xl", 1, {}, {})


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "data_manifest", *arguments]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_paths_as_json_in_a_process_of_its_own(publish: Publish, tmp_path: Path) -> None:
    old, new = publish(GROUPS), publish(dataclasses.replace(GROUPS, version=2), ("members", "classes"))
    manifest = publish(MANIFEST, ("manifest", "rejects"), "b.jpg")
    done = command("paths", "--artifacts-folder", "A", "--format", "json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert [(row["stage"], row["name"], row["table"], row["path"]) for row in rows] == [
        ("groups", "sf-xl", "classes", f"{new}/classes/*.parquet"),
        ("groups", "sf-xl", "members", f"{new}/members/*.parquet"),
        ("manifest", "sf-xl", "manifest", f"{manifest}/manifest/*.parquet"),
        ("manifest", "sf-xl", "rejects", f"{manifest}/rejects/*.parquet"),
    ]
    assert all(set(row) == {"stage", "name", "table", "path"} for row in rows)
    assert str(old) not in done.stdout
    assert pl.read_parquet(rows[2]["path"])["path"].to_list() == ["b.jpg"]


def test_the_path_is_not_through_current(publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = publish(GROUPS), publish(dataclasses.replace(GROUPS, version=2))
    make_current(first)
    main(["paths", "--artifacts-folder", str(tmp_path / "A"), "--format", "json"])
    assert [row["path"] for row in json.loads(capsys.readouterr().out)] == [f"{first}/things/*.parquet"]


def test_list_shows_old_artifacts_too(publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = publish(GROUPS), publish(dataclasses.replace(GROUPS, version=2))
    main(["list", "--artifacts-folder", str(tmp_path / "A"), "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    assert {(row["digest"], row["current"], row["path"]) for row in rows} == {
        (old.name, "", str(old)),
        (new.name, "current", str(new)),
    }


def test_text_is_in_columns(publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups, manifest = publish(GROUPS), publish(MANIFEST)
    main(["list", "--artifacts-folder", str(tmp_path / "A")])
    assert capsys.readouterr().out.splitlines() == [
        f"groups    sf-xl  {groups.name}  current  {groups}",
        f"manifest  sf-xl  {manifest.name}  current  {manifest}",
    ]


def test_nothing_there_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["paths", "--artifacts-folder", str(tmp_path), "--format", "json"])
    assert json.loads(capsys.readouterr().out) == []
    main(["list", "--artifacts-folder", str(tmp_path)])
    assert capsys.readouterr().out.strip() == "no artifacts"


def test_a_missing_folder_is_the_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^--artifacts-folder none: no such folder$"):
        main(["paths", "--artifacts-folder", "none"])


@pytest.fixture
def city(publish_tables: PublishTables) -> tuple[Path, Path]:
    """A manifest of two images and a reject, and groups of one class."""
    place = {"utm_east": 545981.0, "utm_north": 4184971.0, "utm_zone": 10, "utm_band": "S"}
    images = [{"path": f"{year}é.jpg", "year": year, "heading": 174.0, **place} for year in (2013, 2014)]
    rejects = [{"path": "é\x1b.jpg", "reason": "odd name", "detail": "1 field"}]
    manifest = publish_tables(MANIFEST, {"manifest": [images], "rejects": [rejects]})
    cell = {"utm_zone": 10, "hemisphere": "N", "cell_east": 54598, "cell_north": 418497, "heading_bin": 5}
    classes = [{"group_index": 35, "class_index": 0, "num_images": 2, **cell}]
    recipe = dataclasses.replace(GROUPS, inputs={"manifest": manifest.name})
    return manifest, publish_tables(recipe, {"classes": [classes]})


def test_each_command_as_json(city: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    manifest, groups = city
    facts = {}
    for name, path in (("summary", manifest.parent), ("rejects", manifest), ("classes", groups / "classes")):
        main([name, str(path), "--format", "json"])
        facts[name] = json.loads(capsys.readouterr().out)
    assert facts["summary"]["images_by_year"] == [{"year": 2013, "images": 1}, {"year": 2014, "images": 1}]
    assert facts["rejects"]["examples"] == [{"path": "é\x1b.jpg", "reason": "odd name", "detail": "1 field"}]
    assert facts["classes"]["by_group"] == [{"group_index": 35, "classes": 1, "images": 2, "images_per_class": 2.0}]


def test_summary_of_groups_is_classes(city: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, groups = city
    shown = []
    for name in ("summary", "classes"):
        main([name, str(groups.parent / "current")])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "images by group" in shown[0]


def test_summary_of_other_stages_shows_settings_inputs_and_rows(
    publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"lr": 0.1, "grouping": {"M": 10.0, "years": None}}
    model = publish(Recipe("training", "sf-xl", 1, settings, {"groups": "0123"}), ("metrics",))
    main(["summary", str(model), "--format", "json"])
    facts = json.loads(capsys.readouterr().out)
    assert (facts["stage"], facts["settings"], facts["inputs"]) == ("training", settings, {"groups": "0123"})
    assert [each["table"] for each in facts["tables"]] == ["metrics"]
    main(["summary", str(model)])
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["grouping.M", "10.0"] in words
    assert ["grouping.years", "none"] in words
    assert ["metrics", f"{facts['tables'][0]['rows']}"] in words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("summary", "none"), "none: no such file or folder"),
        (("summary", "A/groups"), "A/groups is not a published artifact; in it there are A/groups/sf-xl"),
        (("classes", "A/manifest/sf-xl"), "{manifest} is of the stage manifest: classes needs groups"),
        (
            ("rejects", "A/groups/sf-xl"),
            "{groups} is of the stage groups: rejects needs manifest or verified or checks or crops or packs",
        ),
        (
            ("rejects", "A/manifest/sf-xl", "--reason", "age"),
            "--reason 'age': unknown reason. Choose from odd name.",
        ),
        (("gc", "--artifacts-folder", "none"), "--artifacts-folder none: no such folder"),
        (
            ("gc", "--artifacts-folder", "A", "--stages", "runs"),
            f"--stages runs: unknown stage 'runs'. Choose from {', '.join(STAGES)}.",
        ),
    ],
)
def test_mistakes(
    city: tuple[Path, Path],
    publish: Publish,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    manifest, groups = city
    model = publish(Recipe("training", "sf-xl", 1, {}, {}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        main(list(arguments))
    assert str(error.value) == message.format(manifest=manifest, groups=groups, model=model)


def test_a_mistake_exits_with_1(tmp_path: Path) -> None:
    done = command("summary", "none", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "ERROR: none: no such file or folder\n")


def shown_with(encoding: str, *arguments: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    words = [sys.executable, "-m", "data_manifest", *arguments]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=True).stdout.decode(encoding)


def test_bars_and_paths_in_the_letters_that_there_are(
    city: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, _ = city
    for name, shown in (("summary", "2013  1  50.0%  ██"), ("rejects", r"é\x1b.jpg: 1 field")):
        main([name, str(manifest)])
        assert shown in capsys.readouterr().out
    assert "2013  1  50.0%  ##" in shown_with("ascii", "summary", "A/manifest/sf-xl", folder=tmp_path)
    assert r"\xe9\x1b.jpg: 1 field" in shown_with("ascii", "rejects", "A/manifest/sf-xl", folder=tmp_path)


@pytest.mark.parametrize("count", [1, 2000])  # fits what is flushed at the end; more than a pipe holds
def test_a_reader_that_has_seen_enough(publish_tables: PublishTables, tmp_path: Path, count: int) -> None:
    rejects = [{"path": f"{number:0200}", "reason": "odd name", "detail": ""} for number in range(count)]
    publish_tables(MANIFEST, {"manifest": [[]], "rejects": [rejects]})
    words = [sys.executable, "-m", "data_manifest", "rejects", "A/manifest/sf-xl", "--limit", "2000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_gc_is_told_what_to_keep(publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [publish(dataclasses.replace(MANIFEST, version=version)) for version in (1, 2, 3)]
    old, new = (publish(Recipe("training", "sf-xl", version, {}, {})) for version in (1, 2))
    gc = ["gc", "--artifacts-folder", str(tmp_path / "A"), "--format", "json"]

    def removed(*arguments: str) -> set[str]:
        main([*gc, *arguments])
        return {row["path"] for row in json.loads(capsys.readouterr().out)["removed"]}

    assert removed("--keep-newest", "3") == set()
    assert removed("--dry-run") == set(map(str, folders[:2]))
    assert removed("--stages", "training, evaluation") == {str(old)}
    assert removed() == set(map(str, folders[:2]))
    assert [path.name for path in folders[2].parent.iterdir() if not path.is_symlink()] == [folders[2].name]
    assert new.is_dir()


@pytest.mark.parametrize("name", ["summary", "rejects", "classes", "gc"])
def test_the_help_names_every_key(
    name: str, city: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, groups = city
    paths = {"summary": [str(manifest)], "rejects": [str(manifest)], "classes": [str(groups)]}
    with pytest.raises(SystemExit):
        main([name, "--help"])
    text = capsys.readouterr().out.split("JSON keys:")[1]
    main([name, *paths.get(name, ["--artifacts-folder", str(tmp_path / "A")]), "--format", "json"])
    facts = json.loads(capsys.readouterr().out)
    rows = [row for value in facts.values() if isinstance(value, list) for row in value]
    keys = set(facts).union(*(row.keys() for row in rows if isinstance(row, dict)))
    assert keys <= set(re.findall(r"\w+", text))
