import random
from collections.abc import Callable
from pathlib import Path

from pipeline.planning.advise import advise
from pipeline.planning.show_advice import as_text
from tests.pipeline.planning.conftest import name


def test_small_city_gets_narrow_cells_and_few_groups(manifest_of: Callable[[list[str]], Path], tmp_path: Path) -> None:
    """33 places, 12 directions, 8 years: wide cells would leave the directions that they mix indistinguishable."""
    cells = random.Random(0).sample(range(40_000), 33)
    names = [
        name(500_005 + 10 * (cell % 200), 4_000_005 + cell // 200 * 10, 30 * turn + 7, 2010 + year, f"{cell}_{year}")
        for cell in cells
        for turn in range(12)
        for year in range(8)
    ]
    advice = advise(manifest_of(names), tmp_path / "A")
    assert advice.plan is not None
    settings = advice.plan.settings
    assert (settings.M, settings.alpha, settings.N, settings.L, settings.min_images_per_class) == (10, 30, 2, 2, 5)
    assert "--M 10 --alpha 30 --N 2 --L 2 --min-images-per-class 5 --groups-num" in advice.commands[1]
    said = " ".join(as_text(advice).split())
    assert "396 classes of 3,168 images" in said
    published = "M = 10, alpha = 30, N = 5, L = 2, min_images_per_class = 10"
    assert f"the published grouping, {published}: no group can be trained on" in said
    assert "at least 10 metres or 30 degrees apart, so that some show the same houses" in said
