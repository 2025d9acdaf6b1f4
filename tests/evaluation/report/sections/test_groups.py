import polars as pl

from evaluation.report.charts.style import conventions
from evaluation.report.sections.groups import plot_sizes


def sizes(*images: int) -> list[tuple[int, int, int]]:
    with conventions():
        plot = plot_sizes(pl.LazyFrame({"num_images": images}))
    assert plot.alt.count(" with ") == len([row for row in plot.data.iter_rows() if row[2]])
    return list(plot.data.iter_rows())


def test_numbers_of_images_that_no_class_has_leave_a_gap() -> None:
    assert sizes(2, 5, 2) == [(2, 2, 2), (3, 3, 0), (4, 4, 0), (5, 5, 1)]


def test_many_numbers_of_images_become_ranges_that_hold_every_class() -> None:
    images = [1, 3, 40, 41, 900]
    for low, high, classes in (rows := sizes(*images)):
        assert classes == sum(low <= number <= high for number in images)
    assert sum(classes for _, _, classes in rows) == len(images)
