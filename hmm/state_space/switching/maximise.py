"""The M-step by regime: each relation is a regression in each regime, some of whose numbers regimes share.

    W_k, o_k = argmin Σ_k tr Σ_k⁻¹ E_k[(y − o − W z)(y − o − W z)ᵀ],   then Σ_k given these

Where regimes share coefficients but not their noise, the normal equations of all regimes are solved together.
"""

from __future__ import annotations

import numpy as np

from hmm.simplex import normalised
from hmm.state_space.maximise import best_covariance
from hmm.state_space.regression import Relation, coefficients, least_change, precision_of_rows
from hmm.state_space.switching.expectation import Expected
from hmm.state_space.switching.space import SwitchingSpace
from hmm.state_space.switching.structure import SwitchingStructure

NEGLIGIBLE = 1e-8
"""Expected rows below which a regime keeps its values: it explains nothing."""

RELATIONS = {
    "transition": ("transition_offset", "transition_matrix", "transition_covariance"),
    "observation": ("observation_offset", "observation_matrix", "observation_covariance"),
    "initial": ("initial_mean", None, "initial_covariance"),
}
"""Offset, matrix and covariance of each."""


def maximise(space: SwitchingSpace, expected: Expected, structure: SwitchingStructure) -> SwitchingSpace:
    """The space with learned parameters moved to where they make the expected complete likelihood larger."""
    found: dict[str, np.ndarray] = {}
    for name, counts in (("startprob", expected.starts), ("transmat", expected.moves)):
        if name in structure.free:
            held = ~structure.free[name]
            mask = held if held.any() else None
            found[name] = normalised(counts, structure.concentrations[name], getattr(space, name), mask)
    for kind, names in RELATIONS.items():
        if any(name in structure.free for name in names if name is not None):
            found |= _relation(kind, space, expected.relations[kind], structure)
    return space.with_values(found)


def _relation(
    kind: str, space: SwitchingSpace, relations: list[Relation], structure: SwitchingStructure
) -> dict[str, np.ndarray]:
    o_name, W_name, cov_name = RELATIONS[kind]
    offset, cov = getattr(space, o_name), getattr(space, cov_name)
    W = np.zeros((*offset.shape, 0)) if W_name is None else getattr(space, W_name)
    free_o = structure.free.get(o_name, np.zeros(offset.shape, bool))
    free_W = (
        np.zeros(W.shape, bool) if W_name is None else structure.free.get(W_name, np.zeros(W.shape, bool))
    )
    shared = [name in space.shared for name in (o_name, W_name or o_name, cov_name)]
    if free_o.any() or free_W.any():
        if not (shared[0] or shared[1]):
            solved = [
                coefficients(r, *now) if r.count > NEGLIGIBLE else now[:2]
                for r, *now in zip(relations, offset, W, free_o, free_W, cov, strict=True)
            ]
            offset, W = (np.stack(part) for part in zip(*solved, strict=True))
        elif all(shared):
            one = coefficients(pooled(relations), offset[0], W[0], free_o[0], free_W[0], cov[0])
            offset, W = (np.repeat(part[None], len(relations), axis=0) for part in one)
        else:
            offset, W = _together(relations, offset, W, free_o, free_W, cov, shared)
    found = {o_name: offset} | ({} if W_name is None else {W_name: W})
    found = {name: value for name, value in found.items() if name in structure.free}
    if cov_name in structure.free:
        found[cov_name] = _covariances(cov_name, relations, offset, W, cov, structure, shared[2])
    return found


def _covariances(name, relations, offset, W, now, structure: SwitchingStructure, shared: bool) -> np.ndarray:
    n = now.shape[-1]
    residuals = [r.residual(o, w) for r, o, w in zip(relations, offset, W, strict=True)]
    counts = [r.count for r in relations]
    if shared:
        if sum(counts) <= NEGLIGIBLE:
            return now
        own = structure.of_covariance(name, 0)
        one = best_covariance(name, np.sum(residuals, axis=0), np.full(n, sum(counts)), now[0], own)
        return np.repeat(one[None], len(now), axis=0)
    return np.stack(
        [
            best_covariance(name, S, np.full(n, count), cov, structure.of_covariance(name, k))
            if count > NEGLIGIBLE and structure.free[name][k].any()
            else cov
            for k, (S, count, cov) in enumerate(zip(residuals, counts, now, strict=True))
        ]
    )


def pooled(relations: list[Relation]) -> Relation:
    """One relation of the rows of all regimes."""
    counts = np.array([r.count for r in relations])
    means = np.stack([r.mean for r in relations])
    total = float(counts.sum())
    mean = counts @ means / total if total > 0 else means[0]
    away = means - mean
    scatter = np.sum([r.scatter for r in relations], axis=0) + (counts[:, None] * away).T @ away
    return Relation(total, mean, scatter, relations[0].k)


def _together(relations, offset, W, free_o, free_W, cov, shared) -> tuple[np.ndarray, np.ndarray]:
    """Solve for what regimes share and what they do not at once: change from where they are."""
    masks = np.concatenate([free_o[..., None], free_W], axis=2)
    width = masks.shape[2]
    # the number of each entry's unknown: shared columns have those of the first regime
    places = np.arange(masks.size).reshape(masks.shape)
    for part, one in ((slice(0, 1), shared[0]), (slice(1, width), shared[1])):
        if one:
            places[:, :, part] = places[:1, :, part]
    unknowns, numbers = np.unique(places[masks], return_inverse=True)
    index = np.full(masks.shape, -1)
    index[masks] = numbers
    system, pull = np.zeros((len(unknowns), len(unknowns))), np.zeros(len(unknowns))
    for k, r in enumerate(relations):
        if r.count <= NEGLIGIBLE:
            continue
        mean, left = r.left(offset[k], W[k])
        z = r.sources
        left, zz = left + r.count * np.outer(mean, z), r.spread + r.count * np.outer(z, z)
        full = np.block([[np.array([[r.count]]), r.count * z[None]], [r.count * z[:, None], zz]])
        weight = precision_of_rows(cov[k], masks[k])
        pulls = weight @ np.concatenate([r.count * mean[:, None], left], axis=1)
        rows, columns = np.nonzero(masks[k])
        own = index[k, rows, columns]
        np.add.at(system, (own[:, None], own), weight[rows[:, None], rows] * full[columns[:, None], columns])
        np.add.at(pull, own, pulls[rows, columns])
    change = np.append(least_change(system, pull), 0.0)[index]
    return offset + change[..., 0], W + change[..., 1:]
