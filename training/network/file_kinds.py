"""Names for files that torch cannot load as weights, found by their first bytes."""

import zipfile
from pathlib import Path

HEAD = 1024
LFS = b"version https://git-lfs"
HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")
OF_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # first bytes of files saved by torch before 1.6
SIGNATURES = {  # by the bytes that a file begins with
    OF_TORCH: "a truncated or damaged file of torch.save: download or copy it again",
    b"PK\x03\x04": "a truncated zip archive, as of a download that broke off: download it again",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\xfd7zXZ": "an xz archive: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a rar archive: unpack it",
    b"\x89HDF": "an HDF5 file, as Keras saves weights",
    b"\x80": "a pickle that torch.save did not write",
}
ONNX_FIELDS = b"\x12\x1a\x22\x2a\x32\x3a\x42"  # what may follow the version in an ONNX model


def kind_of(path: Path) -> str:
    """Return the kind of a file in a few words, and what to do about it."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return "an empty file"
    if zipfile.is_zipfile(path):
        return _kind_of_zip(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(LFS):
        return "a Git LFS pointer in place of the file: run git lfs pull"
    if text.startswith(HTML):
        return "an HTML page, as of a download that needs a login: download the file itself"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return "a safetensors file: load it with safetensors.torch.load_file and save that with torch.save"
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it"
    for signature, kind in SIGNATURES.items():
        if head.startswith(signature):
            return kind
    if path.suffix == ".onnx" or (head[:1] == b"\x08" and head[2:3] in ONNX_FIELDS):
        return "an ONNX model: use the PyTorch weights that it was exported from"
    return _kind_of_text(head)


def _kind_of_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith(("/constants.pkl", "/bytecode.pkl")) or "/code/" in name for name in names):
        return "a TorchScript archive: save the state_dict() of what torch.jit.load returns"
    if any(name.endswith("/data.pkl") for name in names):
        return "a damaged file of torch.save: download or copy it again"
    return f"a zip archive of {', '.join(names[:3]) or 'nothing'}: unpack it"


def _kind_of_text(head: bytes) -> str:
    first_line = head.decode("utf-8", errors="replace").strip().partition("\n")[0][:60]
    if first_line.isprintable() and "\ufffd" not in first_line:
        return f'a text file that begins "{first_line}"'
    return f"not written by torch.save (its first bytes are {head[:8].hex(' ')})"
