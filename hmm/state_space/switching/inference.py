"""Readings of one run of the graph: filtered and smoothed mixtures, forecasts; and draws from the model."""

from __future__ import annotations

import numpy as np

from hmm.simplex import draw
from hmm.state_space.series import Series
from hmm.state_space.simulation import root
from hmm.state_space.switching.graph import make_graph
from hmm.state_space.switching.results import SwitchingForecast, SwitchingStates, moments
from hmm.state_space.switching.space import SwitchingSpace
from msgpass import ForwardOnly, run


def states(space: SwitchingSpace, series: Series, filtered: bool) -> SwitchingStates:
    """p(x_t, s_t | y), or given the rows up to t."""
    schedule = ForwardOnly() if filtered else None
    found = run(make_graph(space, series), schedule=schedule).mixture("x", filtered=filtered)
    weights = np.exp(found.log_weights)
    mean, cov = moments(weights, found.means, found.covs)
    return SwitchingStates(mean, cov, weights, found.means, found.covs)


def forecast(space: SwitchingSpace, series: Series, steps: int) -> SwitchingForecast:
    """The next steps of every sequence, (N, h, …): what the filter says of rows that are missing."""
    extended = series.extended(steps, None)
    rows = (extended.offsets[1:, None] - steps + np.arange(steps)).ravel()
    found = states(space, extended, filtered=True)
    H, d, R = space.observation_matrix, space.observation_offset, space.observation_covariance
    means = np.einsum("kpa,tka->tkp", H, found.regime_means[rows]) + d
    covs = H @ found.regime_covs[rows] @ np.swapaxes(H, -1, -2) + R
    mean, cov = moments(found.regimes[rows], means, covs)
    parts = (found.mean[rows], found.cov[rows], mean, cov, found.regimes[rows])
    N = len(series.lengths)
    return SwitchingForecast(*(part.reshape(N, steps, *part.shape[1:]) for part in parts))


def simulate(space: SwitchingSpace, T: int, rng: np.random.Generator):
    """(observations (T, p), states (T, n), regimes (T,)) of one sequence."""
    n, p = space.n_states, space.n_outputs
    starts, moves = np.cumsum(space.startprob).tolist(), np.cumsum(space.transmat, axis=1).tolist()
    regimes = np.empty(T, np.int64)
    for t, u in enumerate(rng.random(T)):
        regimes[t] = draw(moves[regimes[t - 1]] if t else starts, u)
    noise = np.einsum("tab,tb->ta", root(space.transition_covariance)[regimes], rng.normal(size=(T, n)))
    x = np.empty((T, n))
    first = regimes[0]
    x[0] = space.initial_mean[first] + root(space.initial_covariance)[first] @ rng.normal(size=n)
    for t in range(1, T):
        k = regimes[t]
        x[t] = space.transition_matrix[k] @ x[t - 1] + space.transition_offset[k] + noise[t]
    y = np.einsum("tpa,ta->tp", space.observation_matrix[regimes], x) + space.observation_offset[regimes]
    y += np.einsum("tpq,tq->tp", root(space.observation_covariance)[regimes], rng.normal(size=(T, p)))
    return y, x, regimes
