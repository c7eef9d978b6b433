"""What a fit to batches must know of all data beforehand: how many there are, and how they spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hmm.emissions.statistics import Spread
from hmm.sample import Sample


@dataclass(frozen=True, eq=False)
class Survey:
    """A look at data; those of batches add up.

    Parameters
    ----------
    rows, sequences : int
    spread : Spread
        Of the columns of observations.
    lowest, highest : float
        What a row sums to, at least and at most; NaN where cells are missing.
    """

    rows: int
    sequences: int
    spread: Spread
    lowest: float
    highest: float

    @classmethod
    def of(cls, sample: Sample) -> Survey:
        """Of some sequences."""
        sums = sample.X.sum(axis=1)
        return cls(
            len(sample.X), len(sample.lengths), Spread.of(sample.X), float(sums.min()), float(sums.max())
        )

    def __add__(self, other: Survey) -> Survey:
        return Survey(
            self.rows + other.rows,
            self.sequences + other.sequences,
            self.spread + other.spread,
            float(np.minimum(self.lowest, other.lowest)),
            float(np.maximum(self.highest, other.highest)),
        )

    def of_columns(self, columns: Sequence[int]) -> Survey:
        """Of some columns; what those of a row sum to is not known."""
        spread = Spread(*(array[list(columns)] for array in self.spread.arrays().values()))
        return replace(self, spread=spread, lowest=float("nan"), highest=float("nan"))

    def plain(self) -> dict[str, Any]:
        """Numbers and arrays."""
        own = {name: getattr(self, name) for name in ("rows", "sequences", "lowest", "highest")}
        return {**own, "spread": self.spread.arrays()}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Survey:
        """The inverse of ``plain``."""
        return cls(**{**plain, "spread": Spread(**plain["spread"])})
