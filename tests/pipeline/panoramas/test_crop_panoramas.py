"""Crops of panoramas whose columns tell their azimuth."""

import errno
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from PIL import Image

from data_manifest.__main__ import main
from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.panoramas.crop_panoramas import crop_panoramas
from pipeline.panoramas.projection import crop_headings, cut
from pipeline.panoramas.settings import CropFolders, CropSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.verification.image_parts import BadImageError

ROOT = Path(__file__).parents[3]
THETA = Path(__file__).parents[4] / "shared" / "data" / "exif" / "openwanderer_theta"
NAME = "@0545981.19@4184971.70@10@S@037.81098@-122.47762@{}@@{}@@@@201409@@.jpg"
ONE_EACH = GroupSettings(min_images_per_class=1)
Floats = npt.NDArray[np.float64]


def telling(width: int, height: int) -> Image.Image:
    """Red and green are cosine and sine of a column's azimuth from the left edge, blue how far down a row is."""
    turn = 2 * np.pi * (np.arange(width) + 0.5) / width
    red, green = (np.broadcast_to(128 + 120 * each(turn), (height, width)) for each in (np.cos, np.sin))
    blue = np.broadcast_to(((np.arange(height) + 0.5) / height * 240)[:, None], (height, width))
    return Image.fromarray(np.stack((red, green, blue), -1).astype(np.uint8))


def azimuths(crop: Image.Image, row: int) -> Floats:
    """The azimuth that each pixel of a row tells, degrees from the panorama's left edge."""
    pixels = np.asarray(crop)[row].astype(float) - 127.5
    told: Floats = np.degrees(np.arctan2(pixels[:, 1], pixels[:, 0])) % 360
    return told


def apart(one: Floats, other: Floats) -> float:
    return float(np.abs((np.asarray(one) - other + 180) % 360 - 180).max())


@pytest.mark.parametrize("size", [(3328, 512), (3328, 1664), (1930, 965), (832, 128)])
def test_columns_are_where_the_names_say_also_across_the_seam(size: tuple[int, int]) -> None:
    crops = list(cut(telling(*size), CropSettings(crop_size=128)))
    assert [crop.size for crop in crops] == [(128, 128)] * 12
    seen = 360 * 512 / 3328
    for number, crop in enumerate(crops):
        expected = 30 * number + seen * (np.arange(128) + 0.5) / 128
        assert apart(azimuths(crop, 64), expected) < 1.2


def test_rows_of_a_whole_panorama_are_those_that_sf_xl_keeps() -> None:
    whole = next(cut(telling(3328, 1664), CropSettings()))
    rows = np.asarray(whole)[:, 0, 2] / 240 * 1664
    assert abs(rows[0] - 512) < 8
    assert abs(rows[-1] - 1024) < 8


def test_a_crop_of_a_strip_is_its_pixels() -> None:
    strip = np.random.default_rng(0).integers(0, 255, (512, 3328, 3), np.uint8)
    crops = [np.asarray(crop) for crop in cut(Image.fromarray(strip), CropSettings())]
    for number, left in ((0, 0), (1, 277), (2, 555), (3, 832), (11, 3051)):
        assert (crops[number] == np.roll(strip, -left, 1)[:, :512]).all()


@pytest.mark.parametrize("size", [(3328, 512), (1664, 832)])
@pytest.mark.parametrize("fov", [30.0, 55.0])
def test_a_camera_sees_equal_steps_of_the_tangent(size: tuple[int, int], fov: float) -> None:
    settings = CropSettings(projection="perspective", fov=fov, crop_size=128)
    steps = (2 * (np.arange(128) + 0.5) / 128 - 1) * np.tan(np.radians(fov / 2))
    for number, crop in enumerate(cut(telling(*size), settings)):
        expected = 30 * number + fov / 2 + np.degrees(np.arctan(steps))
        for row in (3, 64, 120):  # upright lines stay upright
            assert apart(azimuths(crop, row), expected) < 1.2


def test_a_camera_looks_at_the_horizon() -> None:
    settings = CropSettings(projection="perspective", fov=90, crop_size=101)
    crop = np.asarray(next(cut(telling(1664, 832), settings)))[..., 2] / 240
    assert abs(crop[50] - 0.5).max() < 0.01
    assert abs(crop[0, 50] - 0.25) < 0.01, "45 degrees up is a quarter of the height"


def test_a_strip_is_too_low_for_a_wide_view() -> None:
    with pytest.raises(BadImageError, match="a strip shows 56"):
        next(cut(telling(832, 128), CropSettings(projection="perspective", fov=60)))
    with pytest.raises(BadImageError, match="640x480 is neither 2:1"):
        next(cut(telling(640, 480), CropSettings()))


