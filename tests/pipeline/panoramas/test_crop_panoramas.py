import errno
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import ExifTags, Image

from data_manifest.__main__ import main
from data_manifest.errors import UserError
from data_manifest.images import image_store
from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from pipeline.groups.build_groups import build_groups
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.build_manifest import build_manifest
from pipeline.panoramas import projection
from pipeline.panoramas.crop_panoramas import crop_panoramas
from pipeline.panoramas.settings import CropSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings

ROOT = Path(__file__).parents[3]
THETA = Path(__file__).parents[4] / "shared" / "data" / "exif" / "openwanderer_theta"
NAME = "@0545981.19@4184971.70@10@S@037.81098@-122.47762@{}@@{}@@@@201409@@.jpg"
ONE_EACH = GroupSettings(min_images_per_class=1)


def panorama(width: int = 832, height: int = 128) -> Image.Image:
    return Image.effect_noise((width, height), 60).convert("RGB")


def write_photo(
    path: Path,
    image: Image.Image,
    direction: dict[int, Any],
    properties: dict[str, str] | None = None,
    quote: str = '"',
) -> None:
    """Write a JPEG with a GPS position, these GPS tags of its direction, and these GPano properties in XMP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 2.0), 3: "E", 4: (2.0, 20.0, 5.0), **direction})
    values = (f"GPano:{name}={quote}{value}{quote}" for name, value in (properties or {}).items())
    image.save(path, exif=exif, xmp=f"<rdf:Description {' '.join(values)}/>".encode())


def crop_photos(tmp_path: Path, source: str = "exif") -> pl.DataFrame:
    """Return the table of the panoramas in tmp_path, cut into four small crops each."""
    settings, options = CropSettings(crop_size=16, crops_num=4), SourceSettings(source=source)
    folders = (tmp_path / "panoramas", tmp_path / "crops", tmp_path / "A")
    return read_table(crop_panoramas(*folders, settings, source=make_source(options)), "cropped")


@pytest.fixture
def panoramas(tmp_path: Path) -> Path:
    folder = tmp_path / "panoramas" / "37.81"
    folder.mkdir(parents=True)
    for number, heading in enumerate((180, 22.5)):
        panorama().save(folder / NAME.format(f"pano{number}", heading))
    return folder.parent


def crop(panoramas: Path, **settings: object) -> Path:
    small = CropSettings(crop_size=64, **settings)  # type: ignore[arg-type]
    return crop_panoramas(panoramas, panoramas.parent / "database", panoramas.parent / "A", small)


def test_only_new_panoramas_and_missing_crops_are_cut(panoramas: Path) -> None:
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
    panorama().save(changed)
    second = crop(panoramas)
    assert read_recipe(second)["summary"]["cut_now"] == 2
    kept = [path for path, inode in written.items() if path.is_file() and path.stat().st_ino == inode]
    assert len(kept) == 12, "of the panorama whose crops are all there"
    assert len(list(database.iterdir())) == 36, "nothing half-written is left"


def test_panoramas_that_cannot_be_cut_have_a_status(panoramas: Path) -> None:
    folder = panoramas / "37.81"
    (folder / NAME.format("cut", 7)).write_bytes((folder / NAME.format("pano0", 180)).read_bytes()[:900])
    panorama(64, 64).save(folder / NAME.format("square", 7))
    panorama().save(folder / NAME.format("unknown", ""))
    panorama().save(folder / "noname.jpg")
    rows = read_table(crop(panoramas), "cropped")
    bad = [status for status in rows["status"].cast(str) if status != "ok"]
    assert sorted(bad) == ["no heading", "no name", "truncated", "wrong size"]
    assert rows["crops"].sum() == 24


def test_the_table_is_shown_and_old_tables_are_garbage(panoramas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = crop(panoramas)
    panorama().save(panoramas / "37.81" / NAME.format("unknown", ""))
    second = crop(panoramas)
    main(["summary", str(second)])
    assert "24 crops of 2 panoramas, 0 of them cut now" in (shown := capsys.readouterr().out)
    assert "no heading  1  100.0%" in shown
    main(["rejects", str(second), "--reason", "no heading"])
    assert NAME.format("unknown", "") in capsys.readouterr().out
    main(["gc", "--artifacts-folder", str(panoramas.parent / "A")])
    assert (first.exists(), second.exists()) == (False, True)


def test_an_io_error_does_not_count_as_a_corrupt_panorama(panoramas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    for module, name in ((projection, "open_picture"), (image_store, "_open_without_blocking")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            with pytest.raises(UserError, match=r"Too many open files\. Raise the limit .*, then run again\."):
                crop(panoramas)


def test_a_full_disk_is_an_error(panoramas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
from pipeline.panoramas import projection
from pipeline.panoramas.crop_panoramas import crop_panoramas
from pipeline.groups.settings import GroupSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
crop_panoramas(*map(Path, sys.argv[1:4]), CropSettings(crop_size=64))
"""


