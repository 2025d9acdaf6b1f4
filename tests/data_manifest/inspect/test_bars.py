import pytest

from data_manifest.inspect.bars import ASCII, BAR_WIDTH, BLOCKS, bar, chart, glyphs_for, printable, table


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", BLOCKS), ("UTF8", BLOCKS), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII), ("no-such", ASCII)],
)
def test_blocks_where_the_encoding_has_them(encoding: str | None, expected: str) -> None:
    assert glyphs_for(encoding) == expected


def test_a_bar_is_as_long_as_its_share_of_the_largest() -> None:
    assert bar(8, 8) == "█" * BAR_WIDTH
    assert bar(4, 8) == "█" * (BAR_WIDTH // 2)
    assert bar(4, 8, ASCII) == "#" * (BAR_WIDTH // 2)
    assert bar(1, 80) == "▍"  # 30 * 8 / 80 = 3 eighths
    assert bar(9, 80) == "███▍"


def test_a_little_is_seen_and_nothing_is_not() -> None:
    assert (bar(1, 10**9), bar(1, 10**9, ASCII)) == ("▏", "#")
    assert (bar(0, 10), bar(0, 0)) == ("", "")


def test_a_chart_by_hand() -> None:
    assert chart("by year", [("2013", 3000), ("none", 1000), ("2019", 0)], ASCII) == [
        "by year",
        "  2013  3,000  75.0%  " + "#" * 30,
        "  none  1,000  25.0%  " + "#" * 10,
        "  2019      0   0.0%",
    ]
    assert chart("by year", [("2013", 0)], ASCII) == ["by year", "  2013  0  0.0%"]
    assert chart("by year", []) == ["by year"]


def test_a_table_has_columns() -> None:
    assert table([("a", "b"), ("long", "10")]) == ["  a      b", "  long  10"]
    assert table([("a", "b"), ("long", "10")], left=(1,)) == ["     a  b", "  long  10"]
    assert table([]) == []


def test_what_would_move_the_cursor_is_escaped() -> None:
    assert printable("é/日本 @10@.jpg") == "é/日本 @10@.jpg"
    assert printable("a\x1b[31m\nb\tc\udcff") == r"a\x1b[31m\nb\tc\udcff"
