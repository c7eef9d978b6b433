"""One matrix of which few entries are possible, as a sparse array: a run costs what its entries cost.

For many states each of which can only go to a few: banded chains, grids, profiles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array, issparse

from hmm.learning.restrictions import Restrictions
from hmm.simplex import NEGLIGIBLE, log
from hmm.transitions.base import Transition
from hmm.validation import SUM_TOLERANCE, prior
from msgpass import FactorGraph, Table
from msgpass.errors import DataError, ProbabilityError, ShapeError, UnsupportedError

DENSE = 4096
"""States up to which ``matrix`` is written out in full."""


@dataclass(frozen=True, eq=False)
class Sparse(Transition):
    """A sparse transition matrix with a Dirichlet prior on each row; what is not stored stays impossible.

    A model takes it by itself where its ``topology`` or its ``transmat_`` is sparse.

    Parameters
    ----------
    transmat : scipy.sparse array, (K, K), row = from
        A model's attribute ``transmat_``, a ``csr_array``.
    concentration : float or array that broadcasts to (K, K)
        A model's setting ``transmat_prior``.

    Examples
    --------
    A walk on a thousand places that goes on or stays; 2 000 numbers and not a million:

    >>> import numpy as np
    >>> from hmm import PoissonHMM
    >>> model = PoissonHMM(1000, topology="cyclic", random_state=0)
    >>> model.startprob_, model.lambdas_ = np.full(1000, 1e-3), 1 + np.arange(1000.0)[:, None]
    >>> model.params = model.init_params = "t"
    >>> X = np.repeat(np.arange(500, 600), 3)
    >>> model = model.fit(X)
    >>> model.transmat_.shape, model.transmat_.nnz
    ((1000, 1000), 2000)
    """

    transmat: Any = None
    concentration: Any = 1.0

    FIELDS: ClassVar[tuple[str, ...]] = ("transmat",)
    SPARSE: ClassVar[bool] = True

    def with_prior(self, concentration) -> Sparse:
        return replace(self, concentration=concentration)

    def check(self, n_components: int) -> Sparse:
        shape = (n_components, n_components)
        return replace(
            self,
            transmat=_checked(self.transmat, shape),
            concentration=prior("transmat_prior", self.concentration, shape, positive=True),
        )

    def start(self, allowed, stay: float, rng: np.random.Generator) -> Sparse:
        """Rows as :func:`~hmm.transitions.homogeneous.drawn_rows` has them, over a sparse mask."""
        mask = csr_array(allowed)
        rows = _rows(mask)
        drawn = rng.standard_gamma(10.0, len(rows))
        p = drawn / _sums(drawn, mask)[rows]
        own = rows == mask.indices
        stays = np.zeros(mask.shape[0])
        stays[rows[own]] = stay
        p = p * (1 - stays[rows])
        p[own] += stays[rows[own]]
        return replace(self, transmat=csr_array((p, mask.indices, mask.indptr), shape=mask.shape))

    @property
    def n_components(self) -> int:
        return self.transmat.shape[0]

    @property
    def support(self) -> Any:
        return self.transmat > 0

    @property
    def matrix(self) -> np.ndarray:
        """The matrix in full, of up to 4096 states."""
        if self.n_components > DENSE:
            raise UnsupportedError(
                f"a matrix of {self.n_components} states is not written out in full; read the sparse "
                "transmat_"
            )
        return self.transmat.toarray()

    def attach(self, graph: FactorGraph, z, inputs) -> None:
        values = graph.parameter("transition", log(self.transmat.data))
        graph.factor(Table.sparse(values, _rows(self.transmat), self.transmat.indices), z[:-1], z[1:])

    def values(self, inputs) -> dict[str, np.ndarray]:
        return {"transition": log(self.transmat.data)}

    def _with(self, p: np.ndarray) -> Sparse:
        A = self.transmat
        return replace(self, transmat=csr_array((p, A.indices, A.indptr), shape=A.shape))

    def _extra(self) -> Any:
        """Concentration − 1 of every entry."""
        extra = np.asarray(self.concentration) - 1.0
        if extra.size == 1:
            return float(extra.ravel()[0])
        return np.broadcast_to(extra, self.transmat.shape)[_rows(self.transmat), self.transmat.indices]

    def learn(self, arrived: np.ndarray, inputs, restrictions: Restrictions) -> Sparse:
        """Rows without counts keep their values, and zeros stay zero."""
        A = self.transmat
        mass = np.where(A.data > 0, np.maximum(arrived + self._extra(), 0.0), 0.0)
        total = _sums(mass, A)[_rows(A)]
        known = total > NEGLIGIBLE
        return self._with(np.where(known, mass / np.where(known, total, 1.0), A.data))

    def row(self, state: int, inputs, t: int) -> np.ndarray:
        A, found = self.transmat, np.zeros(self.n_components)
        here = slice(A.indptr[state], A.indptr[state + 1])
        found[A.indices[here]] = A.data[here]
        return found

    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        A = self.transmat
        moved = np.where(_rows(A) == A.indices, 0.0, arrived)
        return np.bincount(A.indices, moved, self.n_components)

    def sojourn(self) -> np.ndarray:
        """1/(1 − a_kk), ∞ for a state that is never left."""
        leaves = 1 - self.transmat.diagonal()
        return np.where(leaves > 0, 1 / np.where(leaves > 0, leaves, 1), np.inf)

    def n_parameters(self) -> int:
        return self.transmat.nnz - self.n_components

    def log_prior(self) -> float:
        extra, p = self._extra(), self.transmat.data
        return float((extra * np.log(np.where(p > 0, p, 1.0))).sum()) if np.any(extra) else 0.0

    def stationary(self) -> np.ndarray:
        """Of a chain with several, each of them counts the same."""
        from scipy.sparse.csgraph import connected_components

        A = self.transmat.copy()
        A.eliminate_zeros()
        n, parts = connected_components(A, connection="strong")
        leaks = np.bincount(parts[_rows(A)][parts[_rows(A)] != parts[A.indices]], minlength=n) > 0
        pi = np.zeros(self.n_components)
        for part in np.flatnonzero(~leaks):
            members = np.flatnonzero(parts == part)
            pi[members] = _recurrent(A[members][:, members])
        return pi / pi.sum()

    def path(self, first: int, n: int, inputs, rng: np.random.Generator) -> np.ndarray:
        A, states = self.transmat, [first]
        cdf = np.concatenate([[0.0], np.cumsum(A.data)])
        for u in rng.random(n - 1).tolist():
            low, high = A.indptr[states[-1]], A.indptr[states[-1] + 1]
            at = np.searchsorted(cdf[low + 1 : high + 1], cdf[low] + u * (cdf[high] - cdf[low]), side="right")
            states.append(int(A.indices[min(low + int(at), high - 1)]))
        return np.array(states)


def _recurrent(A) -> np.ndarray:
    """π with π A = π of a strongly connected chain: π of one state is set, the others follow from it."""
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import spsolve

    n = A.shape[0]
    if n == 1:
        return np.ones(1)
    system = (eye_array(n - 1) - A[1:][:, 1:].T).tocsc()
    pi = np.append(1.0, np.maximum(np.atleast_1d(spsolve(system, A[[0]].toarray()[0, 1:])), 0.0))
    return pi / pi.sum()


def _rows(A) -> np.ndarray:
    """Row of every stored entry."""
    return np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))


def _sums(values: np.ndarray, A) -> np.ndarray:
    """Sum of every row; all have entries."""
    return np.add.reduceat(values, A.indptr[:-1])


def _checked(value, shape: tuple[int, int]) -> Any:
    """A csr_array whose rows hold probabilities that sum to one; entries that are stored as 0 stay stored."""
    try:
        A = csr_array(
            value if issparse(value) else np.asarray(value, np.float64), dtype=np.float64, copy=True
        )
    except (TypeError, ValueError) as problem:
        raise DataError(f"transmat_ is not a matrix of numbers: {problem}") from None
    A.sum_duplicates()
    if A.shape != shape:
        raise ShapeError(f"transmat_ has shape {A.shape}, wanted {shape}")
    if not np.isfinite(A.data).all():
        raise DataError("transmat_ holds NaN or an infinite value")
    if (A.data < 0).any():
        raise ProbabilityError(f"transmat_ holds {A.data.min():.6g}; probabilities are not negative")
    sums = A.sum(axis=1)
    worst = float(sums[np.argmax(abs(sums - 1))])
    if abs(worst - 1) > SUM_TOLERANCE:
        raise ProbabilityError(
            f"transmat_ must have rows that sum to 1, got a sum of {worst:.8g}; normalise it"
        )
    return A
