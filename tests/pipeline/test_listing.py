import errno
import hashlib
import logging
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from pipeline.listing import Listing, list_file_of, list_images, read_list, walk_images

ListingOf = Callable[..., Listing]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """A folder with images in it and below, and with what is none."""
    for name in ("a.jpg", "37.70/b.JPG", "37.70/deep/c.Jpeg", "@x/d.png", "notes.txt", "e.jpg.part", "jpg", "f.gif"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "train" / "folder.jpg").mkdir()
    (tmp_path / "train" / "nothing").mkdir()
    return tmp_path / "train"


IMAGES = [b"37.70/b.JPG", b"37.70/deep/c.Jpeg", b"@x/d.png", b"a.jpg"]


def write_list(train: Path, content: bytes) -> Path:
    list_file = train.with_name("train_images_paths.txt")
    list_file.write_bytes(content)
    return list_file


def test_images_of_a_folder_sorted(train: Path) -> None:
    listing = list_images(train)
    assert listing.paths.to_list() == IMAGES
    assert (listing.origin, listing.repeats) == (train, 0)


def test_the_list_file_lies_beside_the_folder(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_file_of(train) == train.parent / "train_images_paths.txt"
    assert list_file_of(Path("sf-xl/processed/train/")) == Path("sf-xl/processed/train_images_paths.txt")
    assert list_file_of(Path("v1.0")) == Path("v1.0_images_paths.txt")
    monkeypatch.chdir(train / "37.70")
    assert list_file_of(Path()) == train / "37.70_images_paths.txt"
    assert list_file_of(Path("..")) == list_file_of(Path("deep/../..")) == train.parent / "train_images_paths.txt"
    assert list_file_of(Path("/")) == Path("/_images_paths.txt")


def test_the_working_directory_can_be_listed(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(train)
    assert list_images(Path()).paths.to_list() == list_images(Path("37.70/..")).paths.to_list() == IMAGES


@pytest.mark.parametrize("path", [Path(), Path("..")])
def test_the_working_directorys_list_file_is_found(train: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_list(train, b"x.jpg\n")
    monkeypatch.chdir(train if path == Path() else train / "nothing")
    assert list_images(path).paths.to_list() == [b"x.jpg"]


def test_the_list_wins_over_the_folder_and_nothing_is_looked_for(train: Path) -> None:
    list_file = write_list(train, b"not/there.jpg\nnor/this.txt\n")
    listing = list_images(train)
    assert listing.paths.to_list() == [b"nor/this.txt", b"not/there.jpg"]
    assert listing.origin == list_file


def test_a_list_needs_no_folder(tmp_path: Path) -> None:
    write_list(tmp_path / "train", b"a.jpg\n")
    assert list_images(tmp_path / "train").paths.to_list() == [b"a.jpg"]


@pytest.mark.parametrize(
    "content",
    [
        b"a.jpg\nb c.jpg\n",
        b"a.jpg\nb c.jpg",
        b"\xef\xbb\xbfa.jpg\nb c.jpg\n",
        b"a.jpg\r\nb c.jpg\r\n",
        b"\xef\xbb\xbfa.jpg\r\nb c.jpg",
        b"\n\na.jpg\n  \n\t\nb c.jpg\n\r\n\n",
        b"b c.jpg\na.jpg\n",
        b"./a.jpg\n./b c.jpg\n",  # find . -name '*.jpg'
    ],
    ids=["plain", "no last newline", "mark", "CRLF", "both", "blank lines", "other order", "find"],
)
def test_the_same_list_written_in_other_ways(train: Path, listing_of: ListingOf, content: bytes) -> None:
    write_list(train, content)
    listing = list_images(train)
    assert listing.paths.to_list() == [b"a.jpg", b"b c.jpg"]
    assert listing.repeats == 0
    assert listing.fingerprint == listing_of(["a.jpg", "b c.jpg"]).fingerprint


def test_no_line_is_touched_but_for_its_end(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b" a.jpg \n\xff.jpg\n\xe2\x80\xa8b.jpg\nc\rd.jpg\n\x0ce.jpg\n#f.jpg\n.g.jpg\n")
    assert read_list(tmp_path / "list") == [
        *(b" a.jpg ", b"\xff.jpg", b"\xe2\x80\xa8b.jpg", b"c\rd.jpg", b"\x0ce.jpg", b"#f.jpg", b".g.jpg")
    ]


def test_repeats_are_counted(train: Path) -> None:
    write_list(train, b"a.jpg\nb.jpg\na.jpg\n./a.jpg\r\nB.jpg\n")
    listing = list_images(train)
    assert listing.paths.to_list() == [b"B.jpg", b"a.jpg", b"b.jpg"]
    assert listing.repeats == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(train: Path, encoding: str) -> None:
    text = "a.jpg\n" if encoding == "utf-16" else "\ufeffa.jpg\n"
    list_file = write_list(train, text.encode(encoding))
    with pytest.raises(UserError) as error:
        list_images(train)
    assert str(error.value) == f"{list_file} is UTF-16: save it as UTF-8"


def test_a_list_that_cannot_be_read(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    list_file = write_list(train, b"a.jpg\n")
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(UserError) as error:
        list_images(train)
    assert str(error.value) == f"{list_file}: cannot be read: Permission denied"


@pytest.mark.parametrize("content", [b"", b"\n\r\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_an_empty_list(train: Path, content: bytes) -> None:
    list_file = write_list(train, content)
    with pytest.raises(UserError) as error:
        list_images(train)
    assert str(error.value) == f"{list_file}: no image in it (looked for .jpg, .jpeg, .png)"


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        list_images(tmp_path / "train")
    list_file = tmp_path / "train_images_paths.txt"
    assert str(error.value) == (
        f"{tmp_path / 'train'}: there is no such folder, and no list of its images at {list_file}"
    )
    (tmp_path / "train" / "deep").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        list_images(tmp_path / "train")
    assert str(error.value) == f"{tmp_path / 'train'}: no image in it (looked for .jpg, .jpeg, .png)"


def test_a_file_is_no_folder(train: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        list_images(train / "a.jpg")


def test_a_folder_and_a_list_of_its_files_have_one_fingerprint_whatever_the_order(train: Path) -> None:
    of_folder = list_images(train).fingerprint
    lines = list(IMAGES)
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        write_list(train, b"\n".join(lines))
        assert list_images(train).fingerprint == of_folder


def test_a_fingerprint_by_another_route(listing_of: ListingOf) -> None:
    assert listing_of(["a.jpg", "37.70/b.jpg"]).fingerprint == listing_of(["37.70/b.jpg", "a.jpg"]).fingerprint
    ends, letters, repeats = struct.pack("<3q", 0, 5, 10), b"a.jpgb.jpg", b"3"
    expected = hashlib.sha256(ends + letters + repeats).hexdigest()[:16]
    assert listing_of(["a.jpg", "b.jpg"], repeats=3).fingerprint == expected
    assert listing_of(["a.jpg"]).fingerprint == "42117ef4a8599c5e"


def test_whatever_is_listed_is_in_the_fingerprint(listing_of: ListingOf) -> None:
    lists: list[list[str | bytes]] = [
        ["a.jpg"],
        ["a.jpg", "b.jpg"],
        ["a.jpgb.jpg"],
        ["a.jp", "gb.jpg"],
        ["a.JPG"],
        ["x/a.jpg"],
        ["\u00e4.jpg"],
        ["a\u0308.jpg"],  # the same letter to the eye
        [b"\xe4.jpg"],
    ]
    digests = {listing_of(paths).fingerprint for paths in lists} | {listing_of(["a.jpg"], repeats=1).fingerprint}
    assert len(digests) == len(lists) + 1


def test_a_fingerprint_of_a_part_of_a_longer_column(listing_of: ListingOf) -> None:
    whole = listing_of(["a.jpg", "b.jpg", "c.jpg"])
    part = Listing(whole.origin, whole.paths[1:], 0)
    assert part.fingerprint == listing_of(["b.jpg", "c.jpg"]).fingerprint


def test_links_that_lead_in_a_circle(train: Path, caplog: pytest.LogCaptureFixture) -> None:
    (train / "37.70" / "up").symlink_to(train)
    (train / "37.70" / "deep" / "here").symlink_to(".")
    caplog.set_level(logging.WARNING)
    assert list_images(train).paths.to_list() == IMAGES
    assert sorted(caplog.messages) == [
        f"{train}/37.70/deep/here leads back to a folder above it: not followed",
        f"{train}/37.70/up leads back to a folder above it: not followed",
    ]


def test_two_folders_that_link_to_each_other(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / f"{name}.jpg").touch()
        (tmp_path / "train" / name / "other").symlink_to(tmp_path / "train" / other)
    found = list_images(tmp_path / "train").paths.to_list()
    assert found == [b"a/a.jpg", b"a/other/b.jpg", b"b/b.jpg", b"b/other/a.jpg"]


def test_a_link_to_a_folder_above_the_images_ends(train: Path) -> None:
    (train / "up").symlink_to(train.parent)
    (train.parent / "beside").mkdir()
    (train.parent / "beside" / "x.jpg").touch()
    assert list_images(train).paths.to_list() == [*IMAGES, b"up/beside/x.jpg"]


def test_links_to_elsewhere_are_followed(train: Path, tmp_path: Path) -> None:
    (tmp_path / "disk2" / "37.71").mkdir(parents=True)
    (tmp_path / "disk2" / "37.71" / "x.jpg").touch()
    (train / "37.71").symlink_to(tmp_path / "disk2" / "37.71")
    (train / "y.jpg").symlink_to(tmp_path / "disk2" / "37.71" / "x.jpg")
    (tmp_path / "linked").symlink_to(train)
    expected = sorted([*IMAGES, b"37.71/x.jpg", b"y.jpg"])
    assert list_images(train).paths.to_list() == list_images(tmp_path / "linked").paths.to_list() == expected


def test_links_that_lead_nowhere_are_listed_by_their_names(train: Path) -> None:
    (train / "gone.jpg").symlink_to("nowhere.jpg")
    (train / "gone").symlink_to("nowhere")
    (train / "itself").symlink_to("itself")
    (train / "itself.jpg").symlink_to("itself.jpg")
    assert list_images(train).paths.to_list() == [*IMAGES, b"gone.jpg", b"itself.jpg"]


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "train" / os.fsdecode(b"\xff\xfe")
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"\xe4.jpg")).touch()
    assert list_images(tmp_path / "train").paths.to_list() == [b"\xff\xfe/\xe4.jpg"]
    assert list_images(folder).paths.to_list() == [b"\xe4.jpg"]


def test_a_name_with_a_newline_comes_through(tmp_path: Path) -> None:
    (tmp_path / "a\nb.jpg").touch()
    assert list(walk_images(tmp_path)) == [b"a\nb.jpg"]


def test_a_folder_that_cannot_be_listed(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(folder: bytes) -> object:
        if folder.endswith(b"37.70"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(UserError) as error:
        list_images(train)
    assert str(error.value) == f"{train}/37.70: cannot be listed: Permission denied"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any folder")
def test_a_folder_without_permission(train: Path) -> None:
    (train / "37.70").chmod(0)
    try:
        with pytest.raises(UserError, match=r"37\.70: cannot be listed: Permission denied"):
            list_images(train)
    finally:
        (train / "37.70").chmod(0o755)


def test_a_link_that_cannot_be_followed(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name, path = b"x", os.fsencode(train) + b"/x"

        def is_dir(self) -> bool:
            raise PermissionError(errno.EACCES, "Permission denied", self.path)

    monkeypatch.setattr("pipeline.listing._entries", lambda folder: [Entry()])
    with pytest.raises(UserError) as error:
        list_images(train)
    assert str(error.value) == f"{train}/x: cannot be followed: Permission denied"


def test_a_fingerprint_is_the_same_in_another_process(train: Path) -> None:
    code = "import sys; from pathlib import Path; from pipeline.listing import list_images\n"
    code += "print(list_images(Path(sys.argv[1])).fingerprint)"
    words = [sys.executable, "-c", code, str(train)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == list_images(train).fingerprint
