"""Linear relations y = o + W z + N(0, Σ) from expected sums: the M-step of each part of a state space.

    W = S_yz S_zz⁻¹        o = ȳ − W z̄        Σ = E[(y − o − W z)(y − o − W z)ᵀ] / count

with S about the means, or about zero where o is held. Some entries may be held. If the same ones are held in
all rows, or Σ is diagonal, rows are least squares of their own and Σ does not matter; else the free entries
solve Σ⁻¹ (E[y zᵀ] − W E[z zᵀ]) = 0 given Σ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import UnsupportedError

Ridge = tuple[np.ndarray, np.ndarray]
"""(M, Λ): a prior −½ tr(Σ⁻¹ (W − M) Λ (W − M)ᵀ) of W."""


@dataclass(frozen=True, eq=False)
class Relation:
    """Expected moments of sources z and targets y, summed over the instances of a relation.

    Parameters
    ----------
    count : float
    mean : array, (k + q,)
        Of (z, y).
    scatter : array, (k + q, k + q)
        Σ E[(z, y)(z, y)ᵀ] about the mean.
    k : int
        Sources.
    """

    count: float
    mean: np.ndarray
    scatter: np.ndarray
    k: int

    @classmethod
    def of(cls, z: np.ndarray, y: np.ndarray, cov: np.ndarray) -> Relation:
        """From means (T, k) of sources, with covariances (T, n, n) of the first n of them, and data (T,
        q)."""
        both = np.concatenate([z, y], axis=1)
        mean = both.mean(axis=0) if len(both) else np.zeros(both.shape[1])
        away = both - mean
        scatter = away.T @ away
        n = cov.shape[-1]
        scatter[:n, :n] += cov.sum(axis=0)
        return cls(float(len(both)), mean, scatter, z.shape[1])

    @property
    def sources(self) -> np.ndarray:
        """z̄."""
        return self.mean[: self.k]

    @property
    def spread(self) -> np.ndarray:
        """S_zz about the mean."""
        return self.scatter[: self.k, : self.k]

    def left(self, offset: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, sums with z about the mean) of e = y − o − W z, (q,) and (q, k)."""
        k = self.k
        mean = self.mean[k:] - offset - W @ self.sources
        return mean, self.scatter[k:, :k] - W @ self.spread

    def residual(self, offset: np.ndarray, W: np.ndarray) -> np.ndarray:
        """Σ E[e eᵀ], (q, q)."""
        mean, _ = self.left(offset, W)
        both = np.concatenate([-W, np.eye(len(W))], axis=1)
        found = both @ self.scatter @ both.T + self.count * np.outer(mean, mean)
        return (found + found.T) / 2


