"""Exact diffuse starts by augmented columns (de Jong 1991): everything is affine in δ, whose density is flat.

With W_t = S^{−½} H A_t, A_0 = flat, A′ = F (I − C H) A, and whitened innovations w:

    δ | rows ≤ t ~ N(δ̂, Λ⁻¹),  Λ = Σ WᵀW,  δ̂ = Λ⁻¹ Σ Wᵀw
    log Z = Σ log N(v; 0, S) + ½ d log 2π − ½ log|Λ| + ½ δ̂ᵀΛδ̂

Σ is kept as the triangular factor of [W w], so that Λ is never formed.
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
        ½ d log 2π − ½ log|Λ| + ½ δ̂ᵀΛδ̂, where nothing is free.
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
    """

    rows: np.ndarray
    sizes: np.ndarray

    def all(self) -> Determined:
        """δ given every row."""
        d = self.sizes.shape[1]
        factor = np.linalg.qr(self.rows.reshape(-1, d + 1), mode="r")
        return determined(factor, self.sizes.sum(0))

    def by_row(self) -> Iterator[Determined]:
        """δ given no row, the first one, the first two, …"""
        d = self.sizes.shape[1]
        factor, sizes = np.zeros((0, d + 1)), np.zeros(d)
        yield determined(factor, sizes)
        for rows, size in zip(self.rows, self.sizes, strict=True):
            factor, sizes = np.linalg.qr(np.vstack([factor, rows]), mode="r"), sizes + size
            yield determined(factor, sizes)


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
    log_z = 0.5 * (d * math.log(2 * math.pi) - logdet + coordinates @ coordinates)
    return Determined(root @ coordinates, root, right[rank:].T / scale[:, None], float(log_z))


def evidence(arrays: GaussianChainArrays, done: FilterPass, rows: slice, columns, innovations) -> Evidence:
    """Of the sequence at ``rows``; predicted columns (T, n, d) and their innovations (T, p, d)."""
    H = arrays.H if len(arrays.H) == 1 else arrays.H[rows]
    values, vectors = np.linalg.eigh(done.precision[rows])
    half = np.sqrt(np.maximum(values, 0))[..., None] * np.swapaxes(vectors, -1, -2)
    whitened = half @ np.concatenate([-innovations[rows], done.innovation[rows][..., None]], -1)
    return Evidence(whitened, ((np.abs(half) @ np.abs(H) @ np.abs(columns[rows])) ** 2).sum(1))


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