def test_headings() -> None:
    left = crop_headings(180, CropSettings())
    assert left == [30 * number for number in range(12)]
    assert crop_headings(0, CropSettings(crops_num=4)) == [180, 270, 0, 90]
    assert crop_headings(179.999, CropSettings(crops_num=1)) == [0], "no heading of 360"
    centre = crop_headings(180, CropSettings(heading_of="centre"))
    assert np.allclose(np.array(centre) - left, 360 * 256 / 3328, atol=0.005)
    camera = crop_headings(180, CropSettings(heading_of="centre", projection="perspective", fov=50))
    assert [a - b for a, b in zip(camera, left, strict=True)] == [25] * 12


@pytest.fixture
def panoramas(tmp_path: Path) -> Path:
    folder = tmp_path / "panoramas" / "37.81"
    folder.mkdir(parents=True)
    for number, heading in enumerate((180, 22.5)):
        telling(832, 128).save(folder / NAME.format(f"pano{number}", heading))
    return folder.parent


def crop(panoramas: Path, **settings: object) -> Path:
    small = CropSettings(crop_size=64, **settings)  # type: ignore[arg-type]
    return crop_panoramas(panoramas, panoramas.parent / "database", panoramas.parent / "A", small)


def test_names_and_that_nothing_is_cut_twice(panoramas: Path) -> None:
    first = crop(panoramas)
    database = panoramas.parent / "database" / "37.81"
    headings = sorted(float(path.name.split("@")[9]) for path in database.glob("*pano1*"))
    assert headings == sorted((22.5 + 30 * number - 180) % 360 for number in range(12))
    assert (database / NAME.format("pano0", 30)).is_file()
    written = {path: path.stat().st_ino for path in database.glob("*.jpg")}
    assert len(written) == 24
    assert crop(panoramas) == first
    next(iter(written)).unlink()
    changed = panoramas / "37.81" / NAME.format("pano2", 0)
    telling(832, 128).save(changed)
    second = crop(panoramas)
    assert read_recipe(second)["summary"]["cut_now"] == 2
    kept = [path for path, inode in written.items() if path.is_file() and path.stat().st_ino == inode]
    assert len(kept) == 12, "of the panorama whose crops are all there"
    assert len(list(database.iterdir())) == 36, "nothing half-written is left"


def test_what_cannot_be_cut_is_told(panoramas: Path) -> None:
    folder = panoramas / "37.81"
    (folder / NAME.format("cut", 7)).write_bytes((folder / NAME.format("pano0", 180)).read_bytes()[:900])
    telling(64, 64).save(folder / NAME.format("square", 7))
    telling(832, 128).save(folder / NAME.format("unknown", ""))
    telling(832, 128).save(folder / "noname.jpg")
    rows = read_table(crop(panoramas), "cropped")
    bad = [status for status in rows["status"].cast(str) if status != "ok"]
    assert sorted(bad) == ["no heading", "no name", "truncated", "wrong size"]
    assert rows["crops"].sum() == 24


