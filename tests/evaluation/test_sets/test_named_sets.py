from evaluation.settings import Threshold
from evaluation.test_sets.named_sets import NAMED_SETS


def test_unexpected_counts_are_a_warning_and_rounded_ones_are_compared_as_such() -> None:
    tokyo, eynsham = NAMED_SETS["tokyo247"], NAMED_SETS["eynsham"]
    assert tokyo.warning(315, 75984) is None
    assert tokyo.warning(314, 75984) == "314 queries, published with 315"
    assert tokyo.warning(315, 1) == "1 database images, published with 75,984"
    assert eynsham.warning(23_600, 24_400) is None
    assert eynsham.warning(23_000, 24_000) == "23,000 queries, published with about 24,000"
    assert NAMED_SETS["sf-landmark"].warning(598, 1_044_999) is None


def test_only_nordland_has_thresholds_in_frames() -> None:
    frames = {name: each.threshold.value for name, each in NAMED_SETS.items() if each.threshold.unit == "frames"}
    assert frames == {"nordland": 10, "nordland-subset": 1}
    others = {each.threshold for name, each in NAMED_SETS.items() if name not in frames}
    assert others == {Threshold(25, "metres")}


def test_svox_all_has_the_queries_of_every_weather() -> None:
    weather = [each for name, each in NAMED_SETS.items() if name.startswith("svox-") and name != "svox-all"]
    assert (len(weather), sum(each.num_queries for each in weather)) == (5, 4_356)
    assert NAMED_SETS["svox-all"].warning(4_356, 17_166) is None
