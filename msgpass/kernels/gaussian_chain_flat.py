"""Exact diffuse starts by augmented columns (de Jong 1991): everything is affine in δ, whose density is flat.

With W_t = S^{−½} H A_t, A_0 = flat, A′ = F (I − C H) A, and whitened innovations w:

    δ | rows ≤ t ~ N(δ̂, Λ⁻¹),  Λ = Σ WᵀW,  δ̂ = Λ⁻¹ Σ Wᵀw
    log Z = −½ Σ (p log 2π + log|S|) + ½ d log 2π − ½ log|Λ| − ½ ρ²,  ρ² = Σ |w − W δ̂|²

Σ is kept as the triangular factor of [W w], whose last number is ρ: neither is Λ formed, nor ρ² a difference
of Σ |w|² and δ̂ᵀΛδ̂, which for data far from zero lose all digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_chain_types import FilterPass, GaussianChainArrays

UNDETERMINED = 1e-9
"""Of a direction's columns W, relative to the numbers that they are sums of."""


class Determined(NamedTuple):
    """What rows say about δ: N(mean, root rootᵀ) over the directions that they determine.

    Attributes
    ----------
    mean : ndarray, shape (d,)
    root : ndarray, shape (d, d − f)
    free : ndarray, shape (d, f)
        Directions about which the rows say nothing.
    log_z : float
        ½ d log 2π − ½ log|Λ| − ½ ρ², where nothing is free.
    """

    mean: np.ndarray
    root: np.ndarray
    free: np.ndarray
    log_z: float


class Evidence(NamedTuple):
    """Rows of [W w] and what they are judged by, of one sequence of L rows.

    Attributes
    ----------
    rows : ndarray, shape (L, p, d + 1)
    sizes : ndarray, shape (L, d)
        Σ_p of the squared columns of |S^{−½}| |H| |A|.
    scale : float
        −½ Σ (p log 2π + log|S|).
    """

    rows: np.ndarray
    sizes: np.ndarray
    scale: float

    def all(self) -> Determined:
        """δ given every row."""
        d = self.sizes.shape[1]
        rows, sizes = self.rows.reshape(-1, d + 1), self.sizes.sum(0)
        first = determined(np.linalg.qr(rows, mode="r"), sizes)
        # Again about the first answer: w far from zero in one row has cost the others digits.
        rest = np.column_stack([rows[:, :d], rows[:, d] - rows[:, :d] @ first.mean])
        found = determined(np.linalg.qr(rest, mode="r"), sizes)
        return found._replace(mean=first.mean + found.mean, log_z=found.log_z + self.scale)

    def by_row(self) -> Iterator[Determined]:
        """δ given no row, the first one, the first two, …, until nothing is free."""
        d = self.sizes.shape[1]
        factor, sizes = np.zeros((0, d + 1)), np.zeros(d)
        yield determined(factor, sizes)
        for t, (rows, size) in enumerate(zip(self.rows, self.sizes, strict=True)):
            factor, sizes = np.linalg.qr(np.vstack([factor, rows]), mode="r"), sizes + size
            found = determined(factor, sizes)
            if not found.free.size:
                yield Evidence(self.rows[: t + 1], self.sizes[: t + 1], 0.0).all()
                return
            yield found


def determined(factor: np.ndarray, sizes: np.ndarray) -> Determined:
    """Read a triangular factor of [W w]."""
    d = len(sizes)
    scale = np.sqrt(sizes)
    scale[scale == 0] = 1
    left, values, right = np.linalg.svd(factor[:, :d] / scale)
    rank = int((values > UNDETERMINED).sum())
    root = right[:rank].T / values[:rank] / scale[:, None]
    coordinates = left[:, :rank].T @ factor[:, d]
    logdet = 2 * (np.log(values[:rank]).sum() + np.log(scale).sum())
    rho = factor[d, d] if len(factor) > d else 0.0
    log_z = 0.5 * (d * math.log(2 * math.pi) - logdet - rho**2)
    return Determined(root @ coordinates, root, right[rank:].T / scale[:, None], float(log_z))


def evidence(arrays: GaussianChainArrays, done: FilterPass, rows: slice, columns, innovations) -> Evidence:
    """Of the sequence at ``rows``; predicted columns (T, n, d) and their innovations (T, p, d)."""
    H = arrays.H if len(arrays.H) == 1 else arrays.H[rows]
    half, logdet = whitener(done.precision[rows])
    whitened = half @ np.concatenate([-innovations[rows], done.innovation[rows][..., None]], -1)
    sizes = ((np.abs(half) @ np.abs(H) @ np.abs(columns[rows])) ** 2).sum(1)
    cells = np.count_nonzero(~np.isnan(arrays.y[rows]))
    return Evidence(whitened, sizes, 0.5 * float(logdet.sum()) - 0.5 * cells * math.log(2 * math.pi))


def whitener(precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """B with BᵀB = S⁻¹, (L, p, p), and log|S⁻¹|, (L,), over the cells that are there."""
    scale = np.sqrt(np.diagonal(precision, axis1=1, axis2=2))
    there = scale > 0
    safe = np.where(there, scale, 1)
    scaled = precision / (safe[:, :, None] * safe[:, None, :])
    p = precision.shape[-1]
    scaled[:, range(p), range(p)] = 1
    values, vectors = np.linalg.eigh(scaled)
    values = np.maximum(values, 1e-300)
    half = np.sqrt(values)[..., None] * np.swapaxes(vectors, 1, 2) * scale[:, None, :]
    return half, np.log(values).sum(1) + 2 * np.log(safe).sum(1)


def with_spread(arrays: GaussianChainArrays) -> GaussianChainArrays:
    """The same problem with N(0, τ) added to δ, which a flat density absorbs.

    Where R is singular, S may be so for a known δ.
    """
    H, R = arrays.H, np.diagonal(arrays.R, axis1=-2, axis2=-1)
    seen = np.abs(H).max((0, 1))
    overall = max(R.max(), np.diagonal(arrays.Q, axis1=-2, axis2=-1).max(initial=0.0))
    overall = overall if overall > 0 else 1.0
    scales = np.where(seen > 0, R.max() / np.maximum(seen, 1e-150) ** 2, 0.0)
    scales = np.maximum(scales, np.diagonal(arrays.Q, axis1=-2, axis2=-1).max(0, initial=0.0))
    scales = np.where(scales > 0, scales, overall)
    spread = arrays.flat * np.sqrt((arrays.flat**2).T @ scales)
    return arrays._replace(cov=arrays.cov + spread @ spread.T)
