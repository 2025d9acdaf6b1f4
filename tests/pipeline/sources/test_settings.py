from typing import Any

import pytest

from data_manifest.errors import UserError
from pipeline.sources.settings import SourceSettings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "table"}, "source = table: no table given. Pass --table."),
        ({"table": "x.csv"}, "table = x.csv: source = names. Pass --source table."),
        ({"source": "exif", "columns": "path=x"}, "columns = path=x: source = exif. Pass --source table."),
        ({"source": "names", "heading": "from-track"}, "heading = from-track: source = names. Pass --source table"),
        ({"source": "exif", "camera_turn": 90}, "camera_turn = 90: heading = given. Pass --heading from-track."),
        ({"source": "table", "table": "x", "columns": "latitude"}, "expected meaning=column"),
        ({"source": "table", "table": "x", "columns": "where=a"}, "unknown meaning where"),
        ({"source": "table", "table": "x", "columns": "path=a,path=b"}, "path is given twice"),
    ],
)
def test_settings_without_effect_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        SourceSettings(**options)
    assert message in str(error.value)


def test_columns_have_one_normal_form() -> None:
    settings = SourceSettings(source="table", table="x.csv", columns="path = file,latitude=y")  # type: ignore[arg-type]
    assert settings.columns == "latitude=y,path=file"
