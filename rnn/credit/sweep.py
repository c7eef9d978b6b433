"""Error curves: TD(λ) for a grid of λ and step sizes over several runs, all of a run's grid in one
recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from msgpass import ForwardOnly, run
from msgpass.errors import DataError, ShapeError
from rnn.credit.features import Visits, coded
from rnn.credit.learning_graph import TRACES, UPDATES, Experience, learning_graph
from rnn.credit.rows import numbers
from rnn.credit.td import first_weights
from rnn.credit.traces import check_kind
from rnn.validation import one_of

ROOM = 1 << 25
"""Numbers of weights and traces that one recurrence may hold, 256 MB."""

LIMIT = 1e100
"""Weights of one pair of λ and step size that get there stay there; their error is ∞."""


@dataclass(frozen=True, repr=False)
class Sweep:
    """Root mean squared errors of V.

    Attributes
    ----------
    lambdas, step_sizes : (L,) and (A,) arrays
    by_episode : (L, A, episodes + 1) array
        Before the first episode and after each, averaged over runs; ∞ where weights grew beyond all bounds.
    """

    lambdas: np.ndarray
    step_sizes: np.ndarray
    by_episode: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """(L, A): the mean over all episodes."""
        return self.by_episode[..., 1:].mean(axis=-1)

    @property
    def best(self) -> np.ndarray:
        """(L,): with the best step size of each λ."""
        return self.errors.min(axis=1)

    @property
    def best_step_sizes(self) -> np.ndarray:
        """(L,)."""
        return self.step_sizes[self.errors.argmin(axis=1)]

    def __repr__(self) -> str:
        i, j = np.unravel_index(int(self.errors.argmin()), self.errors.shape)
        return (
            f"<Sweep: {len(self.lambdas)} λ × {len(self.step_sizes)} step sizes, least error "
            f"{self.errors[i, j]:.4g} at λ={self.lambdas[i]:g}, α={self.step_sizes[j]:g}>"
        )

    def to_frame(self):
        """A pandas frame: lambda, step_size, episode, error."""
        from msgpass.optional import pandas

        pd = pandas()
        names = ["lambda", "step_size", "episode"]
        index = pd.MultiIndex.from_product(
            [self.lambdas, self.step_sizes, range(self.by_episode.shape[-1])], names=names
        )
        return pd.DataFrame({"error": self.by_episode.ravel()}, index=index).reset_index()

    def plot(self, figure=None):
        """Error over step size, a line a λ.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn.credit.plot import plot_sweep

        return plot_sweep(self, figure)


def error_curves(
    runs: Sequence,
    true_values,
    lambdas,
    step_sizes,
    *,
    discounts: float = 1.0,
    trace: str = "accumulating",
    update: str = "online",
    weights=None,
    n_states: int | None = None,
    features=None,
) -> Sweep:
    """TD(λ) for every λ and step size on every run.

    Parameters
    ----------
    runs : list
        Each a list of episodes from fresh weights: :class:`Episodes`, or (features, rewards) as for
        :func:`td_lambda`. All with as many episodes.
    true_values : (n,) array
        NaN for states that do not count.
    lambdas, step_sizes : array
    discounts : float
    trace, update, weights, n_states
        As for :func:`td_lambda`.
    features : (n, d) array, optional
        Of the states of ``true_values``; tabular by default.

    Returns
    -------
    Sweep

    Examples
    --------
    >>> from rnn.credit import random_walk
    >>> walk = random_walk(5)
    >>> runs = [walk.sample(10, random_state=seed) for seed in range(5)]
    >>> truth = np.where(walk.terminal, np.nan, walk.values())
    >>> error_curves(runs, truth, [0.0, 0.9], [0.05, 0.2], n_states=7).errors.shape
    (2, 2)
    """
    lams, alphas = _grid("lambdas", lambdas, 1.0), _grid("step_sizes", step_sizes, np.inf)
    one_of("trace", trace, tuple(TRACES)), one_of("update", update, UPDATES)
    if not len(runs):
        raise ShapeError("runs is empty; give a list of runs, each a list of episodes")
    read = [_visits(one, discounts, n_states) for one in runs]
    for k, v in enumerate(read):
        check_kind(trace, v.x, v.rows)
        if len(v.rows.lengths) != len(read[0].rows.lengths) or v.x.shape[1] != read[0].x.shape[1]:
            raise ShapeError(f"run {k} has other numbers of episodes or features than run 0")
    d = read[0].x.shape[1]
    truth = np.asarray(true_values, float)
    x = np.eye(d) if features is None else coded(features, None, 0, False)
    if truth.shape != (len(x),):
        raise ShapeError(f"true_values have shape {truth.shape} for {len(x)} states")
    start = first_weights(weights, d)
    longest = max(v.rows.steps for v in read)
    at_once = max(1, ROOM // (longest * len(lams) * len(alphas) * (2 * d + 1)))
    found = []
    for first in range(0, len(read), at_once):
        found += _errors(read[first : first + at_once], lams, alphas, start, trace, update, x, truth)
    return Sweep(lams, alphas, np.mean(found, axis=0))


def _errors(visits, lams, alphas, start, trace, update, x, truth) -> list[np.ndarray]:
    """(L, A, episodes + 1) of each run."""
    R, d, N = len(visits), len(start), max(v.rows.steps for v in visits)
    data = Experience(*(np.zeros((N, R, 1, 1, width)) for width in (d, d, 1, 1, 1, 1)))
    for k, v in enumerate(visits):  # rows that are missing stay zero, and move nothing
        steps = v.rows.steps
        now = v.rows.last if update == "episode" else [steps - 1]
        data.x[:steps, k, 0, 0], data.y[:steps, k, 0, 0] = v.x, v.y
        for array, numbers_of in ((data.r, v.r), (data.gamma, v.gamma), (data.before, v.before[0])):
            array[:steps, k, 0, 0, 0] = numbers_of
        data.now[now, k] = 1.0
    shape = (R, len(lams), len(alphas), d)
    graph = learning_graph(
        data,
        lams.reshape(1, -1, 1, 1),
        alphas.reshape(1, 1, -1, 1),
        np.broadcast_to(start, shape).copy(),
        trace,
        update,
        LIMIT,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        path = run(graph, schedule=ForwardOnly()).forward["w"]
        found = []
        for k, v in enumerate(visits):
            w = np.concatenate([np.broadcast_to(start, (1, *shape[1:])), path[v.rows.last, k]])
            error = np.sqrt(np.nanmean((w @ x.T - truth) ** 2, axis=-1))
            found.append(np.moveaxis(np.where(error < np.sqrt(LIMIT), error, np.inf), 0, -1))
    return found


def _visits(one, discounts, n_states) -> Visits:
    states, rewards = (one.states, one.rewards) if hasattr(one, "states") else one
    return Visits.of(states, rewards, discounts, 1.0, n_states)


def _grid(name: str, value, high: float) -> np.ndarray:
    array = np.atleast_1d(numbers(name, value, 0, False))
    if array.ndim != 1 or not len(array) or (array < 0).any() or (array > high).any():
        raise DataError(f"{name} must be a list of numbers from 0 to {high:g}")
    return array
