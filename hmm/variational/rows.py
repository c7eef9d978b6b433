"""A transition matrix that is not known, with a Dirichlet posterior on each of its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.learning.restrictions import Restrictions
from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import Homogeneous, drawn_rows
from hmm.variational.concentrations import checked
from hmm.variational.divergences import dirichlet, expected_log
from msgpass import FactorGraph, Table


@dataclass(frozen=True, eq=False)
class DirichletRows(Transition):
    """Independent Dirichlet distributions of the rows of A; where a concentration is 0 there is no way.

    The graph's table holds E[log A].

    Parameters
    ----------
    transmat_prior, transmat_posterior : array, (K, K)
        Concentrations.
    steps : float
        Transitions that ``start`` makes up, in all.
    """

    transmat_prior: Any
    transmat_posterior: Any
    steps: float = 0.0

    FIELDS: ClassVar[tuple[str, ...]] = ("transmat_prior", "transmat_posterior")

    @property
    def point(self) -> Homogeneous:
        """Posterior means."""
        rows = self.transmat_posterior
        return Homogeneous(rows / rows.sum(axis=1, keepdims=True))

    def check(self, n_components: int) -> DirichletRows:
        prior, posterior = checked(
            "transmat", self.transmat_prior, self.transmat_posterior, (n_components, n_components)
        )
        return replace(self, transmat_prior=prior, transmat_posterior=posterior)

    def start(self, allowed: np.ndarray, stay: float, rng: np.random.Generator) -> DirichletRows:
        """The prior, with ``steps`` transitions shared out as Baum-Welch would start."""
        prior = np.where(allowed, self.transmat_prior, 0.0)
        counts = self.steps / len(allowed) * drawn_rows(allowed, stay, rng)
        return replace(self, transmat_prior=prior, transmat_posterior=prior + counts)

    @property
    def n_components(self) -> int:
        return len(self.transmat_posterior)

    def attach(self, graph: FactorGraph, z, inputs) -> None:
        graph.factor(Table(graph.parameter("transition", self.values(inputs)["transition"])), z[:-1], z[1:])

    def values(self, inputs) -> dict[str, np.ndarray]:
        return {"transition": expected_log(self.transmat_posterior)}

    def learn(self, arrived: np.ndarray, inputs, restrictions: Restrictions) -> DirichletRows:
        return replace(self, transmat_posterior=self.transmat_prior + arrived)

    def log_prior(self) -> float:
        """−KL(q ‖ p)."""
        return -dirichlet(self.transmat_posterior, self.transmat_prior)

    def row(self, state: int, inputs, t: int) -> np.ndarray:
        return self.point.row(state, inputs, t)

    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        return self.point.entries(arrived, inputs)

    def n_parameters(self) -> int:
        return self.point.n_parameters()
