import datetime
from collections.abc import Iterable

import polars as pl
import pytest

from pipeline.sources.table_times import parse_timestamp


def parsed(texts: Iterable[str]) -> list[str]:
    return pl.DataFrame({"timestamp": list(texts)}).select(parse_timestamp(pl.col("timestamp"))).to_series().to_list()


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("2014-06-16T10:20:30+02:00", "20140616_102030"),
        ("2014-6-1 10:20", "20140601_1020"),
        ("16.6.2014 10:20", "20140616_1020"),
        ("1402914030", "20140616_102030"),
        ("1402914030123", "20140616_102030"),
        ("201406", "201406"),
        ("2014-06-16 06:44:00 PM", "20140616_184400"),
        ("2014-06-16 6:44 p.m.", "20140616_1844"),
        ("2014-06-16T12:00:00am", "20140616_000000"),
        ("2014-06-16 12:00 PM +0200", "20140616_1200"),
        ("2014-06-16 6:44:00\u202fp. m.", "20140616_184400"),
        ("2014.0", "2014"),
        ("2016-02-29", "20160229"),
        ("2021:06:16 06:44:00 PM", "20210616_184400"),  # from here on as cameras write them
        ("2021:06:16 12:05:00 a.m.", "20210616_000500"),
        ("2021/06/16 10:20:30", "20210616_102030"),
        ("2021:06:16", "20210616"),
        ("2016_05_04_13_11_11_600", "20160504_131111"),
        ("20140616_102030", "20140616_102030"),
    ],
)
def test_timestamps_in_several_forms(text: str, timestamp: str) -> None:
    assert parsed([text]) == [timestamp]


@pytest.mark.parametrize(
    "text",
    [
        *("2014-06-16 13:00 PM", "2014-06-16 00:10 AM", "2014-06-16 06:44:00 \u4e0b\u5348", "2014-06-16 24:00:00"),
        *("2014-06-16 10:20:60", "2021-13-45", "2021-02-30", "2015-02-29", "2021-00-10", "20210931", "202113"),
        *("06/07/2021", "06/16/2014", "41806", "June 2014", ""),
    ],
)
def test_impossible_and_ambiguous_timestamps_are_empty(text: str) -> None:
    assert parsed([text]) == [""]


def test_a_12_hour_clock_agrees_with_datetime() -> None:
    midnight = datetime.datetime(2021, 6, 16)
    moments = [midnight + datetime.timedelta(minutes=minute) for minute in range(0, 1440, 7)]
    texts = [f"{m:%Y-%m-%d} {m.hour % 12 or 12}:{m:%M} {('am', 'PM')[m.hour // 12]}" for m in moments]
    assert parsed(texts) == [f"{moment:%Y%m%d_%H%M}" for moment in moments]
