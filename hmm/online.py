"""Filtering one observation at a time, with constant memory and time.

The graph has two steps: the new observation, whose prior is what was predicted for it, and the next one,
which is missing. One forward run gives p(z_t | x_0 … x_t) at the first and p(z_{t+1} | x_0 … x_t) at the
second.
"""

from __future__ import annotations

import numpy as np

from hmm.chain import Chain
from hmm.inference import normalised
from hmm.simplex import log
from hmm.validation import rows_of_numbers
from msgpass import FactorGraph, ForwardOnly, Table, run
from msgpass.errors import ImpossibleEvidenceError, ShapeError


class OnlineFilter:
    """The filter of a model, fed one observation at a time; made by ``model.online()``.

    Attributes
    ----------
    states : array, (K,)
        p(z_t | x_0 … x_t) after the last observation; before the first, the initial distribution.
    predicted : array, (K,)
        p(z_{t+1} | x_0 … x_t): what is expected of the next observation's state.
    n : int
        Observations so far.
    log_density : float
        log p(x_t | x_0 … x_{t−1}) of the last one.
    log_likelihood : float
        log p(x_0 … x_t).

    Examples
    --------
    >>> from hmm import CategoricalHMM
    >>> model = CategoricalHMM(n_components=2)
    >>> model.startprob_, model.transmat_ = [0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]]
    >>> model.emissionprob_ = [[0.1, 0.9], [0.8, 0.2]]
    >>> online = model.online()
    >>> [online.update(x).round(3).tolist() for x in (1, 1, 0)]
    [[0.818, 0.182], [0.883, 0.117], [0.191, 0.809]]
    >>> round(online.log_likelihood, 4)
    -2.1166
    """

    def __init__(self, model, chain: Chain):
        self._ready, self._chain, self._memory = model._ready, chain, model.memory
        K = len(chain.initial)
        g = FactorGraph()
        z = g.sequence("z", length=2, states=K)
        g.factor(Table(g.parameter("initial", np.zeros(K))), z[0])
        g.factor(Table(g.parameter("transition", log(chain.transition))), z[:-1], z[1:])
        g.factor(Table(g.parameter("log_density", np.zeros((2, K)))), z[:])
        self._graph = g
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence."""
        self.states = self.predicted = np.array(self._chain.initial)
        self.n, self.log_likelihood, self.log_density = 0, 0.0, float("nan")
        self._past: list[np.ndarray] = []

    def update(self, x) -> np.ndarray:
        """Take in one observation and return p(z_t | x_0 … x_t).

        Parameters
        ----------
        x : number or array, (D,) or (1, D)
            NaN is missing.

        Returns
        -------
        array, (K,)

        Raises
        ------
        ShapeError, DataError
        ImpossibleEvidenceError
            If no state explains it; the filter stays as it was.
        """
        row = np.reshape(x, (1, -1)) if np.ndim(x) < 2 else x
        row = rows_of_numbers(row)
        if len(row) != 1:
            raise ShapeError(f"update takes one observation, got {len(row)} rows; call it for each of them")
        _, rows, _ = self._ready(np.concatenate([*self._past, row, np.full(row.shape, np.nan)]), None)
        emission = self._chain.emission
        densities = emission.log_density(emission.prepare(rows))[-2:]
        m = run(
            self._graph,
            schedule=ForwardOnly(),
            values={"initial": log(self.predicted), "log_density": densities},
        )
        if m.total == -np.inf:
            raise ImpossibleEvidenceError(
                f"observation {self.n} ({np.ravel(row)}) has probability zero given those before; treat it "
                "as missing (NaN), or give the model a little probability there",
                self.n,
            )
        self.states, self.predicted = normalised(m.forward["z"])
        self.log_density = float(m.total)
        self.log_likelihood += self.log_density
        self.n += 1
        if self._memory:
            self._past = [*self._past, row][-self._memory :]
        return self.states

    def __repr__(self) -> str:
        return f"<OnlineFilter: {self.n} observations, log-likelihood {self.log_likelihood:.6g}>"
