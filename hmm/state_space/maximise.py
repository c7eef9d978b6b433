"""The M-step: each relation of a state space is a linear regression on what the E-step expects of its sides.

Coefficients come first, given the noise as it is, then the noise given these: together the maximum, or, where
held entries couple the two, a rise (expectation conditional maximisation, Meng & Rubin 1993).
"""

from __future__ import annotations

import numpy as np

from hmm.state_space.expectation import Expected
from hmm.state_space.regression import Relation, coefficients, inverse
from hmm.state_space.space import COVARIANCES, INITIAL, TRANSITION, StateSpace
from hmm.state_space.structure import Structure
from msgpass.errors import UnsupportedError


def check_closed_form(space: StateSpace, structure: Structure) -> None:
    """Raise where the M-step has no closed form.

    Raises
    ------
    UnsupportedError
    """
    learned = set(structure.learned)
    if space.initial == "stationary" and learned & set(TRANSITION):
        raise UnsupportedError(
            "EM has no closed form where the start is stationary, for it depends on the transition; use "
            'method="lbfgs", or initial="known"'
        )
    for kind in ("transition", "observation"):
        names = {f"{kind}_{part}" for part in ("matrix", "input_matrix", "offset", "covariance")}
        moving = sorted(name for name in names if space.varies(name))
        if moving and learned & names:
            raise UnsupportedError(
                f"EM cannot learn {', '.join(sorted(learned & names))} beside {', '.join(moving)}, which "
                f"varies over "
                'time; use method="lbfgs", or freeze the former'
            )


def maximise(space: StateSpace, expected: Expected, structure: Structure) -> StateSpace:
    """The state space with learned parameters moved to where they make the expected complete likelihood
    (times the prior) larger."""
    found: dict[str, np.ndarray] = {}
    if _learns(structure, "transition"):
        found |= _relation("transition", space, [expected.transition], structure)
    if _learns(structure, "observation"):
        found |= _relation("observation", space, expected.observation, structure)
    if expected.initial is not None and set(structure.learned) & set(INITIAL):
        found |= _initial(space, expected.initial, structure)
    return space.with_values(found)


def _learns(structure: Structure, kind: str) -> bool:
    return any(name.startswith(kind) for name in structure.learned)


def _relation(
    kind: str, space: StateSpace, relations: list[Relation], structure: Structure
) -> dict[str, np.ndarray]:
    """Of one relation: its offset, matrix and input matrix, then its covariance."""
    n = space.n_states
    names = [f"{kind}_offset", f"{kind}_matrix", f"{kind}_input_matrix"]
    offset, A, B = (getattr(space, name) for name in names)
    W = np.concatenate([A, B], axis=1)
    masks = [structure.free.get(name, np.zeros(getattr(space, name).shape, bool)) for name in names]
    free = np.concatenate(masks[1:], axis=1)
    cov, ridge = getattr(space, f"{kind}_covariance"), structure.priors.normal.get(f"{kind}_matrix")
    if len(relations) == 1:
        own = relations[0]
        offset, W = coefficients(own, offset, W, masks[0], free, cov, ridge)
        residual, count = own.residual(offset, W), np.full(len(W), own.count)
    else:
        offset, W, residual, count = offset.copy(), W.copy(), np.zeros(cov.shape), np.zeros(len(W))
        for j, own in enumerate(relations):
            row = slice(j, j + 1)
            prior = None if ridge is None else (ridge[0][row], ridge[1])
            given = offset[row], W[row], masks[0][row], free[row], cov[row, row]
            offset[row], W[row] = coefficients(own, *given, prior)
            residual[j, j], count[j] = own.residual(offset[row], W[row])[0, 0], own.count
    if ridge is not None:
        apart = W[:, :n] - ridge[0]
        residual = residual + apart @ ridge[1] @ apart.T
        count = count + structure.priors.rank(f"{kind}_matrix")
    found = dict(zip(names, (offset, W[:, :n], W[:, n:]), strict=True))
    found = {name: value for name, value in found.items() if name in structure.learned}
    name = f"{kind}_covariance"
    if name in structure.learned and count.all():
        found[name] = best_covariance(name, residual, count, cov, structure)
    return found


def _initial(space: StateSpace, relation: Relation, structure: Structure) -> dict[str, np.ndarray]:
    found, mean = {}, space.initial_mean
    if "initial_mean" in structure.learned:
        mean = np.where(structure.free["initial_mean"], relation.mean, mean)
        found["initial_mean"] = mean
    name = "initial_covariance"
    if name in structure.learned:
        residual = relation.residual(mean, np.zeros((len(mean), 0)))
        count = np.full(len(mean), relation.count)
        found[name] = best_covariance(name, residual, count, space.initial_covariance, structure)
    return found


def best_covariance(
    name: str, residual: np.ndarray, count: np.ndarray, now: np.ndarray, structure: Structure
) -> np.ndarray:
    """Of a type, from summed residuals; rows that had no noise keep none.

    Parameters
    ----------
    name : str
    residual : array, (n, n)
        Sum of outer products.
    count : array, (n,)
        How many rows each cell has; all alike unless the type is "diag" or "spherical".
    now : array, (n, n)
    structure : Structure
    """
    assert name in COVARIANCES
    kind, free = structure.types[name], structure.free[name]
    noisy = free.any(axis=1)
    degrees, scale = structure.priors.wishart.get(name, (0.0, np.zeros(now.shape)))
    n = len(now)
    more = degrees + n + 1 if name in structure.priors.wishart else 0.0
    S, total = residual + scale, count + more
    block, floor = np.ix_(noisy, noisy), structure.floors.get(name, 0.0)
    found = now.copy()
    least = np.broadcast_to(floor, n)[noisy]
    if kind == "diag":
        variances = np.diag(S)[noisy] / total[noisy]
        found[noisy, noisy] = np.maximum(variances, least)
    elif kind == "spherical":
        variance = np.diag(S)[noisy].sum() / total[noisy].sum()
        found[block] = max(variance, least.max(initial=0.0)) * np.eye(noisy.sum())
    elif kind == "scaled":
        weight, rank = inverse(now[block])
        found[block] = now[block] * (np.trace(weight @ S[block]) / (rank * total[noisy][0]))
    else:
        found[block] = raised(S[block] / total[noisy][0], least)
    return found


def raised(cov: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The likeliest covariance Σ for which Σ − diag(least) is not negative: eigenvalues, in units of the
    floor, are raised to one. Without a floor those that rounding made negative are zero, in units of the
    variances."""
    cov = (cov + cov.T) / 2
    floored = bool((least > 0).all())
    sizes = least if floored else np.diag(cov)
    unit = np.sqrt(np.where(sizes > 0, sizes, 1.0))
    values, vectors = np.linalg.eigh(cov / np.outer(unit, unit))
    if values.min(initial=np.inf) >= floored:
        return cov
    return np.outer(unit, unit) * ((vectors * np.maximum(values, floored)) @ vectors.T)


def is_above(cov: np.ndarray, least: np.ndarray) -> bool:
    """Whether Σ − diag(least) is positive definite."""
    return bool(np.linalg.eigvalsh(cov / np.sqrt(np.outer(least, least))).min() > 1)
