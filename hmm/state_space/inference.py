"""Readings of one run of the graph: filtered and smoothed states, one step ahead, forecasts, draws."""

from __future__ import annotations

import numpy as np

from hmm.state_space.graph import make_graph
from hmm.state_space.results import Forecast, States
from hmm.state_space.series import Series, laid_out
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
    mean = np.einsum("tij,tj->ti", np.broadcast_to(H, (len(rows), *H.shape[1:])), states.mean) + d
    if D.shape[-1]:
        mean = mean + np.einsum("tij,tj->ti", np.broadcast_to(D, (len(rows), *D.shape[1:])), series.u[rows])
    cov = H @ states.cov @ np.swapaxes(H, -1, -2) + R
    return mean, (cov + np.swapaxes(cov, -1, -2)) / 2


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
