import pytest

from data_manifest.ranges import as_ranges


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([2, 0, 1], "0-2"),
        ([5, 0, 1, 9, 8, 5], "0-1, 5, 8-9"),
        (range(50), "0-49"),
    ],
)
def test_numbers_as_people_write_them(numbers: list[int], text: str) -> None:
    assert as_ranges(numbers) == text
