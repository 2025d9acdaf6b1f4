"""Tasks from images to manifests and groups."""

import functools
from pathlib import Path
from typing import Any

from data_manifest.images.data_set_names import data_set_identity, data_set_name
from data_manifest.images.file_states import ImageStates, stat_manifest
from data_manifest.images.images_folder import ImagesFolder
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage
from pipeline.dataset_layout import PHOTOS, ArtifactsSettings, DatasetSettings, PartSettings, ScanSettings
from pipeline.execution.dask_cluster import ClusterSettings
from pipeline.groups.build_groups import build_groups, groups_recipe
from pipeline.groups.settings import GroupSettings
from pipeline.listing.list_images import Listing, list_images
from pipeline.manifest.build_manifest import build_manifest, manifest_recipe
from pipeline.manifest.settings import NONE as UNSPLIT
from pipeline.manifest.settings import SplitSettings
from pipeline.manifest.split_manifest import split_manifest, split_recipe
from pipeline.packs.pack_groups import pack_groups, packs_recipe
from pipeline.packs.plan_shards import GroupStates, stat_groups
from pipeline.packs.settings import PackSettings
from pipeline.panoramas.crop_panoramas import crop_panoramas, crops_recipe
from pipeline.panoramas.settings import CropFolders, CropSettings
from pipeline.sources.keys_source import KEYS_SOURCE
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings
from pipeline.sources.source import Source
from pipeline.verification.drop_bad_images import drop_bad_images, verified_by, verified_recipe
from pipeline.verification.settings import NO, CheckSettings, VerifiedSettings, VerifySettings
from pipeline.verification.verify_images import checks_recipe, verify_images
from training.data.groups import choose_groups
from training.settings import ChosenGroups, GroupNumbers

DATA_KINDS = DatasetSettings, ScanSettings, ArtifactsSettings, SourceSettings
Where = tuple[ImagesFolder, Path, bool, Path | None]  # arguments of `list_images`
PANORAMAS = "panoramas"  # takes the place of a part of the data set
# Inputs are pinned: each is read once per process, so that later changes only affect the next command.
pinned_listing = functools.cache(list_images)
pinned_files = functools.cache(stat_manifest)
pinned_group_files = functools.cache(stat_groups)
resolved_path = functools.cache(Path.resolve)  # so that `current` leads to the same artifact during a command


@functools.cache  # EXIF needs the modification time of each file
def pinned_recipe(where: Where, strict: bool, source: SourceSettings | None, part: str) -> Recipe:
    """Return the recipe of a manifest; without source settings, of images without positions."""
    images_folder, artifacts, *_ = where
    listing = pinned_listing(*where)  # first: a folder that cannot be listed gets no name in the artifacts folder
    return manifest_recipe(data_set_name(images_folder, artifacts), listing, strict, _source(source, part))


def forget_inputs() -> None:
    """Read inputs again from now on, as a new command would."""
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


@takes(*DATA_KINDS, SplitSettings, GroupSettings, VerifiedSettings, VerifySettings, ClusterSettings)
class BuildGroups(StageOfImages):
    """Assign the training images to cells, classes and groups."""

    verified: str

    def requires(self) -> Stage:
        if self.verified == NO:
            return self.manifest_of("train")
        checks: Stage = self.clone(VerifyImages, part="train", check=self.verified)
        return checks

    def recipe(self) -> Recipe:
        images = self.manifest_of("train").recipe().stored()
        if self.verified != NO:
            images = verified_recipe(images, self.requires().recipe().stored()).stored()
        return groups_recipe(images["name"], images["digest"], self.settings(GroupSettings), verified_by(images))

    def run(self) -> None:
        manifest = self.manifest_of("train").artifact()
        with self.executor() as executor:
            if self.verified != NO:
                manifest = drop_bad_images(manifest, self.requires().artifact(), self.artifacts_folder, executor)
            report = self.set_progress_percentage
            build_groups(
                manifest, self.artifacts_folder, self.settings(GroupSettings), on_percentage=report, executor=executor
            )


class StageOfGroups(StageOfImages):
    """A stage that reads groups: those of --groups-path, or else those of today's images."""

    def chosen_groups(self) -> Path | None:
        """Return the artifact that --groups-path led to when the command started."""
        path = self.settings(ChosenGroups).groups_path
        return path and resolved_path(path)

    def groups_folder(self) -> Path:
        """Return the folder of the groups."""
        return self.chosen_groups() or self.clone(BuildGroups).artifact()

    def groups_recipe(self) -> dict[str, Any]:
        """Return the recipe of the groups, which need not be built yet, with its digest."""
        chosen = self.chosen_groups()
        return read_recipe(chosen) if chosen else self.clone(BuildGroups).recipe().stored()


@takes(
    *(*DATA_KINDS, SplitSettings, GroupSettings, ChosenGroups, GroupNumbers, PackSettings, VerifiedSettings),
    *(VerifySettings, ClusterSettings),
)
class PackGroups(StageOfGroups):
    """Pack the images of the groups into tar files, which training reads by offset."""

    def requires(self) -> list[BuildGroups]:
        return [] if self.chosen_groups() else [self.clone(BuildGroups)]

    def files(self) -> tuple[GroupStates, ...]:
        """Return the states of the image files of the groups; empty until the groups are published."""
        folder, numbers = self.groups_folder(), self.settings(GroupNumbers)
        if not is_published(folder):
            return ()
        groups = choose_groups(folder, numbers.groups_num, 1, numbers.group_indices)
        return pinned_group_files(folder, tuple(group.index for group in groups), self.dataset.images("train"))

    def recipe(self) -> Recipe:
        identity = data_set_identity(self.dataset.images("train"), self.artifacts_folder)
        return packs_recipe(self.groups_recipe(), self.files(), identity, self.settings(PackSettings))

    def run(self) -> None:
        files = self.files()
        with self.executor() as executor:
            pack_groups(
                self.groups_folder(),
                [each.group for each in files],
                self.dataset.images("train"),
                self.artifacts_folder,
                self.settings(PackSettings),
                files=files,
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )


@functools.cache  # needs the modification time of each panorama
def pinned_crops(
    folders: tuple[ImagesFolder, Path], artifacts: Path, rescan: bool, settings: CropSettings, source: SourceSettings
) -> Recipe:
    """Return the recipe of the crops."""
    listing = pinned_listing(folders[0], artifacts, rescan)
    return crops_recipe(folders, artifacts, listing, settings, make_source(source, PANORAMAS))


@takes(ScanSettings, ArtifactsSettings, SourceSettings, CropFolders, CropSettings, ClusterSettings)
class CropPanoramas(Stage):
    """Cut panoramas into crops with SF-XL's file names."""

    def folders(self) -> tuple[ImagesFolder, Path]:
        return self.settings(CropFolders).both()

    def recipe(self) -> Recipe:
        settings, source = self.settings(CropSettings), self.settings(SourceSettings)
        return pinned_crops(self.folders(), self.artifacts_folder, self.rescan, settings, source)

    def complete(self) -> bool:
        return self.folders()[1].is_dir() and super().complete()

    def run(self) -> None:
        with self.executor() as executor:
            crop_panoramas(
                *self.folders(),
                self.artifacts_folder,
                self.settings(CropSettings),
                listing=pinned_listing(self.folders()[0], self.artifacts_folder, self.rescan),
                recipe=self.recipe(),
                source=make_source(self.settings(SourceSettings), PANORAMAS),
                on_percentage=self.set_progress_percentage,
                executor=executor,
            )
