"""Choose a grouping to train on: the finest of several that uses most of the images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pipeline.groups.settings import GroupSettings
from pipeline.metadata.fields import FULL_TURN
from pipeline.planning.advise_training import SMALL_BATCH_SIZE, VERY_FEW_IMAGES
from pipeline.planning.count_images import count_images
from pipeline.planning.image_statistics import ImageStatistics
from pipeline.planning.plan_groups import BATCH_SIZE, EpochSettings, Plan, make_plans

# The published grouping, then coarser ones for fewer images.
GROUPINGS = (
    GroupSettings(),
    GroupSettings(N=2, min_images_per_class=5),
    GroupSettings(M=20, alpha=60, N=3, min_images_per_class=5),
    GroupSettings(M=20, alpha=60, N=2, L=1, min_images_per_class=3),
    GroupSettings(M=30, alpha=90, N=2, L=1, min_images_per_class=3),
    GroupSettings(M=50, alpha=90, N=2, L=1, min_images_per_class=3),
)
# For very few images: all classes in one group. The last one is for a single street.
SMALL_GROUPINGS = (
    GroupSettings(M=10, alpha=30, N=1, L=1, min_images_per_class=5),
    GroupSettings(M=20, alpha=60, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=20, alpha=90, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=30, alpha=90, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=50, alpha=90, N=1, L=1, min_images_per_class=3),
    GroupSettings(M=5, alpha=60, N=1, L=1, min_images_per_class=3),
)
MIN_M_OF_PHONES = 20.0  # their positions are off by 5 to 15 metres
MIN_SHARE = 0.65  # of the images that the best of the groupings trains on


@dataclasses.dataclass(frozen=True)
class Choice:
    """The suggested grouping, and those that it was compared with."""

    plan: Plan | None  # None if no grouping can be trained on
    batch_size: int  # that the groups of the plan are large enough for
    tried: list[Plan]
    published: Plan


def choose_grouping(statistics: ImageStatistics, artifacts: Path) -> Choice:
    """Return the grouping to train on for the images of a manifest."""
    groupings, small = (_usable(statistics, each) for each in (GROUPINGS, SMALL_GROUPINGS))
    groupings.append(GroupSettings())
    counts = count_images(statistics.manifest, artifacts, [*groupings, *small])
    *tried, published = make_plans(counts, groupings, EpochSettings())
    plan = choose_plan(tried)
    if plan is not None and plan.trainable["images"] >= VERY_FEW_IMAGES:
        return Choice(plan, BATCH_SIZE, tried, published)
    tried = make_plans(counts, small, EpochSettings(batch_size=SMALL_BATCH_SIZE))
    return Choice(choose_plan(tried), SMALL_BATCH_SIZE, tried, published)


def _usable(statistics: ImageStatistics, groupings: Sequence[GroupSettings]) -> list[GroupSettings]:
    """Return the groupings that suit the precision of positions and the presence of headings."""
    usable = [each for each in groupings if statistics.source != "exif" or each.M >= MIN_M_OF_PHONES]
    if statistics.uses_headings:
        return usable
    return list(dict.fromkeys(dataclasses.replace(each, alpha=FULL_TURN, L=1) for each in usable))


def choose_plan(tried: Sequence[Plan]) -> Plan | None:
    """Return the first plan with at least `MIN_SHARE` of the most trainable images; None if no plan has any."""
    images = [plan.trainable["images"] for plan in tried]
    most = max(images, default=0)
    return next((plan for plan, count in zip(tried, images, strict=True) if 0 < MIN_SHARE * most <= count), None)
