from collections import Counter
from collections.abc import Callable

from tests.pipeline.planning.conftest import fields_at

Run = Callable[..., str]


def test_text_of_one_plan(run: Run) -> None:
    text = run("--M", "50", "--alpha", "90", "--N", "2", "--years", "2014-", "--min-images-per-class", "8")
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0].endswith("train_images_paths.txt: 502 files, 500 usable images")
    without = [image for image in fields_at(seed=1) if image["heading"] == ""]
    years = Counter(image["timestamp"] for image in fields_at(seed=1))
    for line in (
        "rejected: 1, wrong number of fields",
        "rejected: 1, not an image name",
        "listed more than once: 2",
        f"without a heading: {len(without)}",
        f"years: unknown {years['']}, 2013 {years[2013]}, 2014 {years[2014]}, 2015 {years[2015]}",
        "M = 50, alpha = 90, N = 2, L = 2, min_images_per_class = 8, years = 2014-",
        f"dropped: {years[2013]} images of other years than 2014-",
        f"dropped: {years['']} images without a year",
        "group  classes  images  samples per class and epoch  read in 1 epoch  read in 3 epochs",
    ):
        assert line in lines
    assert any(line.startswith("groups with fewer classes than a batch has images, which") for line in lines)


def test_text_of_several_plans_has_one_row_each(run: Run) -> None:
    text = run("--M", "25", "50.0", "50", "--min-images-per-class", "1", "2", "99", "--batch-size", "4")
    start = text.splitlines().index("") + 1
    header, *rows = text.splitlines()[start : text.splitlines().index("", start)]
    assert header.split()[:8] == ["M", "alpha", "N", "L", "min_images_per_class", "years", "groups", "classes"]
    assert [tuple(row.split()[:6]) for row in rows] == [
        (M, "30", "5", "2", least, "all") for M in ("25", "50") for least in ("1", "2", "99")
    ]
    assert text.count("cannot be built: min_images_per_class = 99: the largest class has") == 2
