"""Columns of texts and their bytes, for `groups/spread.py`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.listing.lines import flat_bytes


@dataclass(frozen=True)
class Texts:
    """A column of texts."""

    column: pl.Series

    @staticmethod
    def of_column(texts: pl.Series) -> "Texts":
        """Return a column of texts or bytes, without nulls."""
        return Texts(texts.cast(pl.Binary))

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each text begins."""
        return flat_bytes(self.column)[1][:-1]

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """Where each text ends."""
        return flat_bytes(self.column)[1][1:]

    @property
    def content(self) -> npt.NDArray[np.uint8]:
        """The bytes of all."""
        return flat_bytes(self.column)[0]

    def take(self, rows: npt.NDArray[np.int64]) -> "Texts":
        """Return some of the texts."""
        return Texts(self.column.gather(rows))
