"""Names in SF-XL's form, and listings that need no files."""

from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import pytest

from pipeline.listing import Listing
from pipeline.names import FIELDS

SAN_FRANCISCO = {
    **{"utm_east": "0545981.19", "utm_north": "4184971.70", "utm_zone": "10", "utm_band": "S"},
    **{"latitude": "037.81098", "longitude": "-122.47762", "pano_id": "rtCs5-P_9NGDzUbKyzStWA", "heading": "174"},
    **{"timestamp": "201409", "extension": ".jpg"},
}


@pytest.fixture
def name_with() -> Callable[..., str]:
    """Return a usable name of SF-XL with the given fields in place of its own."""

    def name_with(**fields: object) -> str:
        unknown = set(fields) - set(FIELDS)
        assert not unknown, unknown
        return "@".join(str({**SAN_FRANCISCO, **fields}.get(field, "")) for field in FIELDS)

    return name_with


@pytest.fixture
def listing_of(tmp_path: Path) -> Callable[..., Listing]:
    """Return a listing of paths, as text or bytes, of a folder tmp_path/train that need not be there."""

    def listing_of(paths: Iterable[str | bytes], repeats: int = 0) -> Listing:
        distinct = sorted({path.encode() if isinstance(path, str) else path for path in paths})
        return Listing(tmp_path / "train", pl.Series("path", distinct, dtype=pl.Binary), repeats)

    return listing_of
