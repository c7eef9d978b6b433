"""Categorical emissions: B[k, m] = p(x_t = m | z_t = k).

The graph holds log B as a table over (z_t, x_t), so no (T, K) array is made, and what arrives at it are the
expected counts of symbols in states.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hmm.coordinates import Domain, Rows
from hmm.emissions.base import Emission, table
from hmm.emissions.statistics import Statistics, Sums
from hmm.simplex import dirichlet_log_density, dirichlet_slope, log, normalised
from hmm.validation import prior, probabilities
from msgpass import FactorGraph, Messages
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class Categorical(Emission):
    """Probabilities of M symbols in K states, with a Dirichlet prior on each row.

    Parameters
    ----------
    emissionprob : array, (K, M)
    concentration : float or array that broadcasts to (K, M)
        Of the Dirichlet prior; 1 is maximum likelihood.

    Examples
    --------
    >>> emission = Categorical(np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> np.exp(emission.log_density(np.array([0, 1, -1]))).round(1).tolist()
    [[0.9, 0.2], [0.1, 0.8], [1.0, 1.0]]
    """

    emissionprob: np.ndarray
    concentration: float | np.ndarray = 1.0

    LETTERS: ClassVar[dict[str, str]] = {"e": "emissionprob"}

    @classmethod
    def start(cls, n_components: int, n_symbols: int, rng: np.random.Generator, **priors) -> Categorical:
        """Rows drawn at random, so that no two states are alike."""
        return cls(rng.dirichlet(np.ones(n_symbols), n_components), **priors)

    def check(self, n_components: int) -> Categorical:
        shape = (n_components, np.shape(self.emissionprob)[-1] if np.ndim(self.emissionprob) else 0)
        return replace(
            self,
            emissionprob=probabilities("emissionprob_", self.emissionprob, shape),
            concentration=prior("emissionprob_prior", self.concentration, shape, positive=True),
        )

    @property
    def n_features(self) -> int:
        return 1

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """Symbols (T,), −1 where missing."""
        M = self.emissionprob.shape[1]
        if X.max() >= M:
            raise DataError(
                f"X holds the symbol {X.max()} at row {int(X.argmax())}, but the model emits 0 to {M - 1}; "
                f"fit with n_features={X.max() + 1}"
            )
        return X[:, 0].astype(np.int64, copy=False)

    def log_density(self, data: np.ndarray) -> np.ndarray:
        columns = np.concatenate([log(self.emissionprob).T, np.zeros((1, len(self.emissionprob)))])
        return columns[data]

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cdf = np.cumsum(self.emissionprob, axis=1)
        symbols = (rng.random(len(states))[:, None] * cdf[states, -1:] >= cdf[states]).sum(axis=1)
        return symbols[:, None]

    def fit(self, data: np.ndarray, weights: np.ndarray, params: str) -> Categorical:
        return self._from_counts(self._counts(data, weights), params)

    def statistics(self, data: np.ndarray, weights: np.ndarray) -> Statistics:
        return Statistics({"counts": Sums(self._counts(data, weights))})

    def from_statistics(self, statistics: Statistics, params: str) -> Categorical:
        return self._from_counts(statistics["counts"].values, params)

    def _counts(self, data: np.ndarray, weights: np.ndarray) -> np.ndarray:
        seen = data >= 0
        n_symbols = self.emissionprob.shape[1]
        return np.stack([np.bincount(data[seen], w, n_symbols) for w in weights[seen].T])

    def gradient(self, data: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        counts = self._counts(data, weights)
        return {
            "emissionprob": np.divide(counts, self.emissionprob, out=np.zeros_like(counts), where=counts > 0)
        }

    def _from_counts(self, counts: np.ndarray, params: str) -> Categorical:
        if "e" not in params:
            return self
        return replace(self, emissionprob=normalised(counts, self.concentration, self.emissionprob))

    def n_parameters(self) -> dict[str, int]:
        K, M = self.emissionprob.shape
        return {"e": K * (M - 1)}

    def log_prior(self) -> float:
        return dirichlet_log_density(self.emissionprob, self.concentration)

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return {"emissionprob": dirichlet_slope(self.emissionprob, self.concentration)}

    def domains(self, data) -> dict[str, Domain]:
        return {"emissionprob": Rows(self.concentration)}

    # -- its place in the graph -------------------------------------------------------------------------

    def attach(self, graph: FactorGraph, z, data: np.ndarray, groups: np.ndarray | None = None) -> None:
        x = graph.observe("x", data, states=self.emissionprob.shape[1])
        graph.factor(table(graph.parameter("emission", log(self.emissionprob)), groups), z[:], x[:])

    def values(self, data: np.ndarray) -> dict[str, np.ndarray]:
        return {"emission": log(self.emissionprob)}

    def learn(self, data: np.ndarray, messages: Messages, params: str) -> Categorical:
        if "e" not in params:
            return self
        if data.min() < 0:
            # What arrives at the table counts a missing symbol as this model would impute it. That is EM too,
            # but slower by the missing fraction; counting the observed rows leaves the imputed part out.
            return self.fit(data, np.exp(messages.belief["z"]), params)
        return self._from_counts(messages.parameters["emission"], params)
