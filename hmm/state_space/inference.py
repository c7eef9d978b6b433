"""Readings of one run of the graph: filtered and smoothed states, one step ahead, forecasts, draws."""

from __future__ import annotations

import numpy as np

from hmm.state_space.graph import make_graph
from hmm.state_space.results import Forecast, States
from hmm.state_space.series import Series, laid_out, times
from hmm.state_space.space import StateSpace
from msgpass import ForwardOnly, Messages, run
from msgpass.errors import ShapeError


def messages(space: StateSpace, series: Series, algebra=None, schedule=None) -> Messages:
    """One run."""
    return run(make_graph(space, series), algebra, schedule)


def filtered(space: StateSpace, series: Series) -> States:
    """p(x_t | y_0 … y_t)."""
    found = messages(space, series, schedule=ForwardOnly()).forward["x"]
    return States(found.mean, found.cov)


def smoothed(m: Messages) -> States:
    """p(x_t | y)."""
    found = m.belief["x"]
    return States(found.mean, found.cov)


def lag_one(m: Messages, n: int) -> np.ndarray:
    """Cov(x_{t+1}, x_t | y) for every pair of neighbours, (T − N, n, n)."""
    cov = m.belief["transition"].cov
    return cov.reshape(-1, 2 * n, 2 * n)[:, n:, :n]


def observed(
    space: StateSpace, series: Series, states: States, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the observations at some rows, given the states there."""

    def part(name: str) -> np.ndarray:
        array = laid_out(space, f"observation_{name}", series)
        return array[rows] if space.varies(f"observation_{name}") else array[None]

    H, D, d, R = map(part, ("matrix", "input_matrix", "offset", "covariance"))
    x, P = states
    open_ = ~np.isfinite(
        np.diagonal(P, axis1=-2, axis2=-1)
    )  # ∞ · 0 = 0: what a row does not see, it does not need
    if open_.any():
        x = np.where(open_, 0.0, x)
        P = np.where(open_[:, :, None] | open_[:, None, :], 0.0, P)
    mean = times(H, x) + times(D, series.u[rows]) + d
    cov = H @ P @ np.swapaxes(H, -1, -2) + R
    if open_.any():
        unknown = ((H != 0) & open_[:, None, :]).any(axis=-1)
        mean = np.where(unknown, np.nan, mean)
        cov = np.where(unknown[:, :, None] | unknown[:, None, :], np.inf, cov)
    return mean, (cov + np.swapaxes(cov, -1, -2)) / 2


def one_step(space: StateSpace, series: Series) -> Forecast:
    """Every step given those before it: the filter moved on by the transition, the start where there is none
    before; NaN means and infinite variances where a flat start leaves them open."""
    before, n, T = filtered(space, series), space.n_states, len(series.y)
    mean, cov = np.full((T, n), np.nan), np.full((T, n, n), np.inf)
    first, rows = series.offsets[:-1], series.sources
    if space.initial != "diffuse" and np.isfinite(space.initial_covariance).all():
        mean[first], cov[first] = space.initial_mean, space.initial_covariance
    F, B, b, Q = (
        laid_out(space, f"transition_{part}", series)
        for part in ("matrix", "input_matrix", "offset", "covariance")
    )
    known = np.isfinite(before.cov).all(axis=(1, 2))[rows]
    with np.errstate(invalid="ignore"):
        moved = F @ before.cov[rows] @ np.swapaxes(F, -1, -2) + Q
        mean[rows + 1] = times(F, before.mean[rows]) + times(B, series.u[rows]) + b
    cov[rows + 1] = np.where(known[:, None, None], (moved + np.swapaxes(moved, -1, -2)) / 2, np.inf)
    mean[rows[~known] + 1] = np.nan
    states = States(mean, cov)
    with np.errstate(invalid="ignore"):
        seen, spread = observed(space, series, states, np.arange(T))
    open_ = ~np.isfinite(cov).all(axis=(1, 2))
    spread[open_] = np.inf
    return Forecast(mean, cov, seen, spread)


def log_densities(y: np.ndarray, found: Forecast) -> np.ndarray:
    """log N(y_t; mean, cov) of the cells that are there, (T,): 0 where there is none, NaN where the variance
    is infinite."""
    seen = ~np.isnan(y)
    out = np.zeros(len(y))
    patterns, which = np.unique(seen, axis=0, return_inverse=True)
    for number, cells in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == number)
        if not cells.any():
            continue
        S = found.cov[np.ix_(rows, cells, cells)]
        finite = np.isfinite(S).all(axis=(1, 2))
        out[rows[~finite]] = np.nan
        rows, S = rows[finite], S[finite]
        away = (y[rows] - found.mean[rows])[:, cells]
        solved = np.linalg.solve(S, away[..., None])[..., 0]
        out[rows] = -0.5 * (
            cells.sum() * np.log(2 * np.pi) + np.linalg.slogdet(S)[1] + np.einsum("ti,ti->t", away, solved)
        )
    return out


def forecast(space: StateSpace, series: Series, steps: int, inputs: np.ndarray | None) -> Forecast:
    """The next steps of every sequence, (N, h, …): what the filter says of rows that are missing."""
    extended = series.extended(steps, inputs)
    try:
        states = filtered(space, extended)
    except ShapeError as problem:
        raise ShapeError(f"forecast: {problem}; the steps to come are among them") from None
    ends = extended.offsets[1:]
    rows = (ends[:, None] - steps + np.arange(steps)).ravel()
    own = States(states.mean[rows], states.cov[rows])
    mean, cov = observed(space, extended, own, rows)
    N = len(series.lengths)
    return Forecast(*(array.reshape(N, steps, *array.shape[1:]) for array in (*own, mean, cov)))


def totals(space: StateSpace, series: Series) -> np.ndarray:
    """log p of every sequence, (N,)."""
    return messages(space, series, schedule=ForwardOnly()).totals("x")


def draws(space: StateSpace, series: Series, rng: np.random.Generator, n: int) -> np.ndarray:
    """Paths of states from their posterior, (n, T, n_states)."""
    return messages(space, series).sample("x", rng, n)
