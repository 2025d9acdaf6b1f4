"""Advise on a manifest's images: remarks, a grouping to train on, and the commands for it."""

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_manifest.errors import UserError
from data_manifest.images.data_set_names import data_set_name
from data_manifest.progress import working
from data_manifest.store.find import find_artifact
from data_manifest.store.recipe import CURRENT, is_published
from pipeline.groups.settings import GroupSettings
from pipeline.metadata.fields import FULL_TURN
from pipeline.planning.count_images import count_images
from pipeline.planning.image_statistics import ImageStatistics, compute_statistics
from pipeline.planning.plan_groups import EpochSettings, Plan, make_plans
from pipeline.planning.remarks import BATCH_SIZE, Remark, make_remarks
from pipeline.sources.settings import NAMES, SourceSettings

# The published grouping, then coarser ones for fewer images.
GROUPINGS = (
    GroupSettings(),
    GroupSettings(N=2, min_images_per_class=5),
    GroupSettings(M=20, alpha=60, N=3, min_images_per_class=5),
    GroupSettings(M=20, alpha=60, N=2, L=1, min_images_per_class=3),
    GroupSettings(M=30, alpha=90, N=2, L=1, min_images_per_class=3),
    GroupSettings(M=50, alpha=90, N=2, L=1, min_images_per_class=3),
)
MIN_M_OF_PHONES = 20.0  # their positions are off by 5 to 15 metres
MIN_SHARE = 0.65  # of the images that the best of the groupings trains on
PUBLISHED_GROUPS_NUM = 8


@dataclass(frozen=True)
class Advice:
    """Advice on images.

    Args:
        statistics: What it rests on.
        remarks: What is notable.
        plan: The suggested grouping; None if no grouping can be trained on.
        published: The published grouping.
        tried: All groupings that were compared.
        commands: Command lines that build the groups and train on them.
    """

    statistics: ImageStatistics
    remarks: list[Remark]
    plan: Plan | None
    published: Plan
    tried: list[Plan]
    commands: list[str]


def find_manifest(images: Path, artifacts: Path) -> Path:
    """Return the current manifest of a folder of images, or the artifact that a path means.

    Raises:
        UserError: There is none.
    """
    name = data_set_name(images, artifacts, claim=False)
    current = artifacts / "manifest" / name / CURRENT
    if is_published(current):
        return current
    if images.is_dir() and not is_published(images) and not is_published(images / CURRENT):
        raise UserError(
            f"{images}: the manifest {current} is not built yet. Run BuildManifest first, such as "
            f"luigi --module workflows BuildManifest --photos-folder {images} --part photos --source exif"
        )
    return images if is_published(images) else find_artifact(images)


def advise(manifest: Path, artifacts: Path) -> Advice:
    """Return advice on the images of a published manifest.

    Raises:
        UserError: The artifact is not a manifest.
    """
    with working("reading the manifest"):
        statistics = compute_statistics(manifest)
    candidates = _candidates(statistics)
    groupings = [*candidates, GroupSettings()]
    counts = count_images(manifest, artifacts, groupings)
    *tried, published = make_plans(counts, groupings, EpochSettings(batch_size=BATCH_SIZE))
    plan = choose_plan(tried)
    with working("checking the images"):
        remarks = list(make_remarks(statistics, None if plan is None else plan.trainable))
    return Advice(statistics, remarks, plan, published, tried, _commands(statistics, plan))


def _candidates(statistics: ImageStatistics) -> list[GroupSettings]:
    settings = [each for each in GROUPINGS if statistics.source != "exif" or each.M >= MIN_M_OF_PHONES]
    if not statistics.uses_headings:
        settings = [dataclasses.replace(each, alpha=FULL_TURN, L=1) for each in settings]
    return settings


def choose_plan(tried: Sequence[Plan]) -> Plan | None:
    """Return the first plan with at least `MIN_SHARE` of the most trainable images; None if no plan has any."""
    images = [plan.trainable["images"] for plan in tried]
    most = max(images, default=0)
    return next((plan for plan, count in zip(tried, images, strict=True) if 0 < MIN_SHARE * most <= count), None)


def _commands(statistics: ImageStatistics, plan: Plan | None) -> list[str]:
    """Return the command lines that build the groups and train on them."""
    if plan is None:
        return []
    settings = plan.settings
    grouping = (
        f"--M {settings.M:g} --alpha {settings.alpha:g} --N {settings.N} --L {settings.L} "
        f"--min-images-per-class {settings.min_images_per_class}"
    )
    trainable = plan.groups.filter("trainable")["group_index"].to_list()[:PUBLISHED_GROUPS_NUM]
    has_all = len(trainable) == min(PUBLISHED_GROUPS_NUM, len(plan.groups))
    chosen = f"--groups-num {len(trainable)}" if has_all else f"--groups {','.join(map(str, trainable))}"
    to_group, to_train = _image_options(statistics)
    luigi = "luigi --module workflows"
    return [f"{luigi} BuildGroups {to_group} {grouping}", f"{luigi} TrainCosPlace {to_train} {grouping} {chosen}"]


def _image_options(statistics: ImageStatistics) -> tuple[str, str]:
    """Return the options that name the images to group, and those to train on."""
    origin, defaults = statistics.origin, SourceSettings().as_dict()
    if statistics.source != NAMES:
        words = ["--photos-folder", str(origin)]
        for name, default in defaults.items():
            if (value := statistics.source_settings.get(name, default)) != default:
                words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
        photos = shlex.join([*words, "--split", "area"])
        return photos, photos
    if origin.name == "train" and (origin.parent / "val").is_dir():
        dataset = shlex.join(["--dataset-folder", str(origin.parent)])
        return dataset, dataset
    train = shlex.join(["--train-folder", str(origin)])
    return train, f"{train} --val-folder VAL"
