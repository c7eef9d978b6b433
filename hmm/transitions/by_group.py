"""One matrix for each group of steps (a season, a weekday, a treatment): A[s, i, j] = p(z_t = j | z_{t−1} =
i, s_t = s).

The last column of X says which group a row belongs to; its matrix leads into that row.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.coordinates import Domain, Rows
from hmm.learning.restrictions import Restrictions
from hmm.simplex import dirichlet_log_density, dirichlet_slope, draw, log, normalised
from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import drawn_rows
from hmm.transitions.inputs import used_rows
from hmm.validation import prior, probabilities, whole
from msgpass import FactorGraph, Table
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class ByGroup(Transition):
    """Time-varying transitions: S matrices, and a column of X that chooses among them.

    X is [observations, group]: whole numbers 0 … S − 1 in its last column. The group of a sequence's first
    row leads nowhere and may be missing. With a group for each step (S = T) and no "t" in ``params``, it is
    any given sequence of matrices.

    Parameters
    ----------
    n_groups : int
        Groups S.
    transmat : array, (S, K, K), row = from
        A model's attribute ``transmat_``.
    concentration : float or array that broadcasts to (S, K, K)
        A model's setting ``transmat_prior``.

    Examples
    --------
    Days of two kinds; on those of kind 1 the state changes more often:

    >>> from hmm import PoissonHMM
    >>> from hmm.transitions import ByGroup
    >>> model = PoissonHMM(2, transitions=ByGroup(2))
    >>> model.startprob_, model.lambdas_ = [1, 0], [[1.0], [9.0]]
    >>> model.transmat_ = [[[0.9, 0.1], [0.1, 0.9]], [[0.2, 0.8], [0.8, 0.2]]]
    >>> model.predict([[1, 0], [4, 0], [4, 1]]).tolist(), model.predict([[1, 0], [4, 0], [4, 0]]).tolist()
    ([0, 0, 1], [0, 0, 0])
    """

    n_groups: int
    _: KW_ONLY
    transmat: Any = None
    concentration: Any = 1.0

    FIELDS: ClassVar[tuple[str, ...]] = ("transmat",)
    n_inputs = 1

    def __post_init__(self) -> None:
        whole("n_groups", self.n_groups, 1)

    def with_prior(self, concentration) -> ByGroup:
        return replace(self, concentration=concentration)

    def prior_shape(self, n_components: int) -> tuple[int, ...]:
        return (self.n_groups, n_components, n_components)

    def check(self, n_components: int) -> ByGroup:
        shape = self.prior_shape(n_components)
        return replace(
            self,
            transmat=probabilities("transmat_", self.transmat, shape),
            concentration=prior("transmat_prior", self.concentration, shape, positive=True),
        )

    def start(self, allowed: np.ndarray, stay: float, rng: np.random.Generator) -> ByGroup:
        rows = [drawn_rows(allowed, stay, rng) for _ in range(self.n_groups)]
        return replace(self, transmat=np.stack(rows))

    @property
    def n_components(self) -> int:
        return self.transmat.shape[1]

    @property
    def support(self) -> np.ndarray:
        return (self.transmat > 0).any(axis=0)

    def check_restrictions(self, restrictions: Restrictions) -> None:
        """Rows can be frozen and tied."""

    def obeying(self, restrictions: Restrictions) -> ByGroup:
        alike, frozen = _pooled(self.transmat, restrictions), restrictions.transition
        return replace(self, transmat=alike if frozen is None else np.where(frozen, self.transmat, alike))

    def prepare(self, U: np.ndarray, lengths: list[int]) -> np.ndarray:
        """Group of every row, (T,); 0 at the first rows, which no matrix leads into."""
        groups = np.where(used_rows(lengths), U[:, 0], 0.0)
        wrong = ~((groups >= 0) & (groups < self.n_groups) & (groups == np.floor(groups)))
        if wrong.any():
            t = int(wrong.argmax())
            raise DataError(
                f"the last column of X holds the group {groups[t]:g} at row {t}; groups are whole numbers "
                f"from 0 to {self.n_groups - 1}, and none is missing but at the first row of a sequence"
            )
        return groups.astype(np.int64)

    def attach(self, graph: FactorGraph, z, inputs: np.ndarray) -> None:
        group = graph.observe("group", inputs, states=self.n_groups)
        graph.factor(Table(graph.parameter("transition", log(self.transmat))), group[1:], z[:-1], z[1:])

    def values(self, inputs) -> dict[str, np.ndarray]:
        return {"transition": log(self.transmat)}

    def learn(self, arrived: np.ndarray, inputs, restrictions: Restrictions) -> ByGroup:
        counts = _pooled(arrived, restrictions)
        return replace(
            self, transmat=normalised(counts, self.concentration, self.transmat, restrictions.transition)
        )

    def row(self, state: int, inputs: np.ndarray, t: int) -> np.ndarray:
        return self.transmat[inputs[t], state]

    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        counts = arrived.sum(axis=0)
        return counts.sum(axis=0) - np.diagonal(counts)

    @property
    def n_matrices(self) -> int:
        return len(self.transmat)

    def n_parameters(self) -> int:
        S, K, _ = self.transmat.shape
        return S * K * (K - 1)

    def log_prior(self) -> float:
        return dirichlet_log_density(self.transmat, self.concentration)

    def domains(self) -> dict[str, Domain]:
        return {"transmat": Rows(self.concentration)}

    def gradient(self, arrived: np.ndarray, inputs) -> dict[str, np.ndarray]:
        A = self.transmat
        return {"transmat": np.divide(arrived, A, out=np.zeros(A.shape), where=A > 0)}

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return {"transmat": dirichlet_slope(self.transmat, self.concentration)}

    def path(self, first: int, n: int, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cdfs, states = np.cumsum(self.transmat, axis=2).tolist(), [first]
        for group, u in zip(inputs[1:].tolist(), rng.random(n - 1).tolist(), strict=True):
            states.append(draw(cdfs[group][states[-1]], u))
        return np.array(states)


def _pooled(values: np.ndarray, restrictions: Restrictions) -> np.ndarray:
    """(S, K, K) with tied rows replaced by their mean within each group."""
    return np.swapaxes(restrictions.pooled_rows(np.swapaxes(values, 0, 1)), 0, 1)
