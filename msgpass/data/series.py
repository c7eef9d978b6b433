"""What a series is: values over time, the labels of its steps, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["counts", "real", "categorical"]
"""What the values are: non-negative whole numbers, real numbers, or codes into a list of categories."""


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """One observed sequence and what is known about it.

    Attributes
    ----------
    name, title : str
        Short name (the argument of `load`, or the column of a file) and a line to print above a figure.
    values : ndarray, shape (T,)
        int64 for counts and for category codes, float64 for real numbers; read-only. A missing value is NaN,
        which makes counts float64, or −1 among category codes: what `FactorGraph.observe` takes as missing.
    index : ndarray, shape (T,)
        Label of each step: int64 if all labels are whole numbers (years), else str ("1959Q2").
    unit : str
        Unit of the values, empty if unknown.
    kind : {"counts", "real", "categorical"}
    categories : tuple of str
        The name behind each code of a categorical series, else empty.
    source, licence : str
        Where the series comes from and on which terms.
    """

    name: str
    title: str
    values: np.ndarray
    index: np.ndarray
    unit: str
    kind: Kind
    categories: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        self.values.setflags(write=False)
        self.index.setflags(write=False)

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The values, so that a series may stand for its array."""
        return np.array(self.values, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        return f"Series({self.name!r}, {len(self)} steps {self.index[0]}-{self.index[-1]}, {self.kind})"

    @property
    def missing(self) -> np.ndarray:
        """Mask, shape (T,), of the steps that have no value."""
        return self.values < 0 if self.kind == "categorical" else np.isnan(self.values)
