"""Linear relations y = W z + N(0, Σ) from expected sums: the M-step of each part of a state space.

    W = E[y zᵀ] E[z zᵀ]⁻¹        Σ = E[(y − W z)(y − W z)ᵀ] / count

Some entries of W may be held. If the same columns are held in all rows, or Σ is diagonal, rows are least
squares of their own and Σ does not matter; else W solves Σ⁻¹ (E[y zᵀ] − W E[z zᵀ]) = 0 in its free entries,
given Σ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Sums:
    """Expected sums over the instances of a relation.

    Parameters
    ----------
    count : float
    zz : array, (k, k)
        Σ E[z zᵀ].
    yz : array, (q, k)
        Σ E[y zᵀ].
    yy : array, (q, q)
        Σ E[y yᵀ].
    """

    count: float
    zz: np.ndarray
    yz: np.ndarray
    yy: np.ndarray

    @classmethod
    def nothing(cls, k: int, q: int) -> Sums:
        """Of no instance."""
        return cls(0.0, np.zeros((k, k)), np.zeros((q, k)), np.zeros((q, q)))

    @classmethod
    def of(cls, z, y, zz=None, yz=None, yy=None, *, tt=None) -> Sums:
        """From means (T, k), (T, q) and covariances; those of z are of its cells after the first, as many as
        there are."""
        yy = tt if tt is not None else yy
        ZZ, YZ, YY = z.T @ z, y.T @ z, y.T @ y
        if zz is not None:
            n = zz.shape[-1]
            ZZ[1 : 1 + n, 1 : 1 + n] += zz.sum(axis=0)
            if yz is not None:
                YZ[:, 1 : 1 + n] += yz.sum(axis=0)
        if yy is not None:
            YY += yy.sum(axis=0)
        return cls(float(len(z)), ZZ, YZ, YY)

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.count + other.count, self.zz + other.zz, self.yz + other.yz, self.yy + other.yy)

    def residual(self, W: np.ndarray) -> np.ndarray:
        """Σ E[(y − W z)(y − W z)ᵀ], (q, q)."""
        cross = self.yz @ W.T
        found = self.yy - cross - cross.T + W @ self.zz @ W.T
        return (found + found.T) / 2


def coefficients(sums: Sums, W: np.ndarray, free: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """The best W, with entries that are not ``free`` as they are in ``W``.

    Parameters
    ----------
    sums : Sums
    W : array, (q, k)
        As it is now.
    free : array of bool, (q, k)
    cov : array, (q, q)
        Σ as it is now.
    """
    if not free.any() or not sums.count:
        return W
    left = sums.yz - W @ sums.zz
    moved = W.copy()
    off_diagonal = cov - np.diag(np.diag(cov))
    if (free == free[0]).all():
        own = free[0]
        moved[:, own] += _least_change(sums.zz[np.ix_(own, own)], left[:, own].T).T
    elif not off_diagonal.any():
        for i, own in enumerate(free):
            if own.any():
                moved[i, own] += _least_change(sums.zz[np.ix_(own, own)], left[i, own])
    else:
        weight = _precision(cov, free)
        rows, columns = np.nonzero(free)
        system = weight[np.ix_(rows, rows)] * sums.zz[np.ix_(columns, columns)]
        moved[rows, columns] += _least_change(system, (weight @ left)[rows, columns])
    return moved


def _precision(cov: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Σ⁻¹, with zeros for rows that have no noise and nothing free."""
    noisy = np.diag(cov) > 0
    if (free[~noisy]).any():
        raise UnsupportedError(
            f"EM cannot learn entries in rows {np.flatnonzero(free.any(axis=1) & ~noisy).tolist()} of a "
            f"matrix whose "
            'noise is zero there; freeze them, give these rows noise, or use method="lbfgs"'
        )
    weight = np.zeros(cov.shape)
    weight[np.ix_(noisy, noisy)] = np.linalg.pinv(cov[np.ix_(noisy, noisy)])
    return weight


def _least_change(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A⁻¹ b, or the smallest solution where A is singular (sources that depend on each other), in units in
    which A has ones on its diagonal."""
    scale = np.sqrt(np.diag(A))
    scale = 1 / np.where(scale > 0, scale, 1.0)
    units = scale.reshape(-1, *(1,) * (b.ndim - 1))
    return units * np.linalg.lstsq(A * np.outer(scale, scale), units * b, rcond=1e-13)[0]
