"""Tasks from manifests to groups and packs."""

import functools
from pathlib import Path
from typing import Any

from data_manifest.images.data_set_names import data_set_identity
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from luigi_tasks.data.manifests import DATA_KINDS, StageOfImages, VerifyImages
from luigi_tasks.parameters import takes
from luigi_tasks.stage import Stage
from pipeline.execution.dask_cluster import ClusterSettings
from pipeline.groups.build_groups import build_groups, groups_recipe
from pipeline.groups.settings import GroupSettings
from pipeline.manifest.settings import SplitSettings
from pipeline.packs.pack_groups import pack_groups, packs_recipe
from pipeline.packs.plan_shards import GroupStates, stat_groups
from pipeline.packs.settings import PackSettings
from pipeline.verification.drop_bad_images import drop_bad_images, verified_by, verified_recipe
from pipeline.verification.settings import NO, VerifiedSettings, VerifySettings
from training.data.groups import choose_groups
from training.settings import ChosenGroups, GroupNumbers

pinned_group_files = functools.cache(stat_groups)
resolved_path = functools.cache(Path.resolve)  # so that `current` leads to the same artifact during a command


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
