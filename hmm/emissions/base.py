"""The contract of an emission: what a state says about an observation.

An emission is a frozen dataclass of arrays with one row a state. To add one, subclass :class:`Emission` and
write

- ``log_density(data)`` → (T, K), log p(x_t | z_t = k), 0 where x_t is missing;
- ``sample(states, rng)`` → (n, D), one draw for each state;
- ``fit(data, weights, params)`` → the emission that maximises Σ_tk weights[t, k] log p(x_t | k) + log prior;
- ``n_parameters()``, ``n_features``, ``check()`` and ``LETTERS``;
- ``prepare(X)`` where something is worth computing once a data set.

It then works in every model: the log densities enter the graph as one parameter, and what arrives there,
∂log Z/∂log p(x_t | k), is the posterior γ_t(k) that ``fit`` wants as weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from msgpass import FactorGraph, Messages, Table


class Emission(ABC):
    """Base of all emissions."""

    LETTERS: ClassVar[dict[str, str]] = {}
    """Letter in an estimator's ``params`` → field of the emission."""

    def prepare(self, X: np.ndarray) -> Any:
        """What ``log_density`` and ``fit`` need of (T, D) data, computed once; NaN is missing."""
        return X

    @abstractmethod
    def log_density(self, data) -> np.ndarray:
        """log p(x_t | z_t = k), (T, K)."""

    @abstractmethod
    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One observation for each of ``states``, (n, D)."""

    @abstractmethod
    def fit(self, data, weights: np.ndarray, params: str) -> Emission:
        """The emission that maximises the weighted log-likelihood plus log prior in the fields named by
        ``params``.

        A state without weight keeps its values.
        """

    @abstractmethod
    def n_parameters(self) -> dict[str, int]:
        """Free numbers by letter."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Columns D of X."""

    @abstractmethod
    def check(self, n_components: int) -> Emission:
        """Itself with arrays made of what the user set, or a typed error."""

    def log_prior(self) -> float:
        """Log prior density of the parameters, up to a constant; 0 under maximum likelihood."""
        return 0.0

    # -- its place in the graph -------------------------------------------------------------------------

    def attach(self, graph: FactorGraph, z, data) -> None:
        """Add the emission's factors over the states ``z``."""
        densities = graph.parameter("log_density", self.log_density(data))
        graph.factor(Table(densities), z[:])

    def values(self, data) -> dict[str, np.ndarray]:
        """Values of the graph's parameters under this emission."""
        return {"log_density": self.log_density(data)}

    def learn(self, data, messages: Messages, params: str) -> Emission:
        """M-step: ``fit`` with the posteriors that arrived at the graph's parameter."""
        return self.fit(data, messages.parameters["log_density"], params)


def observed_cells(X: np.ndarray) -> np.ndarray | None:
    """1.0 where a cell is observed and 0.0 where it is NaN, (D, T); None if nothing is missing."""
    missing = np.isnan(X.T)
    return (~missing).astype(np.float64) if missing.any() else None
