"""Grid refinement: how −∇(log β_t + local evidence) tends to BPTT's cotangent (identity 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.errors import DataError
from rnn.dbn.network import DBN, as_dbn


@dataclass(frozen=True, eq=False)
class Refinement:
    """Errors by noise and grid, made by :func:`refine`.

    Attributes
    ----------
    sigmas : (S,) array
        Decreasing.
    cells : (C,) int array
        Points an axis; increasing.
    slopes : (S, C, T, D) array
        −∇(log β_t + local evidence) at the visited states.
    cotangents : (T, D) array
        From BPTT.
    spacing : (C,) array
        Largest distance of grid points, over all axes.
    """

    sigmas: np.ndarray
    cells: np.ndarray
    slopes: np.ndarray
    cotangents: np.ndarray
    spacing: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Largest |slope − cotangent| over the largest |cotangent|, (S, C)."""
        return self._relative(self.slopes)

    @property
    def rate(self) -> float:
        """Exponent r of error ∝ σ^r on the finest grid, over the noises that it resolves; 2 in theory."""
        seen = self.sigmas >= self.spacing[-1]
        errors = self.errors[seen, -1]
        if seen.sum() < 2 or not (errors > 0).all():
            return float("nan")
        return float(np.polyfit(np.log(self.sigmas[seen]), np.log(errors), 1)[0])

    @property
    def extrapolated(self) -> float:
        """Error, on the finest grid, of the limit σ → 0 that the two smallest resolved noises tell.

        The error is a series in σ², whose first term two noises take away (Richardson).
        """
        seen = np.flatnonzero(self.sigmas >= self.spacing[-1])
        if len(seen) < 2:
            return float("nan")
        a, b = seen[-2:]
        wide, narrow = self.sigmas[a] ** 2, self.sigmas[b] ** 2
        limit = (wide * self.slopes[b, -1] - narrow * self.slopes[a, -1]) / (wide - narrow)
        return float(self._relative(limit))

    def _relative(self, slopes: np.ndarray) -> np.ndarray:
        gap = np.abs(slopes - self.cotangents).max(axis=(-2, -1))
        size = np.abs(self.cotangents).max(initial=0.0)
        return gap / size if size else gap

    def to_frame(self):
        """One row a (σ, cells): spacing and error."""
        from msgpass.optional import pandas

        sigma, cells = np.meshgrid(self.sigmas, self.cells, indexing="ij")
        spacing = np.broadcast_to(self.spacing, sigma.shape)
        columns = {"sigma": sigma, "cells": cells, "spacing": spacing, "error": self.errors}
        return pandas().DataFrame({name: values.ravel() for name, values in columns.items()})

    def plot(self, ax=None):
        """Error by σ, a line a grid; returns matplotlib axes."""
        from rnn.dbn.plot import plot_refinement

        return plot_refinement(self, ax)

    def __repr__(self) -> str:
        rows = ["σ \\ cells " + "".join(f"{c:>10}" for c in self.cells)]
        for sigma, errors in zip(self.sigmas, self.errors, strict=True):
            rows.append(f"{sigma:<10.4g}" + "".join(f"{e:>10.1e}" for e in errors))
        return "\n".join([*rows, f"error ∝ σ^{self.rate:.2f} on the finest grid"])


def refine(net, x=None, loss=None, sigmas=(0.2, 0.1, 0.05), cells=(21, 41, 81), **data: Any) -> Refinement:
    """Discretise a network with less and less noise on finer and finer grids, and compare with BPTT.

    Parameters
    ----------
    net, x, loss, **data
        As for :func:`as_dbn`; or a DBN.
    sigmas : sequence of float
        Standard deviations of the noise.
    cells : sequence of int
        Grid points an axis. All grids lie over the box that the largest noise reaches.

    Returns
    -------
    Refinement

    Notes
    -----
    Noise moves the slope by a term of order σ²; a grid that is coarser than the noise loses the noise, and
    with it the slope: there the error stops falling, and rises.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, SquaredError
    >>> x, y = np.array([[0.5], [-0.3], [0.8]]), np.array([[0.1], [0.0], [0.4]])
    >>> curve = refine(RNN(1, 1, random_state=0), x, SquaredError(y), (0.1, 0.05), (41, 81))
    >>> abs(curve.rate - 2) < 0.05
    True
    """
    dbn = given(net, x, loss, data)
    noise = np.sort(np.unique(_positive("sigmas", sigmas)))[::-1]
    counts = np.sort(np.unique(_positive("cells", cells).astype(int)))
    from rnn.dbn.grids import reached

    low, high = reached(dbn.slices, np.full(dbn.slices.size, noise[0]))
    grids = [[np.linspace(a, b, n) for a, b in zip(low, high, strict=True)] for n in counts]
    slopes = np.array([[dbn.discretize(s, grid=g).slopes for g in grids] for s in noise])
    spacing = np.array([max(a[1] - a[0] for a in g) for g in grids])
    return Refinement(noise, counts, slopes, dbn.cotangents, spacing)


def given(net, x, loss, data) -> DBN:
    """A DBN as it is, or that of a network with data."""
    if not isinstance(net, DBN):
        return as_dbn(net, x, loss, **data)
    if x is not None or loss is not None or data:
        raise DataError("a DBN has its data; give it alone, or a network with x and loss")
    return net


def _positive(name: str, values) -> np.ndarray:
    array = np.atleast_1d(np.asarray(values, float))
    if array.ndim != 1 or not array.size or not (np.isfinite(array) & (array > 0)).all():
        raise DataError(f"{name} must be positive numbers, got {values!r}")
    return array
