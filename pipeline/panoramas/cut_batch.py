"""Cut a batch of panoramas in a worker, except those whose crops all exist with the panorama's modification time."""

import os
import uuid
from pathlib import Path
from typing import NamedTuple

import polars as pl

from data_manifest.images.file_states import stat_file, stat_images
from data_manifest.images.image_store import OpenedImage, store_of
from data_manifest.images.images_folder import ImagesFolder
from pipeline.panoramas.crop_names import crop_path
from pipeline.panoramas.settings import CropSettings
from pipeline.verification.bad_image import BadImageError, Status


class Folders(NamedTuple):
    """Absolute paths of the folders of panoramas, of crops, and of unfinished crops."""

    panoramas: ImagesFolder
    output: Path
    unfinished: Path


class Cropped(NamedTuple):
    """A row of the table of panoramas, and whether its crops were cut now."""

    path: str
    heading: float
    crops: int
    status: str
    detail: str | None
    cut_now: bool


class _Panorama(NamedTuple):
    path: str
    heading: float
    doubt: str | None  # about the heading
    targets: list[Path]


def cut_batch(folders: Folders, settings: CropSettings, panoramas: pl.DataFrame) -> list[Cropped]:
    """Cut a batch of panoramas (path, heading, name, doubt), and return their rows.

    Raises:
        UserError: The folder of the panoramas is missing, or an I/O error.
    """
    from pipeline.panoramas.projection import crop_headings  # imports Pillow

    states = stat_images(panoramas["path"], folders.panoramas, settle=False)
    rows, uncut = [], []
    for (path, heading, name, doubt), modified_ns in zip(panoramas.iter_rows(), states["modified_ns"], strict=True):
        targets = [folders.output / crop_path(path, name, each) for each in crop_headings(heading, settings)]
        if modified_ns is not None and all(stat_file(str(target))[1] == modified_ns for target in targets):
            rows.append(Cropped(path, heading, len(targets), Status.OK.value, doubt, cut_now=False))
        else:
            uncut.append(_Panorama(path, heading, doubt, targets))
    all_opened = store_of(folders.panoramas).open([panorama.path for panorama in uncut])
    for panorama, opened in zip(uncut, all_opened, strict=True):
        rows.append(_cut_one(folders, settings, panorama, opened))
    return rows


def _cut_one(folders: Folders, settings: CropSettings, panorama: _Panorama, opened: OpenedImage | OSError) -> Cropped:
    from pipeline.panoramas.projection import cut, read_panorama  # imports Pillow

    path, heading, doubt, targets = panorama
    try:
        pixels, modified_ns = read_panorama(opened, folders.panoramas / path)
        for crop, target in zip(cut(pixels, settings), targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = folders.unfinished / uuid.uuid4().hex
            crop.save(unfinished, "JPEG", quality=settings.crop_quality)
            os.utime(unfinished, ns=(modified_ns, modified_ns))
            unfinished.replace(target)
    except BadImageError as error:
        return Cropped(path, heading, 0, error.status.value, error.detail or None, cut_now=False)
    return Cropped(path, heading, len(targets), Status.OK.value, doubt, cut_now=True)
