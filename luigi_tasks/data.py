"""From images to manifests and groups."""

import functools
from pathlib import Path

from data_manifest.images.data_set_names import data_set_name
from data_manifest.images.file_states import ImageStates, stat_manifest
from data_manifest.store.recipe import Recipe, is_published
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage
from pipeline.dataset_layout import PHOTOS, DatasetSettings, PartSettings
from pipeline.execution.dask_cluster import ClusterSettings
from pipeline.groups.build_groups import build_groups, groups_recipe
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import Listing, list_images
from pipeline.manifest.build_manifest import build_manifest, manifest_recipe
from pipeline.manifest.split_manifest import NONE as UNSPLIT
from pipeline.manifest.split_manifest import SplitSettings, part_name, split_manifest, split_recipe
from pipeline.panoramas.crop_panoramas import crop_panoramas, crops_recipe
from pipeline.panoramas.settings import CropFolders, CropSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.verification.drop_bad_images import leave_out_bad, verified_by, verified_recipe
from pipeline.verification.settings import NO, CheckSettings, VerifiedSettings, VerifySettings
from pipeline.verification.verify_images import checks_recipe, verify_images

PANORAMAS = "panoramas"  # in place of a part of a data set


@functools.cache
def listed(images_folder: Path, artifacts: Path, rescan: bool) -> Listing:
    """Return the images of a folder, listed once a process: what changes meanwhile is for the next command."""
    return list_images(images_folder, artifacts, rescan)


@functools.cache
def pinned_recipe(
    images_folder: Path, artifacts: Path, rescan: bool, strict: bool, source: SourceSettings, part: str
) -> Recipe:
    """Return what makes a manifest, looked up once a process: with EXIF, each file's time is asked for."""
    listing = listed(images_folder, artifacts, rescan)
    return manifest_recipe(data_set_name(images_folder, artifacts), listing, strict, make_source(source, part))


@takes(DatasetSettings, SourceSettings, PartSettings, ClusterSettings)
class BuildManifest(Stage):
    """Read what the names of a data set's images say, or a table, or EXIF, into the manifest and rejects tables."""

    part: str
    by_names: bool

    @property
    def strict(self) -> bool:
        """Whether doubtful images are rejected."""
        return self.part in ("train", PHOTOS)

    @property
    def images_folder(self) -> Path:
        """Where the images lie."""
        return self.dataset.images(self.part)

    def name(self) -> str:
        """Return what the images are called among the artifacts."""
        return data_set_name(self.images_folder, self.dataset.artifacts_folder)

    def recipe(self) -> Recipe:
        """Return what makes the manifest."""
        dataset = self.dataset
        return pinned_recipe(
            self.images_folder, dataset.artifacts_folder, dataset.rescan, self.strict, self.source_settings(), self.part
        )

    def source_settings(self) -> SourceSettings:
        """Return where it is written what the images are: for a published test set, in its names."""
        return SourceSettings() if self.by_names else self.settings(SourceSettings)

    def listing(self) -> Listing:
        """Return the images, as they were when the command started."""
        return listed(self.images_folder, self.dataset.artifacts_folder, self.dataset.rescan)

    def run(self) -> None:
        """Build the manifest."""
        with self.executor() as executor:
            build_manifest(
                self.images_folder,
                self.dataset.artifacts_folder,
                strict=self.strict,
                listing=self.listing(),
                on_percentage=self.set_progress_percentage,
                executor=executor,
                source=make_source(self.source_settings(), self.part),
            )


@takes(DatasetSettings, SourceSettings, SplitSettings, PartSettings, ClusterSettings)
class SplitDataset(Stage):
    """Make the manifests of training, validation and test sets from that of one folder of photos."""

    part: str

    def requires(self) -> BuildManifest:
        """The manifest of all photos."""
        manifest: BuildManifest = self.clone(BuildManifest, part=PHOTOS)
        return manifest

    @property
    def images_folder(self) -> Path:
        """Where the images lie: those of every part are in the one folder."""
        return self.dataset.images(PHOTOS)

    def name(self) -> str:
        """Return what the part is called among the artifacts."""
        return part_name(data_set_name(self.images_folder, self.dataset.artifacts_folder), self.part)

    def recipe(self) -> Recipe:
        """Return what makes the manifest of the part."""
        manifest = self.requires().recipe()
        return split_recipe(self.part, manifest.name, manifest.digest, self.settings(SplitSettings))

    def run(self) -> None:
        """Write the manifests of all parts."""
        split_manifest(self.requires().artifact(), self.dataset.artifacts_folder, self.settings(SplitSettings))


