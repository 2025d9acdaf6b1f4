import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from training.data.sampling import EpochPlan, Stream, derive_seed, splitmix64

SAMPLES, IMAGES = 100_000, 20
MIN_P = 1e-4  # of about 20 chi-square tests of fixed seeds


def _classes(plan: EpochPlan) -> list[int]:
    return [plan.class_index(sample) for sample in range(plan.num_samples)]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 15), st.integers(0, 2**40))
def test_batches_have_distinct_classes_and_passes_no_repeats(
    more_classes: int, batch_size: int, iterations: int, seed: int
) -> None:
    num_classes = batch_size + more_classes - 1
    plan = EpochPlan(num_classes, batch_size, iterations, seed, epoch=2)
    shown = _classes(plan)
    assert len(shown) == iterations * batch_size
    batches_per_pass = num_classes // batch_size
    for begin in range(0, len(shown), batches_per_pass * batch_size):
        whole_pass = shown[begin : begin + batches_per_pass * batch_size]
        assert len(set(whole_pass)) == len(whole_pass)
        assert all(0 <= class_index < num_classes for class_index in whole_pass)


def test_full_pass_shows_each_class_once_in_a_new_order() -> None:
    shown = _classes(EpochPlan(num_classes=12, batch_size=4, iterations=6, seed=0, epoch=0))
    assert sorted(shown[:12]) == sorted(shown[12:]) == list(range(12))
    assert shown[:12] != shown[12:]


def test_samples_do_not_depend_on_earlier_calls() -> None:
    forward = EpochPlan(20, 3, 30, seed=5, epoch=1)
    expected = [(forward.class_index(n), forward.image_number(n, 9), forward.augmentation_seed(n)) for n in range(90)]
    for n in reversed(range(90)):
        again = EpochPlan(20, 3, 30, seed=5, epoch=1)
        assert (again.class_index(n), again.image_number(n, 9), again.augmentation_seed(n)) == expected[n]


def test_seed_and_epoch_change_order_images_and_augmentation() -> None:
    plans = [EpochPlan(50, 5, 10, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(_classes(plan)) for plan in plans}) == 3
    assert len({tuple(plan.image_number(n, 1000) for n in range(50)) for plan in plans}) == 3
    assert len({plan.augmentation_seed(7) for plan in plans}) == 3


def _images(seed: int = 0, epoch: int = 0, num_images: int = IMAGES) -> np.ndarray:
    plan = EpochPlan(num_classes=100, batch_size=10, iterations=SAMPLES // 10, seed=seed, epoch=epoch)
    return plan.image_numbers(np.arange(SAMPLES), np.full(SAMPLES, num_images))


def _assert_uniform(numbers: np.ndarray, num_kinds: int) -> None:
    counts = np.bincount(numbers, minlength=num_kinds)
    assert len(counts) == num_kinds
    assert chisquare(counts).pvalue > MIN_P


def test_splitmix64_gives_its_published_outputs() -> None:
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [splitmix64(1234567, position) for position in range(4)] == outputs
    assert splitmix64(1234567, np.arange(4, dtype=np.uint64)).tolist() == outputs


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 15), st.integers(0, 2**40), st.data())
def test_arrays_of_samples_give_the_same_as_single_samples(
    more_classes: int, batch_size: int, iterations: int, seed: int, data: st.DataObject
) -> None:
    plan = EpochPlan(batch_size + more_classes - 1, batch_size, iterations, seed, epoch=3)
    chosen = data.draw(st.lists(st.integers(0, plan.num_samples - 1), min_size=1))
    sizes = data.draw(st.lists(st.integers(1, 2**31), min_size=len(chosen), max_size=len(chosen)))
    samples, num_images = np.array(chosen), np.array(sizes)
    assert plan.class_indices(samples).tolist() == [plan.class_index(sample) for sample in chosen]
    expected = [plan.image_number(sample, size) for sample, size in zip(chosen, sizes, strict=True)]
    assert plan.image_numbers(samples, num_images).tolist() == expected


@pytest.mark.parametrize("num_images", [2, 7, 20, 64, 1000])
def test_images_of_a_class_are_drawn_uniformly(num_images: int) -> None:
    _assert_uniform(_images(num_images=num_images), num_images)


@pytest.mark.parametrize("distance", [1, 2, 10, 32, 1024])
def test_images_of_near_samples_are_independent(distance: int) -> None:
    numbers = _images()
    _assert_uniform(IMAGES * numbers[:-distance] + numbers[distance:], IMAGES**2)


def test_images_of_near_epochs_and_seeds_are_independent() -> None:
    first = _images()
    for other in (_images(epoch=1), _images(epoch=8), _images(seed=1), _images(seed=2**40), _images(seed=1, epoch=1)):
        _assert_uniform(IMAGES * first + other, IMAGES**2)


def test_images_of_a_class_over_the_epochs_are_independent() -> None:
    """The first sample of each of many epochs, in pairs of successive epochs."""
    plans = [EpochPlan(10, 10, 10, seed=0, epoch=epoch) for epoch in range(4000)]
    numbers = [plan.image_number(0, 4) for plan in plans]
    pairs = [4 * some + other for some, other in itertools.pairwise(numbers)]
    _assert_uniform(np.array(pairs), 16)


def test_an_epoch_reads_the_expected_share_of_its_group() -> None:
    """A class of 20 images shown 9 or 10 times: 37 % of 35,000 such classes in an epoch, 75 % after three."""
    seen = np.zeros(35_000 * IMAGES, bool)
    shares = []
    for epoch in (0, 8, 16):
        plan = EpochPlan(35_000, 32, 10_000, seed=0, epoch=epoch)
        samples = np.arange(plan.num_samples)
        numbers = plan.image_numbers(samples, np.full(len(samples), IMAGES))
        seen[plan.class_indices(samples) * IMAGES + numbers] = True
        shares.append(seen.mean())
    times = 320_000 / 35_000
    assert shares == pytest.approx([1 - (1 - 1 / IMAGES) ** (times * visits) for visits in (1, 2, 3)], abs=2e-3)
    assert [round(share, 2) for share in shares] == [0.37, 0.61, 0.75]


def test_unreadable_images_are_replaced_by_each_other_image_once() -> None:
    plan = EpochPlan(10, 10, 10, seed=0, epoch=0)
    for sample in range(100):
        tried = list(plan.images_to_try(sample, 6))
        assert tried[0] == plan.image_number(sample, 6)
        assert sorted(tried) == list(range(6))


def test_seeds_are_stable_across_versions() -> None:
    assert derive_seed(Stream.IMAGE, 0, 0, 0) == 3717377837946358015
    assert derive_seed(Stream.STEP, 1, 2, 3) == 6530208866956668065
