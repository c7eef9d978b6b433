"""Observations and inputs of some sequences end to end, and parameters laid out along them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hmm.state_space.space import AXES, TRANSITION, StateSpace
from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Series:
    """Data.

    Parameters
    ----------
    y : array, (T, p)
        Observations, NaN where missing.
    u : array, (T, k)
        Inputs, k may be 0.
    lengths : list of int
    """

    y: np.ndarray
    u: np.ndarray
    lengths: list[int]

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where each sequence begins, and the end, (N + 1,)."""
        return np.cumsum([0, *self.lengths])

    @cached_property
    def sources(self) -> np.ndarray:
        """Rows that are followed by another of their sequence, (T − N,)."""
        last = np.zeros(len(self.y), bool)
        last[self.offsets[1:] - 1] = True
        return np.flatnonzero(~last)

    @cached_property
    def times(self) -> np.ndarray:
        """Step of each row within its sequence, (T,)."""
        return np.arange(len(self.y)) - np.repeat(self.offsets[:-1], self.lengths)

    def extended(self, steps: int, inputs: np.ndarray | None) -> Series:
        """With ``steps`` missing rows after every sequence, (N, steps, k) their inputs."""
        N, p, k = len(self.lengths), self.y.shape[1], self.u.shape[1]
        more = np.zeros((N, steps, k)) if inputs is None else inputs
        y, u = np.split(self.y, self.offsets[1:-1]), np.split(self.u, self.offsets[1:-1])
        nothing = np.full((steps, p), np.nan)
        return Series(
            np.concatenate([part for own in y for part in (own, nothing)]),
            np.concatenate([part for own, new in zip(u, more, strict=True) for part in (own, new)]),
            [n + steps for n in self.lengths],
        )


def laid_out(space: StateSpace, name: str, series: Series) -> np.ndarray:
    """A parameter with a row for each step of the data that it acts on, or as it is where it is shared.

    A step axis has one row for each row of the data, end to end; or a row for each step of a sequence, of
    which every sequence reads those from its beginning on. A transition leads from its row to the next: the
    row of a sequence's last step is not read, and may be absent where there is one sequence.
    """
    array = getattr(space, name)
    if array.ndim == AXES[name]:
        return array
    T, longest = len(series.y), max(series.lengths)
    transition = name in TRANSITION
    rows = series.sources if transition else np.arange(T)
    if len(array) == T and len(series.lengths) > 1:
        return array[rows]
    if len(array) >= longest - transition:
        return array[series.times[rows]]
    raise ShapeError(
        f"{name}_ has {len(array)} steps, but the longest sequence has {longest}; give it a row for each step"
        + (f", or for each of the {T} rows of X" if len(series.lengths) > 1 else "")
    )


def check_inputs(u: np.ndarray, what: str = "X") -> np.ndarray:
    """Inputs are known."""
    if np.isnan(u).any():
        row, column = np.argwhere(np.isnan(u))[0]
        raise DataError(
            f"input {column} is missing at row {row} of {what}; inputs are known at every step: fill it in, "
            f"or make "
            "it an observation"
        )
    return u


def times(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Products of matrices (…, i, j), perhaps without or with one step, and vectors (T, j)."""
    return np.einsum("...ij,...j->...i", matrices, vectors)