class StageOfImages(Stage):
    """A stage that works on parts of a data set."""

    def manifest_of(self, part: str) -> "BuildManifest | SplitDataset":
        """Return the task that makes the manifest of a part of the data set."""
        of_photos = self.dataset.photos_folder and part != PHOTOS and not self.dataset.has_own_folder(part)
        is_split = of_photos and self.settings(SplitSettings).split != UNSPLIT
        task: BuildManifest | SplitDataset = self.clone(SplitDataset if is_split else BuildManifest, part=part)
        return task

    def manifests(self, split: str) -> list["BuildManifest | SplitDataset"]:
        """Return the tasks that make the manifests of a split's database and queries."""
        return [self.manifest_of(f"{split}/{role}") for role in ("database", "queries")]


pinned_files = functools.cache(stat_manifest)  # once per process, as `listed`


def files_of(manifest: BuildManifest | SplitDataset) -> ImageStates:
    """Return the file states of a manifest's images; before it is published, of no image."""
    folder = manifest.artifact()
    return pinned_files(folder, manifest.images_folder) if is_published(folder) else ImageStates(())


@takes(DatasetSettings, SourceSettings, SplitSettings, PartSettings, CheckSettings, VerifySettings, ClusterSettings)
class VerifyImages(StageOfImages):
    """Read the images of a data set, and write which of them are whole, and what is wrong with the others."""

    part: str
    check: str

    def requires(self) -> "BuildManifest | SplitDataset":
        """The manifest of these images."""
        return self.manifest_of(self.part)

    def recipe(self) -> Recipe:
        """Return what makes the checks."""
        manifest, files = self.requires(), files_of(self.requires())
        settings = self.settings(VerifySettings)
        return checks_recipe(manifest.recipe().stored(), manifest.images_folder, files, self.check, settings)

    def run(self) -> None:
        """Check the images."""
        with self.executor() as executor:
            verify_images(
                self.requires().artifact(),
                self.requires().images_folder,
                self.dataset.artifacts_folder,
                self.check,
                self.settings(VerifySettings),
                files=files_of(self.requires()),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


@takes(DatasetSettings, SourceSettings, SplitSettings, GroupSettings, VerifiedSettings, VerifySettings, ClusterSettings)
class BuildGroups(StageOfImages):
    """Assign the training images to cells, classes and groups."""

    verified: str

    def requires(self) -> Stage:
        """The manifest of the training images or, if bad ones are to be left out, their checks."""
        return self.manifest() if self.verified == NO else self.clone(VerifyImages, part="train", check=self.verified)

    def manifest(self) -> "BuildManifest | SplitDataset":
        """Return the task that makes the manifest of the training images."""
        return self.manifest_of("train")

    def recipe(self) -> Recipe:
        """Return what makes the groups."""
        images = self.manifest().recipe().stored()
        if self.verified != NO:
            images = verified_recipe(images, self.requires().recipe().stored()).stored()
        return groups_recipe(images["name"], images["digest"], self.settings(GroupSettings), verified_by(images))

    def run(self) -> None:
        """Build the groups."""
        artifacts = self.dataset.artifacts_folder
        with self.executor() as executor:
            images = self.manifest().artifact()
            if self.verified != NO:
                images = leave_out_bad(images, self.requires().artifact(), artifacts, executor)
            build_groups(
                images,
                artifacts,
                self.settings(GroupSettings),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


@functools.cache
def pinned_crops(
    panoramas_folder: Path,
    output_folder: Path,
    artifacts: Path,
    rescan: bool,
    settings: CropSettings,
    source: SourceSettings,
) -> Recipe:
    """Return what makes crops, looked up once a process: each panorama's time is asked for."""
    listing = listed(panoramas_folder, artifacts, rescan)
    return crops_recipe(panoramas_folder, output_folder, artifacts, listing, settings, make_source(source, PANORAMAS))


@takes(DatasetSettings, SourceSettings, CropFolders, CropSettings, ClusterSettings)
class CropPanoramas(Stage):
    """Cut panoramas into crops that are named as SF-XL's are."""

    def folders(self) -> tuple[Path, Path]:
        """Return the folders of the panoramas and of the crops."""
        return self.settings(CropFolders).both()

    def recipe(self) -> Recipe:
        """Return what makes the crops."""
        dataset = self.dataset
        return pinned_crops(
            *self.folders(),
            dataset.artifacts_folder,
            dataset.rescan,
            self.settings(CropSettings),
            self.settings(SourceSettings),
        )

    def complete(self) -> bool:
        """Return whether the crops were cut, and their folder is still there."""
        return self.folders()[1].is_dir() and super().complete()

    def run(self) -> None:
        """Cut the panoramas."""
        with self.executor() as executor:
            crop_panoramas(
                *self.folders(),
                self.dataset.artifacts_folder,
                self.settings(CropSettings),
                listing=listed(self.folders()[0], self.dataset.artifacts_folder, self.dataset.rescan),
                recipe=self.recipe(),
                source=make_source(self.settings(SourceSettings), PANORAMAS),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )
