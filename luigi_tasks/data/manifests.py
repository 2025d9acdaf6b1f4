"""Tasks from images to manifests, and the checks of images."""

import functools
from pathlib import Path

from data_manifest.images.data_set_names import data_set_name
from data_manifest.images.file_states import ImageStates, stat_manifest
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.store.recipe import Recipe, is_published
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage
from pipeline.dataset_layout import PHOTOS, ArtifactsSettings, DatasetSettings, PartSettings, ScanSettings
from pipeline.execution.dask_cluster import ClusterSettings
from pipeline.listing.list_images import Listing, list_images
from pipeline.manifest.build_manifest import build_manifest, manifest_recipe
from pipeline.manifest.settings import NONE as UNSPLIT
from pipeline.manifest.settings import SplitSettings
from pipeline.manifest.split_manifest import split_manifest, split_recipe
from pipeline.sources.keys_source import KEYS_SOURCE
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.sources.source import Source
from pipeline.verification.settings import CheckSettings, VerifySettings
from pipeline.verification.verify_images import checks_recipe, verify_images

DATA_KINDS = DatasetSettings, ScanSettings, ArtifactsSettings, SourceSettings
Where = tuple[ImagesFolder, Path, bool, Path | None]  # arguments of `list_images`
# Inputs are pinned: each is read once per process, so that later changes only affect the next command.
pinned_listing = functools.cache(list_images)
pinned_files = functools.cache(stat_manifest)


@functools.cache  # EXIF needs the modification time of each file
def pinned_recipe(where: Where, strict: bool, source: SourceSettings | None, part: str) -> Recipe:
    """Return the recipe of a manifest; without source settings, of images without positions."""
    images_folder, artifacts, *_ = where
    listing = pinned_listing(*where)  # first: a folder that cannot be listed gets no name in the artifacts folder
    return manifest_recipe(data_set_name(images_folder, artifacts), listing, strict, _source(source, part))


def forget_inputs() -> None:
    """Clear the caches of inputs, as a new command would begin."""
    for pinned in (pinned_listing, pinned_files, pinned_recipe):
        pinned.cache_clear()


def _source(settings: SourceSettings | None, part: str) -> Source:
    return KEYS_SOURCE if settings is None else make_source(settings, part)


@takes(*DATA_KINDS, PartSettings, ClusterSettings)
class BuildManifest(Stage):
    """Build the manifest and the rejects of a part of a data set from file names, a table, or EXIF."""

    part: str
    by_names: bool
    without_positions: bool

    @property
    def strict(self) -> bool:
        """Whether doubtful images are rejected."""
        return self.part in ("train", PHOTOS)

    @property
    def images_folder(self) -> ImagesFolder:
        return self.dataset.images(self.part)

    def source_settings(self) -> SourceSettings | None:
        """Return the source of the metadata: file names for a named test set, None for images without positions."""
        if self.without_positions:
            return None
        return SourceSettings() if self.by_names else self.settings(SourceSettings)

    def where(self) -> Where:
        """Return where the images are listed."""
        return self.images_folder, self.artifacts_folder, self.rescan, self.dataset.list_file(self.part)

    def listing(self) -> Listing:
        """Return the images as they were when the command started."""
        return pinned_listing(*self.where())

    def recipe(self) -> Recipe:
        return pinned_recipe(self.where(), self.strict, self.source_settings(), self.part)

    def run(self) -> None:
        with self.executor() as executor:
            build_manifest(
                self.images_folder,
                self.artifacts_folder,
                strict=self.strict,
                listing=self.listing(),
                on_percentage=self.set_progress_percentage,
                executor=executor,
                source=_source(self.source_settings(), self.part),
            )


@takes(*DATA_KINDS, SplitSettings, PartSettings, ClusterSettings)
class SplitDataset(Stage):
    """Split the manifest of one folder of photos into training, validation and test sets."""

    part: str

    def requires(self) -> BuildManifest:
        manifest: BuildManifest = self.clone(BuildManifest, part=PHOTOS)
        return manifest

    @property
    def images_folder(self) -> ImagesFolder:
        return self.dataset.images(PHOTOS)

    def recipe(self) -> Recipe:
        manifest = self.requires().recipe()
        return split_recipe(self.part, manifest.name, manifest.digest, self.settings(SplitSettings))

    def run(self) -> None:
        split_manifest(self.requires().artifact(), self.artifacts_folder, self.settings(SplitSettings))


Manifest = BuildManifest | SplitDataset


class StageOfImages(Stage):
    """A stage that reads parts of a data set."""

    def manifest_of(self, part: str) -> Manifest:
        """Return the task of the manifest of a part."""
        is_of_photos = self.dataset.photos_folder and part != PHOTOS and not self.dataset.has_own_folder(part)
        is_split = is_of_photos and self.settings(SplitSettings).split != UNSPLIT
        task: Manifest = self.clone(SplitDataset if is_split else BuildManifest, part=part)
        return task

    def manifests(self, split: str) -> list[Manifest]:
        """Return the tasks of the manifests of the database and the queries of a split."""
        return [self.manifest_of(f"{split}/{role}") for role in ("database", "queries")]


def check_first_images(manifests: list[Manifest]) -> None:
    """Check that the first image of each manifest can be read, except for photos, which have been read already.

    Called from `requires`, so that Luigi schedules nothing if it fails.

    Raises:
        UserError: A folder is missing or empty, or its first image is broken.
    """
    for manifest in manifests:
        if isinstance(manifest, BuildManifest):
            _check_first_image(manifest)


@functools.cache
def _check_first_image(manifest: BuildManifest) -> None:
    from pipeline.listing.check_first_image import check_first_image

    check_first_image(manifest.listing(), manifest.images_folder)


def files_of(manifest: Manifest) -> ImageStates:
    """Return the states of the image files of a manifest; empty until it is published."""
    folder = manifest.artifact()
    return pinned_files(folder, manifest.images_folder) if is_published(folder) else ImageStates(())


@takes(*DATA_KINDS, SplitSettings, PartSettings, CheckSettings, VerifySettings, ClusterSettings)
class VerifyImages(StageOfImages):
    """Check which images of a part of a data set can be read, and list what is wrong with the others."""

    part: str
    check: str

    def requires(self) -> Manifest:
        return self.manifest_of(self.part)

    def recipe(self) -> Recipe:
        manifest, settings = self.requires(), self.settings(VerifySettings)
        stored = manifest.recipe().stored()
        return checks_recipe(stored, manifest.images_folder, files_of(manifest), self.check, settings)

    def run(self) -> None:
        manifest = self.requires()
        with self.executor() as executor:
            verify_images(
                manifest.artifact(),
                manifest.images_folder,
                self.artifacts_folder,
                self.check,
                self.settings(VerifySettings),
                files=files_of(manifest),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )
