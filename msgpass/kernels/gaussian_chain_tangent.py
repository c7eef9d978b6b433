"""Gradients of a linear-Gaussian chain over dual numbers: what arrives at its arrays, and how it moves.

The recursions of :mod:`~msgpass.kernels.gaussian_chain_reference` without storage to write into, so that
arrays that carry a tangent pass through them: filter, adjoint (which inverts neither Q nor R), exact diffuse
start by columns, then

    ∂/∂P_0 = ½(r rᵀ − N),   ∂/∂Q = ½(r′ r′ᵀ − N′),   ∂/∂F = r′ x̂ᵀ − N′ F U,   ∂/∂b = r′
    ∂/∂R = ½(e eᵀ − D),     ∂/∂H = e x̂ᵀ − (D H − Cᵀ N⁺) P,                    ∂/∂y = −e
    e = S⁻¹ v − Cᵀ r⁺,      D = S⁻¹ + Cᵀ N⁺ C,      r⁺ = Fᵀ r′,   N⁺ = Fᵀ N′ F
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from msgpass.dual_array import plain
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays, at


def transposed(matrix):
    """The last two axes swapped."""
    return np.swapaxes(matrix, -1, -2)


def _symmetric(matrix):
    return (matrix + transposed(matrix)) / 2


class DualGradients:
    """Gradients and smoothed moments of a chain whose arrays may carry a tangent.

    Parameters
    ----------
    arrays : GaussianChainArrays
        Plain or dual arrays.
    """

    def __init__(self, arrays: GaussianChainArrays):
        self.arrays = arrays
        seen = ~np.isnan(plain(arrays.y))
        self.y = np.where(seen, arrays.y, 0.0)
        self.seen = seen[..., None] & seen[:, None, :]
        self.rows: list[Any] = []  # (a, P, v, S⁻¹, C, U) of each row, means with the columns of δ
        self.back: list[Any] = []  # (r, N, r⁺, N⁺)
        turns = []
        for k, (start, stop) in enumerate(pairwise(arrays.offsets)):
            turns.append(self.filter(k, int(start), int(stop)))
            self.back += self.adjoint(k, int(start), int(stop))
        a, P, v, precision, C, U = (np.stack([row[j] for row in self.rows]) for j in range(6))
        r, N, after, behind = (np.stack([row[j] for row in self.back]) for j in range(4))
        turn = np.stack(turns)[np.repeat(np.arange(len(turns)), np.diff(arrays.offsets))]
        e = (precision @ v - transposed(C) @ after) @ turn
        r, self.x = r @ turn, (a + P @ r) @ turn
        self.moments = self.x[..., 0], P - P @ N @ P + self.x[..., 1:] @ transposed(self.x[..., 1:])
        D = precision + transposed(C) @ behind @ C
        H = self.seen_matrix(arrays.H)
        first, sources = arrays.offsets[:-1], arrays.sources
        later, rr = sources + 1, r @ transposed(r)
        found = {
            "mean": r[first][..., 0],
            "cov": 0.5 * (rr[first] - N[first]),
            "F": r[later] @ transposed(self.x[sources]) - N[later] @ arrays.F @ U[sources],
            "Q": 0.5 * (rr[later] - N[later]),
            "b": r[later][..., 0],
            "H": e @ transposed(self.x) - (D @ H - transposed(C) @ behind) @ P,
            "R": 0.5 * (e @ transposed(e) - D),
            "y": -e[..., 0],
        }
        self.gradients = {
            name: g.sum(axis=0)[None] if len(getattr(arrays, name)) == 1 else g for name, g in found.items()
        }

    def seen_matrix(self, H):
        """H with rows of zeros at missing cells, (T, p, n)."""
        return H * np.diagonal(self.seen, axis1=1, axis2=2)[..., None]

    def filter(self, k: int, start: int, stop: int):
        """Rows of one sequence; returns [[1, 0], [δ̂, B]]."""
        arrays, d = self.arrays, self.arrays.flat.shape[1]
        a = np.concatenate([at(arrays.mean, k)[:, None], arrays.flat], axis=1)
        P = at(arrays.cov, k)
        weight, pull = np.zeros((d, d)), np.zeros(d)
        for t in range(start, stop):
            if t > start:
                F = at(arrays.F, t - 1 - k)
                _, _, _, _, _, U = self.rows[-1]
                a = F @ self.updated + np.concatenate(
                    [at(arrays.b, t - 1 - k)[:, None], np.zeros((F.shape[0], d))], axis=1
                )
                P = _symmetric(F @ U @ F.T) + at(arrays.Q, t - 1 - k)
            seen = self.seen[t]
            cells = np.diagonal(seen)
            H = at(arrays.H, t) * cells[:, None]
            R = at(arrays.R, t) * seen + np.diag(~cells).astype(float)
            data = np.concatenate([self.y[t][:, None], np.zeros((cells.size, d))], axis=1)
            v = (data - H @ a) * cells[:, None]
            precision = np.linalg.inv(_symmetric(H @ P @ H.T) + R) * seen
            C = P @ H.T @ precision
            A = np.eye(P.shape[0]) - C @ H
            U = _symmetric(A @ P @ A.T + C @ R @ C.T)
            self.rows.append((a, P, v, precision, C, U))
            self.updated = a + C @ v
            if d:
                weight = weight + v[:, 1:].T @ precision @ v[:, 1:]
                pull = pull - v[:, 1:].T @ precision @ v[:, 0]
        if not d:
            return np.ones((1, 1))
        spread = np.linalg.inv(weight)
        delta = spread @ pull
        root = np.linalg.cholesky(_symmetric(spread))
        top = np.concatenate([np.ones((1, 1)), np.zeros((1, d))], axis=1)
        return np.concatenate([top, np.concatenate([delta[:, None], root], axis=1)], axis=0)

    def adjoint(self, k: int, start: int, stop: int) -> list:
        """Rows of one sequence backward, in the order of time."""
        arrays, found = self.arrays, []
        n, d = plain(arrays.mean).shape[-1], arrays.flat.shape[1]
        after: Any = np.zeros((n, 1 + d))
        behind: Any = np.zeros((n, n))
        for t in range(stop - 1, start - 1, -1):
            _, _, v, precision, C, _ = self.rows[t]
            H = at(arrays.H, t) * np.diagonal(self.seen[t])[:, None]
            A = np.eye(n) - C @ H
            r = H.T @ (precision @ v) + A.T @ after
            N = _symmetric(H.T @ precision @ H + A.T @ behind @ A)
            found.append((r, N, after, behind))
            if t > start:
                F = at(arrays.F, t - 1 - k)
                after, behind = F.T @ r, F.T @ N @ F
        return found[::-1]