def test_what_was_cut_can_be_looked_into_and_old_tables_are_garbage(
    panoramas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = crop(panoramas)
    telling(832, 128).save(panoramas / "37.81" / NAME.format("unknown", ""))
    second = crop(panoramas)
    main(["summary", str(second)])
    assert "24 crops of 2 panoramas, 0 of them cut now" in (shown := capsys.readouterr().out)
    assert "no heading  1  100.0%" in shown
    main(["rejects", str(second), "--reason", "no heading"])
    assert NAME.format("unknown", "") in capsys.readouterr().out
    main(["gc", "--artifacts-folder", str(panoramas.parent / "A")])
    assert (first.exists(), second.exists()) == (False, True)


def test_what_the_machine_refuses_is_no_damage_of_a_panorama(panoramas: Path) -> None:
    """Too many open files, in a process that may open no more."""
    code = (
        "import sys, resource\nfrom pathlib import Path\nimport PIL.JpegImagePlugin\n"
        "from pipeline.panoramas import projection as crops\n"
        "from pipeline.panoramas.crop_panoramas import Batch, cut_batch\n"
        "from pipeline.panoramas.settings import CropSettings\n"
        "source = Path(sys.argv[1])\nfound = tuple((p.name, 0.0, p.name, None) for p in source.iterdir())\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "cut_batch(Batch(source, Path(sys.argv[2]), Path(sys.argv[2]), CropSettings(), found))\n"
    )
    words = [sys.executable, "-c", code, str(panoramas / "37.81"), str(panoramas.parent / "database")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "UserError" in done.stderr, done.stderr
    assert "cannot be read: Too many open files; raise the limit (ulimit -n), and run again" in done.stderr


def test_a_full_disk_ends_the_run_with_a_message(panoramas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match=r"is full .*; free some space, or choose --output-folder"):
        crop(panoramas)
    assert not list((panoramas.parent / "database").rglob("*.jpg"))


CUT = """
import sys
from pathlib import Path
from pipeline.panoramas.settings import CropSettings
from pipeline.groups.build_groups import build_groups
from pipeline.manifest.build_manifest import build_manifest
from pipeline.panoramas.crop_panoramas import crop_panoramas
from pipeline.groups.settings import GroupSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
crop_panoramas(*map(Path, sys.argv[1:4]), CropSettings(crop_size=64))
"""


def test_a_run_that_is_killed_is_finished_by_the_next(panoramas: Path) -> None:
    """What is there has its place and its whole content; what was whole stays the same file."""
    for number in range(2, 60):
        telling(832, 128).save(panoramas / "37.81" / NAME.format(f"pano{number}", number))
    database, artifacts = panoramas.parent / "database", panoramas.parent / "A"
    words = [sys.executable, "-c", CUT, str(panoramas), str(database), str(artifacts)]
    with subprocess.Popen(words, cwd=ROOT) as process:
        while len(list(database.glob("*/*.jpg"))) < 100:
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.001)
        process.kill()
    written = {path: path.stat().st_ino for path in database.rglob("*.jpg")}
    assert 100 <= len(written) < 720
    whole = [pano for pano in range(60) if sum(f"@pano{pano}@" in path.name for path in written) == 12]
    assert whole
    assert read_recipe(crop(panoramas))["summary"]["cut_now"] == 60 - len(whole)
    crops = sorted(database.rglob("*.jpg"))
    assert len(crops) == 720
    for path in crops:
        with Image.open(path) as image:
            image.load()
        if any(f"@pano{pano}@" in path.name for pano in whole):
            assert path.stat().st_ino == written[path], "a crop that was done was cut again"
    assert [path for path in database.rglob("*") if path.is_file() and path not in crops] == [database / ".crops.json"]


def test_mistakes(panoramas: Path, tmp_path: Path) -> None:
    crop(panoramas)
    with pytest.raises(UserError, match="it has crops that were cut with other settings"):
        crop(panoramas, crop_quality=50)
    with pytest.raises(UserError, match="it is the panoramas folder"):
        CropFolders(tmp_path, tmp_path).both()
    with pytest.raises(UserError, match="Pass --panoramas-folder and --output-folder"):
        CropFolders(tmp_path).both()
    for wrong in ({"crops_num": 0}, {"fov": 180}, {"crop_quality": 101}, {"crop_size": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            CropSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not THETA.is_dir(), reason="../shared with real panoramas is not here")
def test_real_panoramas_join_again_at_their_crops(tmp_path: Path) -> None:
    with Image.open(THETA / "1200.jpg") as image:
        panorama = image.convert("RGB")
    crops = [np.asarray(each).astype(int) for each in cut(panorama, CropSettings(crop_size=297))]
    for number in range(12):  # the left of a crop is in the one before, across the seam too
        shift = round((number + 1) * 1930 / 12) - round(number * 1930 / 12)
        assert np.abs(crops[number][:, shift:] - crops[(number + 1) % 12][:, : 297 - shift]).mean() < 1


@pytest.mark.skipif(not THETA.is_dir(), reason="../shared with real panoramas is not here")
def test_real_panoramas_are_cut_by_their_exif_and_grouped(tmp_path: Path) -> None:
    """Crops are called as SF-XL's, so that what comes after reads their names; a camera's own name is the pano_id."""
    (tmp_path / "panoramas").mkdir()
    for name in ("8.jpg", "12.jpg", "1200.jpg"):
        (tmp_path / "panoramas" / name).write_bytes((THETA / name).read_bytes())
    source = make_source(SourceSettings(source="exif"))
    settings = CropSettings(crop_size=16)
    crops = crop_panoramas(tmp_path / "panoramas", tmp_path / "crops", tmp_path / "A", settings, source=source)
    statuses = dict(read_table(crops, "cropped").select("path", pl.col("status").cast(pl.String)).iter_rows())
    assert statuses == {"8.jpg": "ok", "12.jpg": "ok", "1200.jpg": "no heading"}
    rows = read_table(build_manifest(tmp_path / "crops", tmp_path / "A"), "manifest").to_dicts()
    of_photos = read_table(build_manifest(tmp_path / "panoramas", tmp_path / "A", source=source), "manifest").to_dicts()
    taken = {row["path"].removesuffix(".jpg"): row for row in of_photos}
    for pano, heading in (("8", 45.0), ("12", 180.0)):
        of_pano = [row for row in rows if row["pano_id"] == pano]
        assert sorted(row["heading"] for row in of_pano) == sorted((heading - 180 + 30 * n) % 360 for n in range(12))
        for row in of_pano:
            assert (row["utm_zone"], row["utm_band"], row["year"]) == (30, "U", 2019)
            assert (row["utm_east"], row["latitude"]) == pytest.approx(
                (taken[pano]["utm_east"], taken[pano]["latitude"]), abs=0.005
            )
    groups = build_groups(
        tmp_path / next((tmp_path / "A" / "manifest").glob("*crops/current")), tmp_path / "A", ONE_EACH
    )
    assert read_recipe(groups)["summary"]["images"] == 24
