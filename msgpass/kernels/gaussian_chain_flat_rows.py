"""What rows so far say of a state whose start is flat, row by row until nothing is open."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_chain_flat import Determined
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays, at

Moments = tuple[np.ndarray, np.ndarray]
"""Means and covariances."""


def given(delta: Determined, columns: np.ndarray, cov: np.ndarray) -> Moments:
    """Moments of x = columns (1, δ) + N(0, cov) for columns (n, 1 + d).

    Coordinates that depend on what is open have mean NaN, variance inf and covariances NaN.
    """
    spread = columns[:, 1:] @ delta.root
    mean, cov = columns[:, 0] + columns[:, 1:] @ delta.mean, cov + spread @ spread.T
    if delta.free.size:
        size = (np.abs(columns[:, 1:]) @ np.abs(delta.free)).max()
        loose = (np.abs(columns[:, 1:] @ delta.free) > 1e-9 * size).any(1)
        mean[loose], cov[loose], cov[:, loose] = np.nan, np.nan, np.nan
        cov[loose, loose] = np.inf
    return mean, cov


class Tails(NamedTuple):
    """The ends of sequences as sequences of their own, and their rows in the whole."""

    arrays: GaussianChainArrays
    rows: np.ndarray


def tails_of(arrays: GaussianChainArrays, begins: np.ndarray, filtered: Moments) -> Tails | None:
    """Rows from ``begins`` (N,) on, which start from the filtered moments of the row before."""
    owners = np.flatnonzero(begins < arrays.offsets[1:])
    if not owners.size:
        return None
    mean, cov, rows, pairs = [], [], [], []
    for k in owners:
        t = begins[k]
        F, Q, b = (at(part, t - 1 - k) for part in (arrays.F, arrays.Q, arrays.b))
        mean.append(F @ filtered[0][t - 1] + b)
        cov.append(F @ filtered[1][t - 1] @ F.T + Q)
        rows.append(np.arange(t, arrays.offsets[k + 1]))
        pairs.append(rows[-1][:-1] - k)
    lengths, row, pair = [len(part) for part in rows], np.concatenate(rows), np.concatenate(pairs)
    own = arrays._replace(
        mean=np.array(mean),
        cov=np.array(cov),
        flat=arrays.flat[:, :0],
        y=arrays.y[row],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        **{name: _of(getattr(arrays, name), pair) for name in ("F", "Q", "b")},
        **{name: _of(getattr(arrays, name), row) for name in ("H", "R")},
    )
    return Tails(own, row)


def _of(part: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return part if len(part) == 1 else part[rows]
