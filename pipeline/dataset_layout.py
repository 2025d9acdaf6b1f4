"""Where the parts of a data set are, in SF-XL's layout."""

import dataclasses
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import PARTS
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.settings import Settings, setting
from data_manifest.store.references import LIST_SUFFIX

PHOTOS = "photos"  # all photos, before they are split
SPLITS = {"train": "training", "val": "validation", "test": "test"}  # names in messages


@dataclasses.dataclass(frozen=True)
class PartSettings(Settings):
    """A part of a data set."""

    title = "Data"

    part: str = setting("train", "which images of the data set", choices=(*PARTS, PHOTOS))
    by_names: bool = setting(False, "read this part's names in SF-XL's form, whatever --source says of other parts")
    without_positions: bool = setting(
        False, "this part's images have no positions, as in the MSLS challenge: they can be embedded and matched only"
    )


@dataclasses.dataclass(frozen=True)
class ScanSettings(Settings):
    """How folders of images are listed."""

    title = "Data"

    rescan: bool = setting(
        False,
        "list every folder again, even if its modification time did not change: for file systems such as NFS, SMB and "
        "FUSE, where that time may be wrong. Changed image files are noticed without it",
    )


@dataclasses.dataclass(frozen=True)
class ArtifactsSettings(Settings):
    """Where results are written."""

    title = "Data"

    artifacts_folder: Path = setting(Path("artifacts"), "folder of all results")


@dataclasses.dataclass(frozen=True)
class DatasetSettings(Settings):
    """The folders of a data set."""

    title = "Data"

    dataset_folder: ImagesFolder | None = setting(
        None,
        "contains train/, val/{database,queries}, test/{database,queries_v1}; only what is used must exist. Folders of "
        "images may be URLs, as in s3://bucket/sf-xl/processed",
    )
    train_folder: ImagesFolder | None = setting(None, "training images, instead of <dataset-folder>/train")
    val_folder: ImagesFolder | None = setting(None, "contains database/ and queries/, instead of <dataset-folder>/val")
    test_folder: ImagesFolder | None = setting(
        None, "contains database/ and the queries, instead of <dataset-folder>/test"
    )
    photos_folder: ImagesFolder | None = setting(
        None, "one folder of photos, instead of <dataset-folder>; --split divides it into training, val and test sets"
    )
    test_queries: str = setting("queries_v1", "name of the queries' folder in the test folder")
    lists_folder: Path | None = setting(
        None,
        "lists of images at URLs, instead of listing the bucket: train_images_paths.txt, "
        "val/database_images_paths.txt and so on",
    )

    def has_own_folder(self, part: str) -> bool:
        """Return whether the split of a part has a folder option of its own."""
        return part != PHOTOS and getattr(self, f"{part.partition('/')[0]}_folder") is not None

    def list_file(self, part: str) -> Path | None:
        """Return the list of the images of a part, given for images at URLs.

        Raises:
            UserError: There is a folder of lists, but not with this list.
        """
        if self.lists_folder is None or isinstance(self.images(part), Path):
            return None
        name = f"test/{self.test_queries}" if part == "test/queries" else part
        file = self.lists_folder / f"{name}{LIST_SUFFIX}"
        if not file.is_file():
            raise UserError(f"lists_folder = {self.lists_folder}: no list {file} of the images at {self.images(part)}.")
        return file

    def images(self, part: str) -> ImagesFolder:
        """Return the folder of the images of a part, one of `PARTS` or `PHOTOS`.

        Raises:
            UserError: No option gives it.
        """
        if self.photos_folder is not None and not self.has_own_folder(part):
            return self.photos_folder
        if part == PHOTOS:
            raise UserError("No photos given. Pass --photos-folder.")
        split, _, role = part.partition("/")
        own: ImagesFolder | None = getattr(self, f"{split}_folder")
        if own is None:
            if self.dataset_folder is None:
                raise UserError(f"No {SPLITS[split]} images given. Pass --dataset-folder or --{split}-folder.")
            own = self.dataset_folder / split
        return own / (self.test_queries if part == "test/queries" else role)
