import polars as pl

from evaluation.report.sections.groups_section import plot_sizes


def sizes(*images: int) -> list[tuple[int, int, int]]:
    plot = plot_sizes(pl.LazyFrame({"num_images": images}))
    assert plot.alt.count(" with ") == len([row for row in plot.data.iter_rows() if row[2]])
    return list(plot.data.iter_rows())


def test_sizes_without_classes_are_kept() -> None:
    assert sizes(2, 5, 2) == [(2, 2, 2), (3, 3, 0), (4, 4, 0), (5, 5, 1)]


def test_many_sizes_become_ranges_that_cover_every_class() -> None:
    images = [1, 3, 40, 41, 900]
    for low, high, classes in (rows := sizes(*images)):
        assert classes == sum(low <= number <= high for number in images)
    assert sum(classes for _, _, classes in rows) == len(images)
