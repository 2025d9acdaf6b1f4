from collections.abc import Callable
from pathlib import Path

from pipeline.listing.list_images import list_images
from pipeline.panoramas.crop_names import crop_path, read_panoramas
from pipeline.sources.source import NAMES_SOURCE
from tests.pipeline.conftest import write

NameWith = Callable[..., str]


def test_a_heading_of_minus_1_is_unknown_unless_others_are_negative(tmp_path: Path, name_with: NameWith) -> None:
    for other, expected in ((90, [None, 90]), (-90, [359, 270])):
        names = [name_with(pano_id="a", heading=-1), name_with(pano_id="b", heading=other)]
        (tmp_path / "train_images_paths.txt").write_text("\n".join(names))
        rows = read_panoramas(list_images(tmp_path / "train"), NAMES_SOURCE)
        assert rows.sort("name")["heading"].to_list() == expected


def test_crops_of_a_short_name_have_16_fields(tmp_path: Path) -> None:
    write(tmp_path / "panoramas", "@545981.19@4184971.70@10@S@37.81098@-122.47762@pano@@174.jpg")
    (row,) = read_panoramas(list_images(tmp_path / "panoramas"), NAMES_SOURCE).iter_rows(named=True)
    crop = crop_path(row["path"], row["name"], 204.0)
    assert crop == "@0545981.19@4184971.70@10@S@037.81098@-122.47762@pano@@204@@@@@@.jpg"
    assert row["heading"] == 174
