"""One matrix for all steps: A[i, j] = p(z_t = j | z_{t−1} = i)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.coordinates import Domain, Rows
from hmm.learning.restrictions import Restrictions
from hmm.simplex import dirichlet_log_density, dirichlet_slope, draw, log, normalised
from hmm.transitions.base import Transition
from hmm.validation import prior, probabilities
from msgpass import FactorGraph, Table


@dataclass(frozen=True, eq=False)
class Homogeneous(Transition):
    """A transition matrix with a Dirichlet prior on each row; zeros stay zero.

    Parameters
    ----------
    transmat : array, (K, K), row = from
    concentration : float or array that broadcasts to (K, K)
        Of the prior; 1 is maximum likelihood.
    """

    transmat: Any = None
    concentration: Any = 1.0

    FIELDS: ClassVar[tuple[str, ...]] = ("transmat",)

    def with_prior(self, concentration) -> Homogeneous:
        return replace(self, concentration=concentration)

    def check(self, n_components: int) -> Homogeneous:
        shape = (n_components, n_components)
        return replace(
            self,
            transmat=probabilities("transmat_", self.transmat, shape),
            concentration=prior("transmat_prior", self.concentration, shape, positive=True),
        )

    def start(self, allowed: np.ndarray, stay: float, rng: np.random.Generator) -> Homogeneous:
        return replace(self, transmat=drawn_rows(allowed, stay, rng))

    @property
    def n_components(self) -> int:
        return len(self.transmat)

    def check_restrictions(self, restrictions: Restrictions) -> None:
        """Rows can be frozen and tied."""

    def obeying(self, restrictions: Restrictions) -> Homogeneous:
        pooled, frozen = restrictions.pooled_rows(self.transmat), restrictions.transition
        return replace(self, transmat=pooled if frozen is None else np.where(frozen, self.transmat, pooled))

    @property
    def matrix(self) -> np.ndarray:
        return self.transmat

    def attach(self, graph: FactorGraph, z, inputs) -> None:
        graph.factor(Table(graph.parameter("transition", log(self.transmat))), z[:-1], z[1:])

    def values(self, inputs) -> dict[str, np.ndarray]:
        return {"transition": log(self.transmat)}

    def learn(self, arrived: np.ndarray, inputs, restrictions: Restrictions) -> Homogeneous:
        counts = restrictions.pooled_rows(arrived)
        return replace(
            self, transmat=normalised(counts, self.concentration, self.transmat, restrictions.transition)
        )

    def row(self, state: int, inputs, t: int) -> np.ndarray:
        return self.transmat[state]

    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        return arrived.sum(axis=0) - np.diagonal(arrived)

    def sojourn(self) -> np.ndarray:
        """1/(1 − a_kk), ∞ for a state that is never left."""
        leaves = 1 - np.diagonal(self.transmat)
        return np.where(leaves > 0, 1 / np.where(leaves > 0, leaves, 1), np.inf)

    @property
    def n_matrices(self) -> int:
        return 1

    def n_parameters(self) -> int:
        K = len(self.transmat)
        return K * (K - 1)

    def log_prior(self) -> float:
        return dirichlet_log_density(self.transmat, self.concentration)

    def domains(self) -> dict[str, Domain]:
        return {"transmat": Rows(self.concentration)}

    def gradient(self, arrived: np.ndarray, inputs) -> dict[str, np.ndarray]:
        A = self.transmat
        return {"transmat": np.divide(arrived, A, out=np.zeros(A.shape), where=A > 0)}

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return {"transmat": dirichlet_slope(self.transmat, self.concentration)}

    def stationary(self) -> np.ndarray:
        """Of a chain with several, a mixture of all."""
        return stationary(self.transmat)

    def path(self, first: int, n: int, inputs, rng: np.random.Generator) -> np.ndarray:
        cdfs, states = np.cumsum(self.transmat, axis=1).tolist(), [first]
        for u in rng.random(n - 1).tolist():
            states.append(draw(cdfs[states[-1]], u))
        return np.array(states)


def stationary(transmat: np.ndarray) -> np.ndarray:
    """π with π A = π, (K,).

    >>> stationary(np.array([[0.9, 0.1], [0.3, 0.7]])).round(12)
    array([0.75, 0.25])
    """
    K = len(transmat)
    system = np.concatenate([transmat.T - np.eye(K), np.ones((1, K))])
    pi = np.maximum(np.linalg.lstsq(system, np.append(np.zeros(K), 1.0))[0], 0)
    return pi / pi.sum()


def drawn_rows(allowed: np.ndarray, stay: float, rng: np.random.Generator) -> np.ndarray:
    """Rows near uniform over what is allowed, so that the data decide, and drawn, so that states differ even
    where emissions do not, (K, K); a share ``stay`` of each stays where it is, if it may."""
    rows = np.zeros(allowed.shape)
    for i, open_ in enumerate(allowed):
        rows[i, open_] = rng.dirichlet(np.full(open_.sum(), 10.0)) if open_.sum() > 1 else 1.0
        if stay and open_[i]:
            rows[i] *= 1 - stay
            rows[i, i] += stay
    return rows