def test_a_killed_run_is_resumed(panoramas: Path) -> None:
    """What is there has its place and its whole content; what was whole stays the same file."""
    for number in range(2, 60):
        panorama().save(panoramas / "37.81" / NAME.format(f"pano{number}", number))
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


def test_crops_of_another_kind_are_an_error(panoramas: Path) -> None:
    crop(panoramas)
    with pytest.raises(UserError, match="it has crops that were cut with other settings"):
        crop(panoramas, crop_quality=50)


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


def test_a_heading_of_0_beside_another_direction_is_doubtful(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    properties = {"ProjectionType": "equirectangular", "PoseHeadingDegrees": "0.0"}
    write_photo(tmp_path / "panoramas" / "x.jpg", panorama(512, 256), {16: "T", 17: 90.0}, properties)
    (row,) = crop_photos(tmp_path).to_dicts()
    assert (row["status"], row["detail"]) == ("ok", "GPano heading 0, GPSImgDirection 90.0")
    assert {path.name.split("@")[9] for path in (tmp_path / "crops").glob("*.jpg")} == {"0", "90", "180", "270"}
    assert "doubtful headings: 1, such as x.jpg: GPano heading 0, GPSImgDirection 90.0" in caplog.text


PARTIAL = {"FullPanoWidthPixels": "512", "CroppedAreaImageWidthPixels": "256"}


@pytest.mark.parametrize("quote", ['"', "'"])
def test_partial_panoramas_only_are_an_error(tmp_path: Path, quote: str) -> None:
    write_photo(tmp_path / "panoramas" / "x.jpg", panorama(256, 128), {17: 90.0}, PARTIAL, quote)
    with pytest.raises(
        UserError, match=r"none of 1 panoramas can be cut\. x\.jpg: partial panorama, shows 180 of 360 degrees"
    ):
        crop_photos(tmp_path)


def test_a_partial_panorama_with_an_sf_xl_name_is_not_cut(tmp_path: Path) -> None:
    write_photo(tmp_path / "panoramas" / NAME.format("half", 90), panorama(256, 128), {}, PARTIAL)
    write_photo(tmp_path / "panoramas" / NAME.format("whole", 90), panorama(512, 256), {})
    assert sorted(crop_photos(tmp_path, "names")["status"].cast(str)) == ["ok", "partial panorama"]


@pytest.mark.parametrize("source", ["names", "exif"])
def test_one_of_two_panoramas_whose_crops_have_the_same_names_is_cut(tmp_path: Path, source: str) -> None:
    stem = NAME.format("p", 90).removesuffix(".jpg") if source == "names" else "p"
    for path in (f"{stem}.jpeg", f"{stem}.jpg", f"other/{stem}.jpg"):
        write_photo(tmp_path / "panoramas" / path, panorama(512, 256), {17: 90.0})
    for _ in range(2):
        rows = {row["path"]: (row["status"], row["crops"]) for row in crop_photos(tmp_path, source).to_dicts()}
        assert rows == {
            f"{stem}.jpeg": ("same crops", 0),
            f"{stem}.jpg": ("ok", 4),
            f"other/{stem}.jpg": ("ok", 4),
        }
        assert len(list((tmp_path / "crops").rglob("*.jpg"))) == 8
