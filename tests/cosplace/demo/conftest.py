"""A minimal city, and red pixels of a view."""

from pathlib import Path

import numpy as np
import pytest

from cosplace.demo.city.dataset import write_city 
from cosplace.demo.city.settings import CitySettings 

SMALLEST = CitySettings(seed=0, size=16, places=3, spacing=60, train_years=2)


@pytest.fixture(scope="session")
def smallest() -> CitySettings:
    return SMALLEST


@pytest.fixture(scope="session")
def city_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("city")
    write_city(out, SMALLEST, processes=1)
    return out


def red_pixels(view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the clearly red pixels."""
    red, green, blue = view.astype(int).transpose(2, 0, 1)
    rows, columns = np.nonzero((red > green + 60) & (red > blue + 60))
    return rows, columns


@pytest.fixture
def red() -> object:
    return red_pixels
