"""Filtering one observation at a time, with constant memory and time.

The graph has two steps: the new observation, whose prior is what was predicted for it, and the next one,
which is missing. One forward run gives p(z_t | x_0 … x_t) at the first and p(z_{t+1} | x_0 … x_t) at the
second.
"""

from __future__ import annotations

import numpy as np

from hmm.chain import Chain
from hmm.emissions.base import table
from hmm.inference import normalised
from hmm.simplex import log
from hmm.validation import rows_of_numbers
from msgpass import FactorGraph, ForwardOnly, Table, run
from msgpass.errors import ImpossibleEvidenceError, ShapeError, UnsupportedError


class OnlineFilter:
    """The filter of a model, fed one observation at a time; made by ``model.online()``.

    Attributes
    ----------
    states : array, (K,)
        p(z_t | x_0 … x_t) after the last observation; before the first, the initial distribution.
    predicted : array, (K,)
        p(z_{t+1} | x_0 … x_t): what is expected of the next observation's state. (Not where transitions are
        driven by inputs: it depends on the next ones.)
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
        self._evidence, self._chain, self._memory = model._evidence, chain, model.memory
        self._graph = None if chain.transition.n_inputs else self._two_steps(None)
        self.reset()

    def _two_steps(self, inputs) -> FactorGraph:
        """The new observation and the next; inputs of the transition between them, if it takes some."""
        chain = self._chain
        S, groups = len(chain.transition.initial(chain.initial)), chain.transition.groups
        g = FactorGraph()
        z = g.sequence("z", length=2, states=S)
        g.factor(Table(g.parameter("initial", np.zeros(S))), z[0])
        chain.transition.attach(g, z, inputs)
        density = g.parameter("log_density", np.zeros((2, S if groups is None else len(chain.initial))))
        g.factor(table(density, groups), z[:])
        return g

    def reset(self) -> None:
        """Begin a new sequence."""
        self.states = np.array(self._chain.initial)
        self._predicted = self._chain.transition.initial(self.states)
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
        ahead = np.full(row.shape, np.nan)
        P = self._chain.transition.n_inputs
        if P:  # the first row's inputs drive nothing and may be missing
            ahead[:, -P:] = row[:, -P:] if self.n else np.nan_to_num(row[:, -P:])
        evidence = self._evidence(self._chain, np.concatenate([*self._past, row, ahead]), None)
        densities = self._chain.emission.log_density(evidence.data)[-2:]
        prior = self._predicted if not P or not self.n else self._carried(row[:, -P:])
        graph = self._graph or self._two_steps(self._chain.transition.prepare(ahead[[0, 0], -P:], [2]))
        m = run(graph, schedule=ForwardOnly(), values={"initial": log(prior), "log_density": densities})
        if m.total == -np.inf:
            raise ImpossibleEvidenceError(
                f"observation {self.n} ({np.ravel(row)}) has probability zero given those before; treat it "
                "as missing (NaN), or give the model a little probability there",
                self.n,
            )
        self._filtered, self._predicted = normalised(m.forward["z"])
        self.states = self._chain.regimes(self._filtered)
        self.log_density = float(m.total)
        self.log_likelihood += self.log_density
        self.n += 1
        if self._memory:
            self._past = [*self._past, row][-self._memory :]
        return self.states

    @property
    def predicted(self) -> np.ndarray:
        """p(z_{t+1} | x_0 … x_t), (K,)."""
        if self._chain.transition.n_inputs and self.n:
            raise UnsupportedError(
                "what comes next depends on the next inputs, which are not known yet; update with a row "
                "of NaN "
                "and those inputs to see"
            )
        return self._chain.regimes(self._predicted)

    def _carried(self, inputs: np.ndarray) -> np.ndarray:
        """The filter one step on, by the inputs of the new row."""
        prepared = self._chain.transition.prepare(np.repeat(inputs, 2, axis=0), [2])
        m = run(self._two_steps(prepared), schedule=ForwardOnly(), values={"initial": log(self._filtered)})
        return normalised(m.forward["z"])[1]

    def __repr__(self) -> str:
        return f"<OnlineFilter: {self.n} observations, log-likelihood {self.log_likelihood:.6g}>"
