import hashlib
import zipfile
import zlib
from pathlib import Path

import pytest

from data_manifest.errors import UserError
from data_manifest.store.recipe import read_recipe
from pipeline.verification.settings import HEADER, VerifySettings
from tests.pipeline.verification.helpers import bad_in, change, image, name, verify


@pytest.mark.parametrize("form", ["sha256sum", "bsd", "sfv", "zip"])
def test_checksums_find_any_change(train: Path, tmp_path: Path, form: str) -> None:
    paths = sorted(train.glob("*/*.jpg"))
    source = tmp_path / "sums"
    if form == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            for path in paths:
                archive.write(path, f"train/{path.relative_to(train)}")
    else:
        lines = []
        for path in paths:
            inside, content = path.relative_to(train), path.read_bytes()
            lines.append({
                "sha256sum": f"{hashlib.sha256(content).hexdigest()}  ./{inside}",
                "bsd": f"MD5 (train/{inside}) = {hashlib.md5(content).hexdigest()}",
                "sfv": f"{inside} {zlib.crc32(content):08X}",
            }[form])  # fmt: skip
        source.write_text("; made by hand\n\n" + "\n".join(lines) + "\n")
    flipped = bytearray(image(train, 5).read_bytes())
    flipped[-10] ^= 1
    change(image(train, 5), bytes(flipped))
    (train / "37.0" / name(4)).unlink()
    change(train / "37.2" / name(77), image(train, 1).read_bytes())
    checks = verify(train, check=HEADER, settings=VerifySettings(checksum=source))
    assert bad_in(checks) == {name(5): "checksum differs"}
    summary = read_recipe(checks)["summary"]
    assert (summary["missing"], summary["missing_examples"]) == (1, [f"37.0/{name(4)}"])
    assert summary["not_listed"] == 1


def test_malformed_and_missing_lists_are_errors(train: Path, tmp_path: Path) -> None:
    source = tmp_path / "sums"
    source.write_text(f"{'0' * 64}  a.jpg\nno checksum\n")
    with pytest.raises(UserError, match=r"line 2 is 'no checksum'\. Give a list of checksums"):
        verify(train, settings=VerifySettings(checksum=source))
    with pytest.raises(UserError, match="cannot be read"):
        verify(train, settings=VerifySettings(checksum=tmp_path / "none"))