def coefficients(
    relation: Relation,
    offset: np.ndarray,
    W: np.ndarray,
    free_offset: np.ndarray,
    free: np.ndarray,
    cov: np.ndarray,
    ridge: Ridge | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The best (o, W), with entries that are not free as they are now.

    Parameters
    ----------
    relation : Relation
    offset, W : array, (q,), (q, k)
        As they are now.
    free_offset, free : array of bool, (q,), (q, k)
    cov : array, (q, q)
        Σ as it is now.
    ridge : Ridge, optional
        Prior of the first columns of W.
    """
    if not (free.any() or free_offset.any()) or not relation.count:
        return offset, W
    alike = (free == free[0]).all() and (free_offset == free_offset[0]).all()
    if alike:
        return _rows(relation, offset, W, bool(free_offset[0]), free[0], ridge)
    if not (cov - np.diag(np.diag(cov))).any():
        found = [
            _rows(_one(relation, i), offset[i : i + 1], W[i : i + 1], bool(o), own, _row_of(ridge, i))
            for i, (o, own) in enumerate(zip(free_offset, free, strict=True))
        ]
        return np.concatenate([o for o, _ in found]), np.concatenate([w for _, w in found])
    return _coupled(relation, offset, W, free_offset, free, cov, ridge)


def _rows(relation: Relation, offset, W, o_free: bool, own: np.ndarray, ridge: Ridge | None):
    """Rows that have the same entries free."""
    mean, left = relation.left(offset, W)
    zz, z = relation.spread, relation.sources
    if not o_free:  # the line goes through what is held: moments about zero
        zz = zz + relation.count * np.outer(z, z)
        left = left + relation.count * np.outer(mean, z)
    zz, left = _ridged(zz, left, W, ridge)
    moved = W.copy()
    if own.any():
        moved[:, own] += least_change(zz[np.ix_(own, own)], left[:, own].T).T
    if o_free:
        offset = relation.mean[relation.k :] - moved @ z
    return offset, moved


def _coupled(relation: Relation, offset, W, free_offset, free, cov, ridge: Ridge | None):
    """Rows that hang together through Σ."""
    mean, left = relation.left(offset, W)
    z, count = relation.sources, relation.count
    zz, left = relation.spread + count * np.outer(z, z), left + count * np.outer(mean, z)
    zz, left = _ridged(zz, left, W, ridge)
    full = np.block([[np.array([[count]]), count * z[None]], [count * z[:, None], zz]])
    masks = np.concatenate([free_offset[:, None], free], axis=1)
    weight = precision_of_rows(cov, masks)
    pull = weight @ np.concatenate([count * mean[:, None], left], axis=1)
    rows, columns = np.nonzero(masks)
    system = weight[np.ix_(rows, rows)] * full[np.ix_(columns, columns)]
    moved = np.concatenate([offset[:, None], W], axis=1)
    moved[rows, columns] += least_change(system, pull[rows, columns])
    return moved[:, 0], moved[:, 1:]


def _ridged(zz: np.ndarray, left: np.ndarray, W: np.ndarray, ridge: Ridge | None):
    if ridge is None:
        return zz, left
    M, precision = ridge
    n = len(precision)
    zz, left = zz.copy(), left.copy()
    zz[:n, :n] += precision
    left[:, :n] += (M - W[:, :n]) @ precision
    return zz, left


def _one(relation: Relation, i: int) -> Relation:
    """The relation of one target."""
    chosen = np.r_[np.arange(relation.k), relation.k + i]
    return Relation(
        relation.count, relation.mean[chosen], relation.scatter[np.ix_(chosen, chosen)], relation.k
    )


def _row_of(ridge: Ridge | None, i: int) -> Ridge | None:
    return None if ridge is None else (ridge[0][i : i + 1], ridge[1])


def precision_of_rows(cov: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Σ⁻¹, with zeros for rows that have no noise and nothing free."""
    noisy = np.diag(cov) > 0
    stuck = free.any(axis=1) & ~noisy
    if stuck.any():
        raise UnsupportedError(
            f"EM cannot learn entries in rows {np.flatnonzero(stuck).tolist()} of a matrix whose noise is "
            f"zero "
            'there, beside others; freeze them, give these rows noise, or use method="lbfgs"'
        )
    weight = np.zeros(cov.shape)
    weight[np.ix_(noisy, noisy)] = inverse(cov[np.ix_(noisy, noisy)])[0]
    return weight


def inverse(cov: np.ndarray) -> tuple[np.ndarray, int]:
    """(pseudo-inverse, rank) of a covariance, in units of its standard deviations."""
    unit = np.sqrt(np.diag(cov))
    values, vectors = np.linalg.eigh(cov / np.outer(unit, unit))
    kept = values > 1e-13 * len(values)
    half = vectors[:, kept] / np.sqrt(values[kept])
    return half @ half.T / np.outer(unit, unit), int(kept.sum())


def least_change(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A⁻¹ b, or the smallest solution where A is singular (sources that depend on each other), in units in
    which A has ones on its diagonal."""
    scale = np.sqrt(np.maximum(np.diag(A), 0))
    scale = 1 / np.where(scale > 0, scale, 1.0)
    units = scale.reshape(-1, *(1,) * (b.ndim - 1))
    return units * np.linalg.lstsq(A * np.outer(scale, scale), units * b, rcond=1e-13)[0]
