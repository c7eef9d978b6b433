"""Grids over the interface: a box that the noisy state hardly leaves, and points in it.

The box is found by images: the box of a slice is what F_t makes of the box before, widened by five standard
deviations of the noise.
"""

from __future__ import annotations

from math import prod

import numpy as np

from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.dbn.slices import Slices

WIDE = 5.0
"""Standard deviations of noise by which a box is wider than what is reached without."""

SPACING = 0.8
"""Distance of default grid points in standard deviations: a sum over points then differs from the integral
of a Gaussian by exp(−2π²/0.8²) ≈ 4e-14."""

SAMPLES = {1: 65, 2: 17, 3: 9}
"""Points an axis at which an image is evaluated, by the number of axes."""

MOST_BYTES = 2**30


def standard_deviations(sigma, size: int) -> np.ndarray:
    """One positive number for each number of the interface."""
    try:
        given = np.asarray(sigma, float)
    except (TypeError, ValueError):
        raise DataError(f"sigma must be a positive number, got {sigma!r}") from None
    if given.shape not in ((), (size,)):
        raise ShapeError(
            f"sigma has shape {given.shape}, wanted one number or {size}, one for each number of s"
        )
    if not (np.isfinite(given).all() and (given > 0).all()):
        raise DataError(f"sigma must be positive, got {sigma!r}; without noise nothing moves on a grid")
    return np.broadcast_to(given, (size,)).copy()


def reached(slices: Slices, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of the box."""
    low = high = slices.transition(0, np.zeros((1, slices.size)))[0]
    low, high = low - WIDE * sigma, high + WIDE * sigma
    lowest, highest = low, high
    samples = SAMPLES.get(slices.size, 5)
    for t in range(1, slices.template.length):
        axes = [np.linspace(a, b, samples) for a, b in zip(low, high, strict=True)]
        image = slices.transition(t, grid_points(axes))
        low, high = image.min(axis=0) - WIDE * sigma, image.max(axis=0) + WIDE * sigma
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
    return lowest, highest


def make_axes(slices: Slices, sigma: np.ndarray, grid=None, cells=None) -> tuple[np.ndarray, ...]:
    """Grid points along every number of the interface.

    Parameters
    ----------
    slices : Slices
    sigma : (D,) array
    grid : list of D arrays, optional
        The points themselves, increasing; one array where D = 1.
    cells : int or D ints, optional
        Number of points over the reached box; as many as the noise needs by default.
    """
    size = slices.size
    if grid is not None:
        if cells is not None:
            raise DataError("give grid= (the points) or cells= (how many), not both")
        axes = _given(grid, size)
    else:
        low, high = reached(slices, sigma)
        counts = _counts(cells, np.ceil((high - low) / (SPACING * sigma)).astype(int) + 1, size)
        axes = tuple(np.linspace(a, b, n) for a, b, n in zip(low, high, counts, strict=True))
    total = prod(map(len, axes))
    need = 8 * total**2 * max(1, slices.template.length - 1)
    if need > MOST_BYTES:
        raise UnsupportedError(
            f"a grid of {' × '.join(str(len(a)) for a in axes)} points has tables of {total}² entries, "
            f"{need / 2**30:.1f} GiB over {slices.template.length} steps. Take fewer with cells=, more "
            "noise, fewer steps, or a network with one or two numbers of state (one sequence, not a batch)"
        )
    return axes


def grid_points(axes) -> np.ndarray:
    """All points of a grid, (N, D), the last axis fastest."""
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)


def _given(grid, size: int) -> tuple[np.ndarray, ...]:
    flat = isinstance(grid, np.ndarray) and grid.ndim == 1
    axes = tuple(np.array(a, float) for a in ([grid] if flat else grid))
    if len(axes) != size or any(a.ndim != 1 for a in axes):
        raise ShapeError(
            f"grid must hold {size} axes of points, one for each number of the state, got "
            f"{[a.shape for a in axes]}"
        )
    for a in axes:
        if len(a) < 4 or not np.isfinite(a).all() or (np.diff(a) <= 0).any():
            raise DataError("an axis of the grid needs four or more finite points that increase")
    return axes


def _counts(cells, needed: np.ndarray, size: int) -> np.ndarray:
    if cells is None:
        return np.maximum(needed, 4)
    counts = np.asarray(cells)
    if counts.dtype.kind not in "iu" or counts.shape not in ((), (size,)) or (counts < 4).any():
        raise DataError(f"cells must be a whole number ≥ 4, or {size} of them, got {cells!r}")
    return np.broadcast_to(counts, (size,))
