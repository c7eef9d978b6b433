"""Exact diffuse starts by augmented columns (de Jong 1991): everything is affine in δ, whose density is flat.

With W_t = S^{−½} H A_t, A_0 = flat, A′ = F (I − C H) A, and whitened innovations w:

    δ | rows ≤ t ~ N(δ̂, Λ⁻¹),  Λ = Σ WᵀW,  δ̂ = Λ⁻¹ Σ Wᵀw
    log Z = Σ log N(v; 0, S) + ½ d log 2π − ½ log|Λ| + ½ δ̂ᵀΛδ̂

Σ is kept as the triangular factor of [W w], so that Λ is never formed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_chain_types import FilterPass, GaussianChainArrays, at

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


class Evidence:
    """Triangular factor of the rows of [W w] so far, and the sizes that they are judged by."""

    def __init__(self, d: int):
        self.factor, self.sizes = np.zeros((0, d + 1)), np.zeros(d)

    def add(self, W: np.ndarray, w: np.ndarray, sizes: np.ndarray) -> None:
        """Rows (p, d), (p,), and Σ_p of the squared columns of |S^{−½}| |H| |A|."""
        self.factor = np.linalg.qr(np.vstack([self.factor, np.column_stack([W, w])]), mode="r")
        self.sizes = self.sizes + sizes

    def read(self) -> Determined:
        """δ given the rows so far."""
        d = len(self.sizes)
        scale = np.sqrt(self.sizes)
        scale[scale == 0] = 1
        left, values, right = np.linalg.svd(self.factor[:, :d] / scale)
        known = values > UNDETERMINED
        rank = int(known.sum())
        root = right[:rank].T / values[:rank] / scale[:, None]
        coordinates = left[:, :rank].T @ self.factor[:, d]
        logdet = 2 * (np.log(values[:rank]).sum() + np.log(scale).sum())
        log_z = 0.5 * (d * math.log(2 * math.pi) - logdet + coordinates @ coordinates)
        return Determined(root @ coordinates, root, right[rank:].T / scale[:, None], float(log_z))


def evidence_by_row(arrays: GaussianChainArrays, done: FilterPass, k: int, columns, innovations):
    """Yields the evidence about δ before and after each row of sequence k."""
    evidence = Evidence(arrays.flat.shape[1])
    for t in range(arrays.offsets[k], arrays.offsets[k + 1]):
        yield t, evidence, False
        if done.precision[t].any():
            values, vectors = np.linalg.eigh(done.precision[t])
            half = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
            sizes = np.abs(half) @ np.abs(at(arrays.H, t)) @ np.abs(columns[t])
            evidence.add(-half @ innovations[t], half @ done.innovation[t], (sizes**2).sum(0))
        yield t, evidence, True


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
