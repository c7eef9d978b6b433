"""Categorical emissions with a Dirichlet posterior on each state's symbols."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.emissions.base import Emission, table
from hmm.emissions.categorical import Categorical
from hmm.variational.concentrations import checked
from hmm.variational.divergences import dirichlet, expected_log
from hmm.variational.emission import VariationalEmission
from msgpass import FactorGraph, Messages


@dataclass(frozen=True, eq=False)
class CategoricalPosterior(VariationalEmission):
    """Independent Dirichlet distributions of the rows of B.

    The graph's table over (z_t, x_t) holds E[log B], so that expected counts arrive at it. A missing symbol
    says nothing, log 1 = 0. (Summed out of the table as the engine does it, Σ_m exp E[log B_km] < 1 would be
    a valid bound, but a looser one.) With missing symbols the graph therefore has a row a step.

    Parameters
    ----------
    emissionprob_prior, emissionprob_posterior : array, (K, M)
        Concentrations.

    Examples
    --------
    >>> q = CategoricalPosterior(np.ones((1, 2)), np.array([[1.0, 1.0]]))
    >>> q.log_density(np.array([0, -1])).tolist()
    [[-1.0], [0.0]]
    >>> q.fit(np.array([0, -1]), np.ones((2, 1)), "e").point.emissionprob.round(3).tolist()
    [[0.667, 0.333]]
    """

    emissionprob_prior: Any
    emissionprob_posterior: Any

    HELD: ClassVar[dict[str, tuple[str, ...]]] = {"e": ("emissionprob_prior", "emissionprob_posterior")}

    @property
    def point(self) -> Categorical:
        """Posterior means."""
        rows = self.emissionprob_posterior
        return Categorical(rows / rows.sum(axis=1, keepdims=True))

    def check(self, n_components: int) -> CategoricalPosterior:
        shape = (n_components, (np.shape(self.emissionprob_posterior) or (0,))[-1])
        prior, posterior = checked(
            "emissionprob", self.emissionprob_prior, self.emissionprob_posterior, shape
        )
        return replace(self, emissionprob_prior=prior, emissionprob_posterior=posterior)

    def prepare(self, X: np.ndarray) -> np.ndarray:
        return self.point.prepare(X)

    def log_density(self, data: np.ndarray) -> np.ndarray:
        logs = expected_log(self.emissionprob_posterior)
        return np.concatenate([logs.T, np.zeros((1, len(logs)))])[data]

    def fit(self, data: np.ndarray, weights: np.ndarray, params: str) -> CategoricalPosterior:
        return self._from_counts(self.point._counts(data, weights), params)

    def _from_counts(self, counts: np.ndarray, params: str) -> CategoricalPosterior:
        if "e" not in params:
            return self
        return replace(self, emissionprob_posterior=self.emissionprob_prior + counts)

    def log_prior(self) -> float:
        """−KL(q ‖ p)."""
        return -dirichlet(self.emissionprob_posterior, self.emissionprob_prior)

    def attach(self, graph: FactorGraph, z, data: np.ndarray, groups: np.ndarray | None = None) -> None:
        if (data < 0).any():
            super().attach(graph, z, data, groups)
            return
        logs = expected_log(self.emissionprob_posterior)
        x = graph.observe("x", data, states=logs.shape[1])
        graph.factor(table(graph.parameter("emission", logs), groups), z[:], x[:])

    def values(self, data: np.ndarray) -> dict[str, np.ndarray]:
        if (data < 0).any():
            return super().values(data)
        return {"emission": expected_log(self.emissionprob_posterior)}

    def learn(self, data: np.ndarray, messages: Messages, params: str) -> Emission:
        if (data < 0).any():
            return super().learn(data, messages, params)
        return self._from_counts(messages.parameters["emission"], params)
