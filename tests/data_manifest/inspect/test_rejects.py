from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.inspect.bars import ASCII
from data_manifest.inspect.rejects import list_rejects, show_rejects
from data_manifest.store.recipe import Recipe

PublishTables = Callable[..., Path]
RECIPE = Recipe("manifest", "city", 1, {"strict": True}, {"images": "0123"})
COUNTS = {"rejects": 9, "rejects: odd name": 7, "rejects: no position": 2, "rejects: unsafe path": 0}


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
    message = "--reason 'odd': there is no such reason; it is one of no position, odd name, unsafe path"
    assert str(error.value) == message


def test_other_mistakes(artifact: Path, publish_tables: PublishTables) -> None:
    with pytest.raises(UserError, match="--limit -1: how many files of each reason to show, from 0 up"):
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
