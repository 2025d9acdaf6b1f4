"""Each reject rule fires through `read_names`, for names that share their parts with others, as in `parse_names`."""

from collections.abc import Callable

import polars as pl
import pytest

from pipeline.metadata import rejects
from pipeline.metadata.fields import written
from pipeline.metadata.paths import Paths
from pipeline.metadata.read_names import parse_names, read_names
from pipeline.metadata.rejects import RULES, Reason, Rule, rejected

NameWith = Callable[..., str]
# Fields of names that are rejects, each by another rule at least.
FAULTS = [
    *({"utm_east": "x"}, {"utm_north": "1e9"}, {"utm_zone": "61"}, {"utm_zone": "S"}, {"utm_band": "I"}),
    *({"latitude": "91"}, {"longitude": "-181"}, {"heading": "north"}, {"pitch": "nan"}, {"roll": "1_0"}),
    *({"height": "--5"}, {"before": "x"}, {"before": "../"}, {"extension": ".txt"}, {"extension": "@.jpg"}),
    *({"pano_id": "a/b"}, {"utm_east": "4184971.70", "utm_north": "545981.19"}, {"before": "._"}),
]


def names_with_faults(name_with: NameWith) -> list[str]:
    """Each fault once, after and before names without any that have the same places, turns and shots."""
    paths = [name_with(pano_id=pano, heading=heading) for pano in "ac" for heading in (0, 30, 174)]
    for number, fault in enumerate(FAULTS):
        paths += [name_with(**{"pano_id": pano, "heading": 30, "timestamp": 2000 + number, **fault}) for pano in "ac"]
    return sorted({*paths, "photo.jpg", "@1@.jpg"})


def rejects_of(rows: pl.DataFrame) -> dict[str, str]:
    found = rows.filter(pl.col("reject").is_not_null()).select("path", pl.col("reject").struct.unnest())
    return {path: f"{reason}: {detail}" for path, reason, detail in found.rows()}


def both_ways(paths: list[str], strict: bool = True) -> tuple[dict[str, str], dict[str, str]]:
    """The rejects by rules of names read part by part, and of the same names each parsed by itself."""
    frame = pl.DataFrame({"path": paths})
    alone = rejects_of(parse_names(frame, strict))
    by_parts = rejects_of(read_names(Paths(frame["path"].cast(pl.Binary)), strict))
    of_positions = (Reason.NO_POSITION, Reason.POSITIONS_DISAGREE)  # found after the rules
    return {path: text for path, text in by_parts.items() if path in alone or not text.startswith(of_positions)}, alone


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_fires(rule: Rule, name_with: NameWith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects, "RULES", (rule,))
    by_parts, alone = both_ways(names_with_faults(name_with))
    assert by_parts == alone != {}
    lenient, lenient_alone = both_ways(names_with_faults(name_with), strict=False)
    assert lenient == lenient_alone == ({} if rule.strict else alone)


@pytest.mark.parametrize("strict", [True, False])
def test_all_rules_together(strict: bool, name_with: NameWith) -> None:
    paths = names_with_faults(name_with)
    by_parts, alone = both_ways(paths, strict)
    assert by_parts == alone
    assert 0 < len(alone) < len(paths)
    assert name_with(pano_id="a", heading=30) not in by_parts


MADE_UP = {
    "one part": pl.col("pano_id") == "c",
    "as written": written("heading") == "030",
    "place and turn": (pl.col("pano_id") == "c") & (pl.col("heading") == 30),
    "place and turn, as written": (written("pano_id") == "c") & (written("heading") == "030"),
    "turn and shot": (pl.col("heading") == 30) & (pl.col("year") == 2015),
    "all three": (pl.col("utm_zone") == 10) & (pl.col("tile_num") == "07") & pl.col("note").is_null(),
    "path and turn": pl.col("path").str.contains("night") & (pl.col("heading") == 30),
    "path": pl.col("path").str.contains("c@07@030"),
    "position that is computed only later": pl.col("utm_east").is_null() & (pl.col("heading") == 30),
    "number of fields and turn": (pl.col("num_fields") == 16) & (pl.col("heading") == 30),
    "extension and place": (pl.col("extension") == ".png") & (pl.col("pano_id") == "a"),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("what", MADE_UP)
def test_a_rule_that_is_added_to_the_declarations_fires(
    what: str, strict: bool, name_with: NameWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [
        f"{folder}{name_with(pano_id=pano, tile_num=tile, heading=heading, timestamp=year, **more)}"
        for folder in ("", "night/")
        for pano in "ac"
        for tile, heading in (("07", "030"), ("", "30"), ("07", "180"), ("", ""))
        for year in ("2014", "2015")
        for more in ({}, {"utm_east": ""}, {"extension": ".png"})
    ]
    made_up = Rule(MADE_UP[what], rejected(Reason.NO_TIME, pl.lit("made up")), strict=False)
    monkeypatch.setattr(rejects, "RULES", (*RULES, made_up))
    by_parts, alone = both_ways(sorted(paths), strict)
    assert by_parts == alone
    assert 0 < len(alone) < len(paths)
    assert set(alone.values()) == {"no time: made up"}


def test_a_strict_rule_is_for_training(name_with: NameWith, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = Rule(pl.col("pano_id") == "c", rejected(Reason.NO_TIME, pl.lit("made up")))
    monkeypatch.setattr(rejects, "RULES", (made_up, *RULES))
    paths = [name_with(pano_id=pano) for pano in "ac"]
    assert set(both_ways(paths)[0]) == {paths[1]}
    assert both_ways(paths, strict=False) == ({}, {})
