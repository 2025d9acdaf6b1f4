from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.inspect.bars import ASCII
from data_manifest.inspect.rejects import explain_file, list_rejects, show_file, show_rejects
from data_manifest.store.recipe import Recipe

PublishTables = Callable[..., Path]
RECIPE = Recipe("manifest", "city", 1, {"strict": True}, {"images": "0123"})
COUNTS = {"rejects": {"odd name": 7, "no position": 2, "unsafe path": 0}}


@pytest.fixture
def artifact(publish_tables: PublishTables) -> Path:
    odd = [{"path": f"odd/{number}.jpg", "reason": "odd name", "detail": f"{number} fields"} for number in range(7)]
    lost = [{"path": f"lost/{name}.jpg", "reason": "no position", "detail": "none\n"} for name in "ab"]
    return publish_tables(RECIPE, {"manifest": [[]], "rejects": [odd[:2], lost, odd[2:]]}, COUNTS)


def test_the_keys_the_counts_and_the_first_of_each_reason(artifact: Path) -> None:
    assert list_rejects(artifact, limit=3) == {
        **{"stage": "manifest", "name": "city", "digest": RECIPE.digest, "path": str(artifact)},
        "made": "by hand",
        "rejects": 9,
        "rejects_by_reason": [{"reason": "odd name", "files": 7}, {"reason": "no position", "files": 2}],
        "examples": [
            *({"path": f"odd/{n}.jpg", "reason": "odd name", "detail": f"{n} fields"} for n in range(3)),
            *({"path": f"lost/{name}.jpg", "reason": "no position", "detail": "none\n"} for name in "ab"),
        ],
    }


def test_one_reason_alone(artifact: Path) -> None:
    facts = list_rejects(artifact, "no position", limit=1)
    assert (facts["rejects"], facts["rejects_by_reason"]) == (2, [{"reason": "no position", "files": 2}])
    assert [row["path"] for row in facts["examples"]] == ["lost/a.jpg"]
    assert list_rejects(artifact, limit=0)["examples"] == []


def test_a_reason_that_rejected_nothing(artifact: Path) -> None:
    facts = list_rejects(artifact, "unsafe path")
    assert (facts["rejects"], facts["examples"]) == (0, [])
    assert show_rejects(facts, ASCII).endswith("\n\nno rejects")


def test_a_reason_that_there_is_not(artifact: Path) -> None:
    with pytest.raises(UserError) as error:
        list_rejects(artifact, "odd")
    message = "--reason 'odd': unknown reason. Choose from no position, odd name, unsafe path."
    assert str(error.value) == message


def test_other_mistakes(artifact: Path, publish_tables: PublishTables) -> None:
    with pytest.raises(UserError, match="--limit -1: give 0 or more files per reason"):
        list_rejects(artifact, limit=-1)
    groups = publish_tables(Recipe("groups", "city", 1, {}, {}), {"classes": [[]]})
    with pytest.raises(UserError, match="is of the stage groups: rejects needs manifest"):
        list_rejects(groups)


def test_the_text(artifact: Path) -> None:
    assert show_rejects(list_rejects(artifact, limit=2), ASCII).splitlines() == [
        f"manifest city, {artifact}",
        "",
        "9 rejects by reason",
        "  odd name     7  77.8%  " + "#" * 30,
        "  no position  2  22.2%  " + "#" * 9,
        "",
        "odd name",
        "  odd/0.jpg: 0 fields",
        "  odd/1.jpg: 1 fields",
        "",
        "no position",
        r"  lost/a.jpg: none\n",
        r"  lost/b.jpg: none\n",
    ]


@pytest.fixture
def listed(publish_tables: PublishTables) -> Path:
    used = [{"path": "37.70/a.jpg", "utm_east": 1.0, "utm_north": 2.0}]
    rejected = [{"path": "37.71/b.jpg", "reason": "out of range", "detail": "utm_zone = 99"}]
    return publish_tables(RECIPE, {"manifest": [used], "rejects": [rejected]}, {"origin": "city/train"})


@pytest.mark.parametrize(
    ("file", "state", "text"),
    [
        ("37.70/a.jpg", "used", "37.70/a.jpg: not rejected"),
        ("./37.70/a.jpg", "used", "37.70/a.jpg: not rejected"),
        ("city/train/37.70/a.jpg", "used", "37.70/a.jpg: not rejected"),
        (f"{Path.cwd()}/city/train/37.71/b.jpg", "rejected", "37.71/b.jpg: rejected: out of range, utm_zone = 99"),
        ("37.72/c.jpg", "unknown", "37.72/c.jpg: not listed: it was not among the images when this artifact was built"),
    ],
)
def test_one_file_is_used_rejected_or_unknown(listed: Path, file: str, state: str, text: str) -> None:
    facts = explain_file(listed, file)
    assert facts["state"] == state
    assert show_file(facts) == f"manifest city, {listed}\n{text}"


def test_an_unknown_file_shows_files_of_the_same_name(listed: Path) -> None:
    facts = explain_file(listed, "37.99/b.jpg")
    assert (facts["state"], facts["same_name"]) == ("unknown", ["37.71/b.jpg"])
    assert show_file(facts).endswith("\nfiles with the same name:\n  37.71/b.jpg")


def test_one_file_of_checks(publish_tables: PublishTables) -> None:
    rows = [{"path": "a.jpg", "status": "ok"}, {"path": "b.jpg", "status": "corrupt", "detail": "no end marker"}]
    checks = publish_tables(Recipe("checks", "city", 1, {}, {}), {"checks": [rows]})
    assert [explain_file(checks, f"{name}.jpg")["state"] for name in "abc"] == ["used", "rejected", "unknown"]
    assert explain_file(checks, "b.jpg")["detail"] == "no end marker"
