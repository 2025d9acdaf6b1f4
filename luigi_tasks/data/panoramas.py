"""The task from panoramas to crops."""

import functools
from pathlib import Path

from data_manifest.images.images_folder import ImagesFolder
from data_manifest.store.recipe import Recipe
from luigi_tasks.data.manifests import pinned_listing
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage
from pipeline.dataset_layout import ArtifactsSettings, ScanSettings
from pipeline.execution.dask_cluster import ClusterSettings
from pipeline.panoramas.crop_panoramas import crop_panoramas, crops_recipe
from pipeline.panoramas.settings import CropFolders, CropSettings
from pipeline.sources.make_source import make_source
from pipeline.sources.settings import SourceSettings

PANORAMAS = "panoramas"  # takes the place of a part of the data set


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
