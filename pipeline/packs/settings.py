"""Settings of packs: size of the shards, smaller copies, place of the output."""

import dataclasses
from pathlib import Path
from typing import Any

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.settings import Settings, setting

DEFAULT_QUALITY = 90


@dataclasses.dataclass(frozen=True)
class PackSettings(Settings):
    """Settings of packs."""

    title = "Packs"

    shard_megabytes: int = setting(1_000, "approximate size of a shard; larger images get a shard of their own")
    jpeg_size: int | None = setting(
        None,
        "store JPEG copies with at most this many pixels on the shorter side, upright and without EXIF; by default the "
        "files as they are. A model trained on copies is another model",
    )
    output_url: ImagesFolder | None = setting(
        None,
        "folder of a bucket to write the packs to, as in s3://bucket/packs, instead of this machine, which then "
        "needs disk space for one shard per core",
    )
    quality: int = setting(DEFAULT_QUALITY, "JPEG quality of the copies, 1 to 100")

    @property
    def form(self) -> dict[str, Any] | None:
        """How images are made smaller, as JSON types; None for files as they are."""
        return None if self.jpeg_size is None else {"jpeg_size": self.jpeg_size, "quality": self.quality}

    def check(self) -> None:
        """Raise UserError for a value that cannot work."""
        if self.shard_megabytes < 1:
            raise UserError(f"shard_megabytes = {self.shard_megabytes}: give 1 or more.")
        if self.jpeg_size is not None and self.jpeg_size < 1:
            raise UserError(f"jpeg_size = {self.jpeg_size}: give 1 pixel or more.")
        if not 1 <= self.quality <= 100:
            raise UserError(f"quality = {self.quality}: choose a number from 1 to 100.")
        if isinstance(self.output_url, Path) or (self.output_url and not self.output_url.can_list):
            raise UserError(f"output_url = {self.output_url}: give the URL of a bucket, as in s3://bucket/packs.")
        if self.jpeg_size is None and self.quality != DEFAULT_QUALITY:
            raise UserError(
                f"quality = {self.quality}: no effect without jpeg_size. Give --jpeg-size, or leave it out."
            )
