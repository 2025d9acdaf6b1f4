"""Where the parts of a data set are, in SF-XL's layout."""

import dataclasses
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import PARTS
from data_manifest.settings import Settings, setting

PHOTOS = "photos"  # one body of photos, before it is split


@dataclasses.dataclass(frozen=True)
class PartSettings(Settings):
    """A part of a data set."""

    part: str = setting("train", "which images of the data set", choices=(*PARTS, PHOTOS))
    by_names: bool = setting(False, "the images of this part are called as SF-XL's, whatever --source says of others")


@dataclasses.dataclass(frozen=True)
class DatasetSettings(Settings):
    """The folders of a data set; `train/`, `val/` and `test/` unless told otherwise."""

    dataset_folder: Path | None = setting(
        None, "holds train/, val/{database,queries} and test/{database,queries_v1}; a part is asked for when needed"
    )
    train_folder: Path | None = setting(None, "images to train on, in place of <dataset-folder>/train")
    val_folder: Path | None = setting(None, "holds database/ and queries/, in place of <dataset-folder>/val")
    test_folder: Path | None = setting(None, "holds database/ and queries, in place of <dataset-folder>/test")
    photos_folder: Path | None = setting(
        None, "one folder of photos, in place of <dataset-folder>, which --split makes training, val and test sets of"
    )
    test_queries: str = setting("queries_v1", "name of the folder of queries in the test folder")
    rescan: bool = setting(
        False,
        "list every folder again, even if its modification time did not change: for file systems such as NFS, SMB and "
        "FUSE, where that time may be wrong. Changed image files are noticed without it",
    )
    artifacts_folder: Path = setting(Path("artifacts"), "where everything that is made goes")

    def has_own_folder(self, part: str) -> bool:
        """Return whether a folder is given for the very split that a part is of."""
        return part != PHOTOS and getattr(self, f"{part.partition('/')[0]}_folder") is not None

    def images(self, part: str) -> Path:
        """Return the folder that holds the images of a part of the data set, one of `PARTS`, or of all `PHOTOS`.

        Raises:
            UserError: Nothing says where it is.
        """
        if self.photos_folder is not None and not self.has_own_folder(part):
            return self.photos_folder
        if part == PHOTOS:
            raise UserError("where are the photos? Give --photos-folder")
        split, _, role = part.partition("/")
        own: Path | None = getattr(self, f"{split}_folder")
        if own is None and self.dataset_folder is None:
            raise UserError(f"where are the {split} images? Give --dataset-folder, or --{split}-folder")
        folder = own if own is not None else Path(self.dataset_folder or "") / split
        return folder / (self.test_queries if part == "test/queries" else role)
