"""The factor graph of a state space and data: states "x", observations "y", inputs "u", one factor for the
start, one for all transitions, one for all observations. Parameters have the names of the attributes.

With inputs, "transition_matrix" and "observation_matrix" are [F B] and [H D], which act on states and inputs
end to end.
"""

from __future__ import annotations

import numpy as np

from hmm.state_space.series import Series, laid_out
from hmm.state_space.space import StateSpace
from msgpass import FactorGraph, Quadratic


def make_graph(space: StateSpace, series: Series) -> FactorGraph:
    """The graph; :func:`values` make it a graph of other parameters."""
    g, lengths, given = FactorGraph(), series.lengths, values(space, series)
    n = space.n_states
    x = g.sequence("x", length=lengths if len(lengths) > 1 else lengths[0], shape=(n,))
    y = g.observe("y", series.y)
    u = g.observe("u", series.u) if space.n_inputs else None
    known = {name: g.parameter(name, value) for name, value in given.items()}
    if space.initial != "diffuse":
        cov = known.get("initial_covariance", space.initial_covariance)
        g.factor(Quadratic.prior(known["initial_mean"], cov), x[0], name="initial")
    F, Q, b = (known[f"transition_{part}"] for part in ("matrix", "covariance", "offset"))
    H, R, d = (known[f"observation_{part}"] for part in ("matrix", "covariance", "offset"))
    before, here = ([x[:-1]], [x[:]]) if u is None else ([x[:-1], u[:-1]], [x[:], u[:]])
    g.factor(Quadratic.linear_gaussian(F, Q, b), *before, x[1:], name="transition")
    g.factor(Quadratic.linear_gaussian(H, R, d), *here, y[:], name="observation")
    return g


def values(space: StateSpace, series: Series) -> dict[str, np.ndarray]:
    """The graph's parameters by name."""

    def part(name: str) -> np.ndarray:
        return laid_out(space, name, series)

    found = {}
    for kind in ("transition", "observation"):
        found[f"{kind}_matrix"] = _beside(part(f"{kind}_matrix"), part(f"{kind}_input_matrix"))
        found[f"{kind}_covariance"] = part(f"{kind}_covariance")
        found[f"{kind}_offset"] = part(f"{kind}_offset")
    if space.initial != "diffuse":
        found["initial_mean"] = space.initial_mean
        if np.isfinite(space.initial_covariance).all():  # a flat direction is part of the graph, not a number
            found["initial_covariance"] = space.initial_covariance
    return found


def _beside(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """[A B], with a step axis if either has one."""
    if not B.shape[-1]:
        return A
    lead = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    return np.concatenate([np.broadcast_to(M, lead + M.shape[-2:]) for M in (A, B)], axis=-1)
