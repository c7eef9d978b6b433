"""What a run of the graph says of a switching space: expected counts of regimes, and the relations of the
state space in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.state_space.expectation import finite
from hmm.state_space.regression import Relation
from hmm.state_space.series import Series
from hmm.state_space.switching.graph import make_graph, values
from hmm.state_space.switching.space import SwitchingSpace
from msgpass import ForwardOnly, Messages, run


@dataclass(frozen=True, eq=False)
class Expected:
    """What an E-step says.

    Attributes
    ----------
    log_likelihood : float
        log p(y), approximate.
    starts, moves : array, (K,), (K, K)
        Expected counts of regimes of first steps, and of pairs.
    relations : dict of str to list of Relation
        "transition", of x_{t+1} on x_t; "observation", of y_t on x_t; "initial", of x_0: one a regime, with
        expected counts.
    """

    log_likelihood: float
    starts: np.ndarray
    moves: np.ndarray
    relations: dict[str, list[Relation]]


class Expectation:
    """E-steps over one set of data; the graph is built once."""

    def __init__(self, series: Series):
        self.series = series
        self._graph: Any = None

    def messages(self, space: SwitchingSpace, schedule=None, regimes: np.ndarray | None = None) -> Messages:
        """The graph, run with the values of ``space``; with ``regimes``, (T,), given these, which is
        exact."""
        if self._graph is None:
            self._graph = make_graph(space, self.series)
        clamped = {} if regimes is None else {"z": regimes}
        return run(self._graph, schedule=schedule, values=values(space) | clamped)

    def log_likelihood(self, space: SwitchingSpace) -> float:
        """log p(y), approximate."""
        return finite(self.messages(space, ForwardOnly()).total)

    def __call__(self, space: SwitchingSpace, regimes: np.ndarray | None = None) -> Expected:
        """E-step, perhaps given regimes."""
        m, n, p = self.messages(space, regimes=regimes), space.n_states, space.n_outputs
        total = finite(m.total)
        relations = {
            name: [Relation(s.count, s.mean, s.scatter, len(s.mean) - targets) for s in m.statistics[name]]
            for name, targets in (("transition", n), ("observation", p), ("initial", n))
        }
        # Counts are read from beliefs: what arrives at any parameter is made for all of them at once, and a
        # singular covariance has no gradient.
        K = space.n_regimes
        starts = np.exp(m.belief["first regime"]).reshape(-1, K).sum(axis=0)
        moves = np.exp(m.belief["regimes"]).reshape(-1, K, K).sum(axis=0)
        return Expected(total, starts, moves, relations)


def weighted(weights: np.ndarray, z: np.ndarray, cov: np.ndarray, k: int) -> list[Relation]:
    """Relations of each regime from (T, K) weights, (T, d) means and (T, d, d) covariances, the first k of
    the d numbers being sources."""
    found = []
    for w in weights.T:
        total = float(w.sum())
        mean = w @ z / total if total > 0 else np.zeros(z.shape[1])
        away = z - mean
        scatter = np.einsum("t,tab->ab", w, cov) + (w[:, None] * away).T @ away
        found.append(Relation(total, mean, scatter, k))
    return found
