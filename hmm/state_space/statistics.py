"""Expected sufficient statistics of the three relations of a state space, from the messages of a run."""

from __future__ import annotations

import numpy as np

from hmm.state_space.regression import Sums
from hmm.state_space.series import Series, laid_out
from hmm.state_space.space import StateSpace
from msgpass import Messages


def transition_sums(m: Messages, series: Series) -> Sums:
    """Of x_{t+1} given (1, x_t, u_t)."""
    rows = series.sources
    n = m.belief["x"].mean.shape[1]
    if not len(rows):
        return Sums.nothing(1 + n + series.u.shape[1], n)
    pairs = m.belief["transition"]
    return Sums.of(
        _beside_one(pairs.mean[:, :n], series.u[rows]),
        pairs.mean[:, n:],
        pairs.cov[:, :n, :n],
        pairs.cov[:, n:, :n],
        pairs.cov[:, n:, n:],
    )


def observation_sums(m: Messages, space: StateSpace, series: Series, apart: bool) -> list[Sums]:
    """Of y_t given (1, x_t, u_t); rows without any observation say nothing.

    Where some cells of a row are missing, outputs with independent noise are taken one by one; else what is
    missing is filled in by its distribution given the rest: y_m = H_m x + … + R_mo R_oo⁻¹ (y_o − H_o x − …) +
    noise of covariance R_mm − R_mo R_oo⁻¹ R_om.
    """
    x, seen = m.belief["x"], ~np.isnan(series.y)
    mean, cov = x.mean, x.cov
    sources = _beside_one(mean, series.u)
    partly = seen.any(axis=1) & ~seen.all(axis=1)
    if apart and partly.any():
        return [Sums.of(sources[own], series.y[own, j : j + 1], cov[own]) for j, own in enumerate(seen.T)]
    whole = seen.all(axis=1)
    total = Sums.of(sources[whole], series.y[whole], cov[whole])
    parts = ("matrix", "input_matrix", "offset", "covariance")
    if not partly.any():
        return [total]
    H, D, d, R = (laid_out(space, f"observation_{part}", series) for part in parts)
    stepped = [space.varies(f"observation_{part}") for part in parts]
    for t in np.flatnonzero(partly):
        own = [array[t] if moves else array for array, moves in zip((H, D, d, R), stepped, strict=True)]
        total = total + _filled(sources[t], cov[t], series.y[t], series.u[t], seen[t], *own)
    return [total]


def _filled(source, P, y, u, seen, H, D, d, R) -> Sums:
    """Sums of one row with missing cells."""
    p, n = H.shape
    A, noise = np.zeros((p, n)), np.zeros((p, p))
    gain = R[np.ix_(~seen, seen)] @ np.linalg.pinv(R[np.ix_(seen, seen)])
    A[~seen] = H[~seen] - gain @ H[seen]
    expected = y.copy()
    base = D @ u + d
    expected[~seen] = base[~seen] + gain @ (y[seen] - base[seen]) + A[~seen] @ source[1 : 1 + n]
    noise[np.ix_(~seen, ~seen)] = R[np.ix_(~seen, ~seen)] - gain @ R[np.ix_(seen, ~seen)]
    cross = A @ P
    return Sums.of(source[None], expected[None], P[None], cross[None], (cross @ A.T + noise)[None])


def initial_sums(m: Messages, n_sequences: int) -> Sums:
    """Of x_0 given (1,)."""
    first = m.belief["initial"]
    n = first.mean.shape[-1]
    mean, cov = first.mean.reshape(n_sequences, n), first.cov.reshape(n_sequences, n, n)
    ones = np.ones((n_sequences, 1))
    return Sums.of(ones, mean, tt=cov)


def _beside_one(mean: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Sources (1, x, u)."""
    return np.concatenate([np.ones((len(mean), 1)), mean, u], axis=1)
