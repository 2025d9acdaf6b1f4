import numpy as np
from cosplace.demo.city.layout import ORIGIN_EAST, ORIGIN_NORTH, STREET_M, make_plan
from cosplace.demo.city.settings import CitySettings


def test_places_are_spaced_in_streets_at_cell_centres() -> None:
    plan = make_plan(CitySettings(places=33, spacing=20))
    assert plan.places.shape == (33, 2)
    apart = np.hypot(*(plan.places[:, None] - plan.places[None]).transpose(2, 0, 1))
    assert apart[~np.eye(33, dtype=bool)].min() >= 20 * 0.999
    for x, y in plan.places:
        assert x in plan.streets or y in plan.streets
        assert ((ORIGIN_EAST + x) % 10, (ORIGIN_NORTH + y) % 10) == (5, 5)


def test_lots_do_not_overlap_streets_or_lots() -> None:
    plan = make_plan(CitySettings(places=8, spacing=30))
    for number, lot in enumerate(plan.lots):
        west, south, east, north = lot.ground
        assert west < east
        assert south < north
        for line in plan.streets:
            assert east <= line - STREET_M / 2 + 1e-9 or west >= line + STREET_M / 2 - 1e-9
            assert north <= line - STREET_M / 2 + 1e-9 or south >= line + STREET_M / 2 - 1e-9
        for other in plan.lots[:number]:
            wide = min(east, other.ground[2]) - max(west, other.ground[0])
            deep = min(north, other.ground[3]) - max(south, other.ground[1])
            assert min(wide, deep) < 1e-6


def test_city_grows_with_the_places() -> None:
    assert len(make_plan(CitySettings(places=8, spacing=30)).streets) == 2
    assert len(make_plan(CitySettings(places=40, spacing=30)).streets) == 4
