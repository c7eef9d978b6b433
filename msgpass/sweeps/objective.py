"""−log p(x, y) of a trajectory, without normalising constants: half the squared residuals of all relations.

J(x) = ½ Σ (y − f(x))ᵀ Q⁻¹ (y − f(x)) + Σ (½ xᵀΛx − hᵀx)
"""

from __future__ import annotations

import numpy as np

from msgpass.sweeps.rows import instance_numbers


def objective(relations, means) -> float | None:
    """J at a path, or None where a covariance is singular."""
    value = 0.0
    for relation in relations:
        found = _share(relation, means)
        if found is None:
            return None
        value += found
    return float(value)


def _share(relation, means) -> float | None:
    if relation.canonical:
        x = _at(relation, relation.source, means)
        said = relation.information(np.arange(len(x)))
        return float((0.5 * np.einsum("ki,kij,kj->k", x, said.precision, x) - (said.h * x).sum(1)).sum())
    r, Q = residuals(relation, means)
    seen = np.isfinite(r) & np.isfinite(np.diagonal(Q, axis1=1, axis2=2))
    if not seen.all():
        apart = seen[:, :, None] & seen[:, None, :]
        r, Q = np.where(seen, r, 0.0), np.where(apart, Q, np.eye(Q.shape[-1]))
    if not r.size:
        return 0.0
    try:
        L = np.linalg.cholesky(Q)
    except np.linalg.LinAlgError:
        return None
    if (np.diagonal(L, axis1=1, axis2=2) == 0).any():
        return None
    w = np.linalg.solve(np.broadcast_to(L, (len(r), *L.shape[1:])), r[..., None])
    return float(0.5 * (w * w).sum())


def residuals(relation, means) -> tuple[np.ndarray, np.ndarray]:
    """(y − f(x), Q) of every instance at a path; NaN where y is missing, Q with a leading axis of 1 or n."""
    count = relation.family.factor.n
    x = None if relation.source is None else _at(relation, relation.source, means)
    y = relation.y if relation.target is None else _at(relation, relation.target, means)
    if relation.noisy:
        f = relation.steps.at()
        return y - (f.values() if x is None else f(x[:, None])[:, 0]), relation.steps.noise
    F, b, Q = relation.F, relation.b, relation.Q
    moved = b if x is None else b + (np.broadcast_to(F, (count, *F.shape[1:])) @ x[..., None])[..., 0]
    return y - moved, Q


def _at(relation, arg, means) -> np.ndarray:
    return means[arg.name][instance_numbers(relation.family, arg)]
