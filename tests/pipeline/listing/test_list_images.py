import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from pipeline.listing import list_images as listing_module
from pipeline.listing.list_images import Listing, list_file_of, list_images, path_blocks

ListingOf = Callable[..., Listing]


IMAGES = [b"37.70/b.JPG", b"37.70/deep/c.Jpeg", b"@x/d.png", b"a.jpg"]


def write_list(train: Path, content: bytes) -> Path:
    list_file = train.with_name("train_images_paths.txt")
    list_file.write_bytes(content)
    return list_file


@pytest.fixture
def paths_in() -> Callable[[Path], list[bytes]]:
    """List a folder, and return the sorted paths."""
    return lambda folder: sorted(path for block in path_blocks(list_images(folder)) for path in block)


PathsIn = Callable[[Path], list[bytes]]


def test_images_of_a_folder(train: Path, paths_in: PathsIn) -> None:
    assert paths_in(train) == IMAGES
    assert list_images(train).origin == train


def test_the_list_file_lies_beside_the_folder(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_file_of(train) == train.parent / "train_images_paths.txt"
    assert list_file_of(Path("sf-xl/processed/train/")) == Path("sf-xl/processed/train_images_paths.txt")
    assert list_file_of(Path("v1.0")) == Path("v1.0_images_paths.txt")
    monkeypatch.chdir(train / "37.70")
    assert list_file_of(Path()) == train / "37.70_images_paths.txt"
    assert list_file_of(Path("..")) == list_file_of(Path("deep/../..")) == train.parent / "train_images_paths.txt"
    assert list_file_of(Path("/")) == Path("/_images_paths.txt")


def test_the_working_directory_can_be_listed(train: Path, paths_in: PathsIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(train)
    assert paths_in(Path()) == paths_in(Path("37.70/..")) == IMAGES


@pytest.mark.parametrize("path", [Path(), Path("..")])
def test_the_working_directorys_list_file_is_found(
    train: Path, paths_in: PathsIn, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_list(train, b"x.jpg\n")
    monkeypatch.chdir(train if path == Path() else train / "nothing")
    assert paths_in(path) == [b"x.jpg"]


def test_the_list_wins_over_the_folder_and_nothing_is_looked_for(train: Path, paths_in: PathsIn) -> None:
    list_file = write_list(train, b"not/there.jpg\nnor/this.txt\n")
    assert paths_in(train) == [b"nor/this.txt", b"not/there.jpg"]
    assert list_images(train).origin == list_file


def test_a_list_needs_no_folder(tmp_path: Path, paths_in: PathsIn) -> None:
    write_list(tmp_path / "train", b"a.jpg\n")
    assert paths_in(tmp_path / "train") == [b"a.jpg"]


def test_a_list_that_cannot_be_read(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, *mode: object, **more: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    list_file = write_list(train, b"a.jpg\n")
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UserError) as error:
        list_images(train)
    assert str(error.value) == f"{list_file}: cannot be read: Permission denied"


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        list_images(tmp_path / "train")
    list_file = tmp_path / "train_images_paths.txt"
    assert str(error.value) == (f"{tmp_path / 'train'}: no such folder, and no list of its images at {list_file}")
    (tmp_path / "train" / "deep").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        list_images(tmp_path / "train")
    assert str(error.value) == f"{tmp_path / 'train'}: no image in it (looked for .jpg, .jpeg, .png, .heic, .heif)"


def test_a_file_is_no_folder(train: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        list_images(train / "a.jpg")


def test_the_fingerprint_of_a_list_is_its_contents(train: Path, tmp_path: Path) -> None:
    write_list(train, b"a.jpg\n")
    # printf '["%s"]' $(xxhsum -H128 < LIST | cut -c1-32) | sha256sum
    assert list_images(train).fingerprint == list_images(train, tmp_path / "A").fingerprint == "7732d1b8cb130d43"


def test_whatever_is_listed_is_in_the_fingerprint(listing_of: ListingOf) -> None:
    lists: list[list[str | bytes]] = [
        ["a.jpg"],
        ["a.jpg", "a.jpg"],
        ["a.jpg", "b.jpg"],
        ["a.jpgb.jpg"],
        ["a.jp", "gb.jpg"],
        ["a.JPG"],
        ["x/a.jpg"],
        ["\u00e4.jpg"],
        ["a\u0308.jpg"],  # the same letter to the eye
        [b"\xe4.jpg"],
    ]
    assert len({listing_of(paths).fingerprint for paths in lists}) == len(lists)


def test_whatever_is_in_a_folder_is_in_the_fingerprint(tmp_path: Path) -> None:
    trees = [
        ["a.jpg"],
        ["a.jpg", "b.jpg"],
        ["a.jpgb.jpg"],
        ["a.JPG"],
        ["x/a.jpg"],
        ["x/a.jpg", "a.jpg"],
        ["x/a.jpg", "y/b.jpg"],
        ["x/b.jpg", "y/a.jpg"],
        ["x/y/a.jpg"],
        ["a\nb.jpg"],
        ["\u00e4.jpg"],
        ["a\u0308.jpg"],
        [os.fsdecode(b"\xe4.jpg")],
    ]
    for number, names in enumerate(trees):
        for name in names:
            path = tmp_path / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert len({list_images(tmp_path / str(number)).fingerprint for number in range(len(trees))}) == len(trees)


def test_what_is_no_image_and_where_the_folder_lies_are_not_in_the_fingerprint(train: Path) -> None:
    before = list_images(train).fingerprint
    (train / "more notes.txt").touch()
    (train / "empty").mkdir()
    moved = train.rename(train.with_name("moved"))
    assert list_images(moved).fingerprint == before


def test_a_list_that_changes_is_told(train: Path) -> None:
    list_file = write_list(train, b"a.jpg\n")
    listing = list_images(train)
    replaced = train.with_name("other")
    replaced.write_bytes(b"b.jpg\n")
    times = list_file.stat()
    os.utime(replaced, ns=(times.st_atime_ns, times.st_mtime_ns))
    replaced.rename(list_file)
    with pytest.raises(UserError) as error:
        list(path_blocks(listing))
    assert str(error.value) == f"{list_file} has changed while it was being read. Run again."
    list_file.unlink()
    with pytest.raises(UserError, match="cannot be read: No such file or directory"):
        list(path_blocks(listing))


def test_nothing_is_kept_of_a_rescan_of_a_list_and_none_is_trusted(
    train: Path, tmp_path: Path, an_hour_passes: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_list(train, b"a.jpg\n")
    an_hour_passes()
    fingerprint = list_images(train, tmp_path / "A").fingerprint

    def unread(path: Path) -> str:
        raise AssertionError(path)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.listing.cache.find_blocks", unread)
        assert list_images(train, tmp_path / "A").fingerprint == fingerprint  # it is known
    monkeypatch.setattr(listing_module, "find_blocks", lambda path: [])
    assert list_images(train, tmp_path / "A", rescan=True).fingerprint != fingerprint


def test_a_fingerprint_is_the_same_in_another_process(train: Path) -> None:
    code = "import sys; from pathlib import Path; from pipeline.listing.list_images import list_images\n"
    code += "print(list_images(Path(sys.argv[1])).fingerprint)"
    words = [sys.executable, "-c", code, str(train)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == list_images(train).fingerprint
