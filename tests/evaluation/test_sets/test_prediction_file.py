from pathlib import Path

import polars as pl
import pytest

from data_manifest.errors import UserError
from evaluation.test_sets.prediction_file import check_keys, write_prediction_file


def test_a_line_is_the_key_of_a_query_and_those_of_20_matches(tmp_path: Path) -> None:
    rows = [
        {"query_path": query, "rank": rank, "database_path": f"athens/{query[-5]}{rank}.v2.jpg"}
        for query in ("miami/-b.jpg", "a.jpg")
        for rank in (2, 1, *range(3, 26))
    ]
    write_prediction_file(pl.DataFrame(rows), tmp_path / "file.csv")
    expected = [[key, *(f"{key[-1]}{rank}.v2" for rank in range(1, 21))] for key in ("-b", "a")]
    assert (tmp_path / "file.csv").read_text() == "".join(" ".join(words) + "\n" for words in expected)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a/key.jpg", "b/key.png"], r"^a/key\.jpg and b/key\.png have the same key"),
        (["a/k ey.jpg"], r"^a/k ey\.jpg: a key cannot have spaces, commas or #"),
        (["k,ey.jpg"], r"^k,ey\.jpg: a key cannot"),
        (["#key.jpg"], r"^#key\.jpg: a key cannot"),
    ],
)
def test_keys_that_would_be_read_otherwise_are_refused(paths: list[str], message: str) -> None:
    check_keys(pl.Series(["a b/key.jpg", "a b/other.jpg"]))
    with pytest.raises(UserError, match=message):
        check_keys(pl.Series(paths))
