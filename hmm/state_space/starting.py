"""Where a fit starts: what is given as it is, the rest from the data.

States are read off windows of the data (principal components of rows that follow each other; Ho & Kalman
1966, van Overschee & De Moor 1996 for the idea), with mean 0 and variance 1, and the matrices by least
squares between them. This fixes the basis that a fit leaves the states in, which the likelihood does not tell
apart. Where the transition or the observation matrix is given, the basis is, too, and the rest starts from
simple values of the data's own scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmm.state_space.series import Series
from hmm.state_space.space import spectral_radius

SLOWEST = 0.999
"""Largest spectral radius of a transition that a fit starts from."""

SHARE = 0.5
"""Of the variance of an output that its noise has where a simple start must guess."""


def starting_values(
    given: dict[str, Any], series: Series, n: int, rng: np.random.Generator, first: bool = True
) -> dict[str, np.ndarray]:
    """All parameters by name.

    Parameters
    ----------
    given : dict
        Values that are taken as they are; None or absent where they come from the data.
    series : Series
    n : int
        States.
    rng : numpy.random.Generator
    first : bool
        Whether this is a fit's first start; others look at random directions of the windows.
    """
    given = {name: np.asarray(value, float) for name, value in given.items() if value is not None}
    y, k = filled(series), series.u.shape[1]
    D, d = _levels(given, y, series.u)
    size = sizes(y)
    y = y - d - series.u @ D.T
    if "transition_matrix" in given or "observation_matrix" in given:
        found = _simple(given, y, size, n, rng)
    else:
        found = _from_windows(y, size, series, n, rng, first)
    zero = {"transition_input_matrix": np.zeros((n, k)), "transition_offset": np.zeros(n)}
    return zero | {"observation_input_matrix": D, "observation_offset": d} | found | given


def sizes(y: np.ndarray) -> np.ndarray:
    """What counts as the least spread of each output: a small share of its size, that an output which never
    moves has a scale, too."""
    size = 1e-5 * np.sqrt(np.nanmean(y**2, axis=0))
    return np.where(size > 0, size, 1e-6)


def filled(series: Series) -> np.ndarray:
    """Observations with gaps bridged by straight lines within each sequence, and outputs that a sequence
    never sees at the output's mean."""
    y = series.y.copy()
    seen = ~np.isnan(y)
    counts = seen.sum(axis=0)
    means = np.where(seen, y, 0.0).sum(axis=0) / np.maximum(counts, 1)
    for begin, end in zip(series.offsets[:-1], series.offsets[1:], strict=True):
        for j in range(y.shape[1]):
            own, there = y[begin:end, j], seen[begin:end, j]
            if there.all():
                continue
            rows = np.arange(len(own))
            own[~there] = np.interp(rows[~there], rows[there], own[there]) if there.any() else means[j]
    return y


def _levels(given: dict[str, np.ndarray], y: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D, d) by least squares on the inputs, without a state."""
    D, d = (
        given[name] if name in given and given[name].ndim == axes else None
        for name, axes in (("observation_input_matrix", 2), ("observation_offset", 1))
    )
    k, p = u.shape[1], y.shape[1]
    if D is None and d is None:
        design = np.concatenate([np.ones((len(y), 1)), u], axis=1)
        W = np.linalg.lstsq(design, y, rcond=None)[0].T
        return W[:, 1:], W[:, 0]
    if D is None:
        return (np.linalg.lstsq(u, y - d, rcond=None)[0].T if k else np.zeros((p, 0))), np.asarray(d)
    return D, (y - u @ D.T).mean(axis=0) if d is None else d


def _simple(
    given: dict[str, np.ndarray], y: np.ndarray, size: np.ndarray, n: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Slow states that the outputs see at random, with half of the variance each."""
    p = y.shape[1]
    variance = np.maximum(y.var(axis=0), size**2)
    H = given.get("observation_matrix")
    if H is None:
        H = rng.normal(size=(p, n)) * np.sqrt(variance)[:, None] / np.sqrt(n)
    flat = H.reshape(-1, H.shape[-2], n).mean(axis=0) if H.ndim == 3 else H
    gain = float(np.sum(flat**2))
    spread = float(variance.sum()) * (1 - SHARE) / gain if gain > 0 else 1.0
    return {
        "transition_matrix": 0.95 * np.eye(n),
        "transition_covariance": 0.1 * spread * np.eye(n),
        "observation_matrix": H,
        "observation_covariance": np.diag(SHARE * variance),
        "initial_mean": np.zeros(n),
        "initial_covariance": spread * np.eye(n),
    }


def _from_windows(
    y: np.ndarray, size: np.ndarray, series: Series, n: int, rng: np.random.Generator, first: bool
) -> dict[str, np.ndarray]:
    """States as components of windows of rows that follow each other."""
    p = y.shape[1]
    scale = np.maximum(y.std(axis=0), size)
    z = y / scale
    longest = max(series.lengths)
    width = int(np.clip(-(-2 * n // p), 2, max(longest // 2, 1)))
    windows = _windows(z, series, width)
    if not first:
        windows = windows @ rng.normal(size=(windows.shape[1], windows.shape[1]))
    U, S, _ = np.linalg.svd(windows, full_matrices=False)
    rank = int(np.sum(1e-10 * max(float(S[0]), 1e-300) < S)) if len(S) else 0
    x = np.zeros((len(y), n))
    x[:, : min(rank, n)] = U[:, : min(rank, n)] * np.sqrt(len(y))
    x[:, min(rank, n) :] = rng.normal(
        size=(len(y), n - min(rank, n))
    )  # more states than the data have directions
    H = np.linalg.lstsq(x, z, rcond=None)[0].T
    H[:, min(rank, n) :] = 0.1 * rng.normal(size=(p, n - min(rank, n)))
    left = z - x @ H.T
    before, after = x[series.sources], x[series.sources + 1]
    F = np.linalg.lstsq(before, after, rcond=None)[0].T if len(before) > n else 0.9 * np.eye(n)
    radius = spectral_radius(F)
    F = F * (SLOWEST / radius) if radius > SLOWEST else F
    moved = after - before @ F.T
    Q = moved.T @ moved / max(len(moved), 1) + 0.05 * np.eye(n)
    R = left.T @ left / len(left) + 0.05 * np.eye(p)
    return {
        "transition_matrix": F,
        "transition_covariance": (Q + Q.T) / 2,
        "observation_matrix": scale[:, None] * H,
        "observation_covariance": np.outer(scale, scale) * (R + R.T) / 2,
        "initial_mean": np.zeros(n),
        "initial_covariance": np.eye(n),
    }


def _windows(z: np.ndarray, series: Series, width: int) -> np.ndarray:
    """Rows t − width + 1 … t side by side, the first row of a sequence standing for those before it."""
    begins = np.repeat(series.offsets[:-1], series.lengths)
    rows = np.arange(len(z))
    return np.concatenate([z[np.maximum(rows - lag, begins)] for lag in range(width)], axis=1)
