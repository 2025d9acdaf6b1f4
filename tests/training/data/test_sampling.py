from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.sampling import EpochPlan, Stream, derive_seed


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


def test_images_of_a_class_are_drawn_uniformly() -> None:
    plan = EpochPlan(10, 10, 600, seed=0, epoch=0)
    counts = Counter(plan.image_number(sample, 6) for sample in range(plan.num_samples))
    assert set(counts) == set(range(6))
    assert max(abs(count - 1000) for count in counts.values()) < 5 * (6000 * 1 / 6 * 5 / 6) ** 0.5


def test_seeds_are_stable_across_versions() -> None:
    assert derive_seed(Stream.IMAGE, 0, 0, 0) == 3717377837946358015
    assert derive_seed(Stream.STEP, 1, 2, 3) == 6530208866956668065
