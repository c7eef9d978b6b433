"""A homogeneous chain whose states remember those before them: s_t = (z_t, z_{t−1}, …, z_{t−p}).

For emissions that look at earlier states, too. Only K of the K^{p+1} states can follow one, so the table is
sparse, and what arrives at its entries adds up to the expected counts of A."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.coordinates import Domain
from hmm.learning.restrictions import Restrictions
from hmm.simplex import log
from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import Homogeneous
from hmm.validation import whole
from msgpass import FactorGraph, Table


@dataclass(frozen=True, eq=False)
class History(Transition):
    """A transition matrix over states that remember ``order`` states before them.

    Before the first step a sequence is taken to have been where it begins; nothing is observed there.

    Parameters
    ----------
    transmat : array, (K, K), row = from
    concentration : float or array that broadcasts to (K, K)
        Of a Dirichlet prior on each row; 1 is maximum likelihood.
    order : int
        States remembered, p.
    """

    transmat: Any = None
    concentration: Any = 1.0
    order: int = 1

    FIELDS: ClassVar[tuple[str, ...]] = ("transmat",)

    @property
    def _plain(self) -> Homogeneous:
        return Homogeneous(self.transmat, self.concentration)

    def _with(self, plain: Homogeneous) -> History:
        return replace(self, transmat=plain.transmat, concentration=plain.concentration)

    def check(self, n_components: int) -> History:
        whole("order", self.order, 1)
        return self._with(self._plain.check(n_components))

    def start(self, allowed: np.ndarray, stay: float, rng: np.random.Generator) -> History:
        return self._with(self._plain.start(allowed, stay, rng))

    def with_prior(self, concentration) -> History:
        return replace(self, concentration=concentration)

    def check_restrictions(self, restrictions: Restrictions) -> None:
        """Rows can be frozen and tied."""

    def obeying(self, restrictions: Restrictions) -> History:
        return self._with(self._plain.obeying(restrictions))

    @property
    def n_components(self) -> int:
        return len(self.transmat)

    @property
    def states(self) -> np.ndarray:
        """z_t, z_{t−1}, … of each of the graph's states, (S, p + 1)."""
        K, p = len(self.transmat), self.order
        return np.stack(np.unravel_index(np.arange(K ** (p + 1)), (K,) * (p + 1)), axis=1)

    @property
    def regimes(self) -> np.ndarray:
        return self.states[:, 0]

    @property
    def groups(self) -> None:
        """None: the emission sees the states before, too."""
        return None

    def _entries(self) -> tuple[np.ndarray, np.ndarray]:
        """(from, to) of every possible step, (S·K,) each."""
        K = len(self.transmat)
        S = K ** (self.order + 1)
        before, here = np.divmod(np.arange(S * K), K)
        return before, here * (S // K) + before // K

    def initial(self, startprob: np.ndarray) -> np.ndarray:
        K = len(startprob)
        found = np.zeros(K ** (self.order + 1))
        found[np.ravel_multi_index((np.arange(K),) * (self.order + 1), (K,) * (self.order + 1))] = startprob
        return found

    @property
    def matrix(self) -> np.ndarray:
        return self.transmat

    def attach(self, graph: FactorGraph, z, inputs) -> None:
        values = graph.parameter("transition", self.values(inputs)["transition"])
        graph.factor(Table.sparse(values, *self._entries()), z[:-1], z[1:])

    def values(self, inputs) -> dict[str, np.ndarray]:
        return {"transition": log(self.transmat[self.regimes]).ravel()}

    def learn(self, arrived: np.ndarray, inputs, restrictions: Restrictions) -> History:
        return self._with(self._plain.learn(self._counts(arrived), inputs, restrictions))

    def _counts(self, arrived: np.ndarray) -> np.ndarray:
        """Expected counts of A, (K, K)."""
        K = len(self.transmat)
        return arrived.reshape(K, -1, K).sum(axis=1)

    def row(self, state: int, inputs, t: int) -> np.ndarray:
        K = len(self.transmat)
        S = K ** (self.order + 1)
        found = np.zeros(S)
        found[np.arange(K) * (S // K) + state // K] = self.transmat[state // (S // K)]
        return found

    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        return self._plain.entries(self._counts(arrived), inputs)

    def sojourn(self) -> np.ndarray:
        return self._plain.sojourn()

    def stationary(self) -> np.ndarray:
        return self._plain.stationary()

    @property
    def n_matrices(self) -> int:
        return 1

    def n_parameters(self) -> int:
        return self._plain.n_parameters()

    def log_prior(self) -> float:
        return self._plain.log_prior()

    def domains(self) -> dict[str, Domain]:
        return self._plain.domains()

    def gradient(self, arrived: np.ndarray, inputs) -> dict[str, np.ndarray]:
        return self._plain.gradient(self._counts(arrived), inputs)

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return self._plain.prior_gradient()
