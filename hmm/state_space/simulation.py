"""Draws from a state space itself."""

from __future__ import annotations

import numpy as np

from hmm.state_space.series import Series, laid_out, times
from hmm.state_space.space import StateSpace
from msgpass.errors import DataError


def root(cov: np.ndarray) -> np.ndarray:
    """L with L Lᵀ = cov, which may be singular, of a stack."""
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


def simulate(space: StateSpace, n: int, u: np.ndarray, rng: np.random.Generator, start=None):
    """(observations (n, p), states (n, n_states)) of one sequence.

    Parameters
    ----------
    space : StateSpace
    n : int
    u : array, (n, k)
    rng : numpy.random.Generator
    start : array, (n_states,), optional
        The first state.
    """
    series = Series(np.zeros((n, space.n_outputs)), u, [n])
    if start is None and (space.initial == "diffuse" or not np.isfinite(space.initial_covariance).all()):
        raise DataError(
            "the first state has a flat density, which cannot be drawn from; give start=, a state"
        )

    def part(name: str, rows: int) -> np.ndarray:
        array = laid_out(space, name, series)
        return array if space.varies(name) else np.broadcast_to(array, (rows, *array.shape))

    m, p = space.n_states, space.n_outputs
    first = rng.normal(size=m)
    x = np.empty((n, m))
    x[0] = space.initial_mean + root(space.initial_covariance) @ first if start is None else start
    noise = rng.normal(size=(n - 1, m))
    F, B, b = (part(f"transition_{name}", n - 1) for name in ("matrix", "input_matrix", "offset"))
    roots = root(laid_out(space, "transition_covariance", series))
    moved = b + times(B, u[:-1]) + times(roots, noise)
    for t in range(n - 1):
        x[t + 1] = F[t] @ x[t] + moved[t]
    H, D, d = (part(f"observation_{name}", n) for name in ("matrix", "input_matrix", "offset"))
    roots = root(laid_out(space, "observation_covariance", series))
    y = times(H, x) + times(D, u) + d + times(roots, rng.normal(size=(n, p)))
    return y, x
