"""The gradient of log p(y) from expected sufficient statistics (Fisher's identity):

    ∂log p(y)/∂θ = E[∂log p(x, y)/∂θ | y]:   ∂W = Σ⁻¹ E[e zᵀ],  ∂o = Σ⁻¹ E[e],  ∂Σ = ½ (Σ⁻¹ E[e eᵀ] Σ⁻¹ −
    count Σ⁻¹)

It is what the messages at the parameters say, too. Those hold for noise without an inverse and for parameters
with a row a step; sums are quicker where gains settle, for a sweep then makes no moments of single steps.
"""

from __future__ import annotations

import numpy as np

from hmm.state_space.regression import Relation
from hmm.state_space.series import Series
from hmm.state_space.space import StateSpace
from hmm.state_space.statistics import initial_relation, observation_relations, transition_relation
from msgpass import Messages

WORST = 1e-6
"""Least eigenvalue of a noise's correlation matrix whose inverse is used."""


def fisher_slopes(m: Messages, space: StateSpace, series: Series) -> dict[str, np.ndarray] | None:
    """∂log p(y)/∂parameter by name; None where some noise is too near to singular, or something varies."""
    if space.varying:
        return None
    names = ["transition_covariance", "observation_covariance"]
    names += [] if space.initial == "diffuse" else ["initial_covariance"]
    weights = {name: _precision(getattr(space, name)) for name in names}
    if any(weight is None for weight in weights.values()):
        return None
    found: dict[str, np.ndarray] = {}
    n = space.n_states
    relations = {
        "transition": transition_relation(m, n),
        "observation": observation_relations(m, series, apart=False)[0],
    }
    for kind, relation in relations.items():
        offset = getattr(space, f"{kind}_offset")
        W = np.concatenate([getattr(space, f"{kind}_matrix"), getattr(space, f"{kind}_input_matrix")], axis=1)
        first, cross, second = _slopes(relation, offset, W, weights[f"{kind}_covariance"])
        found[f"{kind}_offset"], found[f"{kind}_covariance"] = first, second
        found[f"{kind}_matrix"], found[f"{kind}_input_matrix"] = cross[:, :n], cross[:, n:]
    if space.initial != "diffuse":
        first, _, second = _slopes(
            initial_relation(m), space.initial_mean, np.zeros((n, 0)), weights["initial_covariance"]
        )
        found["initial_mean"], found["initial_covariance"] = first, second
    return found


def _slopes(relation: Relation, offset: np.ndarray, W: np.ndarray, weight):
    """(∂o, ∂W, ∂Σ)."""
    mean, left = relation.left(offset, W)
    total = relation.count * mean
    second = 0.5 * (weight @ relation.residual(offset, W) @ weight - relation.count * weight)
    return weight @ total, weight @ (left + np.outer(total, relation.sources)), second


def _precision(cov: np.ndarray) -> np.ndarray | None:
    variances = np.diag(cov)
    if not (np.isfinite(variances).all() and (variances > 0).all()):
        return None
    unit = np.sqrt(variances)
    values, vectors = np.linalg.eigh(cov / np.outer(unit, unit))
    if not values.min() > WORST:
        return None
    half = vectors / np.sqrt(values)
    return half @ half.T / np.outer(unit, unit)
