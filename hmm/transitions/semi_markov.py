"""Explicit durations (hidden semi-Markov models; Ferguson 1980, Yu 2010): how long a state lasts has a
distribution of its own, and so has where it goes then.

The states of the graph are (k, a): state k of the model at age a, in its step a + 1. With the hazard h_k(a) =
P(D = a + 1 | D > a),

    (k, a) → (k, a + 1) with 1 − h_k(a)        (k, a) → (j, 0) with h_k(a) A[k, j], j ≠ k

A path of states belongs to exactly one path of ages, so that the most likely paths over both are those over
states. What lasts beyond the end of a sequence counts with its survivor function, for that end says nothing
of the state's; a sequence begins with a new state.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.learning.restrictions import Restrictions
from hmm.simplex import dirichlet_log_density, draw, log, normalised
from hmm.transitions.base import Transition
from hmm.transitions.durations import KINDS, Duration
from hmm.transitions.homogeneous import drawn_rows, stationary
from hmm.validation import SUM_TOLERANCE, one_of, parameter, prior, whole
from msgpass import FactorGraph, Table
from msgpass.errors import DataError, ProbabilityError, UnsupportedError

START = 10.0
"""Mean duration at which a fit starts, a third of ``longest`` if that is less."""


@dataclass(frozen=True, eq=False)
class SemiMarkov(Transition):
    """Explicit-duration transitions.

    Parameters
    ----------
    durations : {"poisson", "negative binomial", "empirical", "geometric"}
        Distribution of D − 1, steps beyond the first. "empirical" has a hazard for each age, "geometric" is
        an ordinary HMM.
    longest : int
        Ages L that are told apart; memory and time of a run grow with it. Nothing is cut there: from the last
        age on a state is left with the hazard of that age, as by a geometric tail. About twice the mean
        duration is enough for "poisson".
    smoothing : float
        Weight of a prior on empirical hazards: it counts as so many states at each age, left with hazard
        2/(L + 1).
    transmat : array, (K, K), row = from
        A model's attribute ``transmat_``: where a state goes when it ends. Its diagonal is zero; a row of
        zeros is of a state that never ends.
    duration_params : array, (K, n)
        A model's attribute ``duration_params_``: the mean of D − 1; mean and size; or L hazards.
    concentration : float or array that broadcasts to (K, K)
        A model's setting ``transmat_prior``.

    Examples
    --------
    >>> import numpy as np
    >>> from hmm import GaussianHMM
    >>> from hmm.transitions import SemiMarkov
    >>> truth = GaussianHMM(2, transitions=SemiMarkov("poisson", longest=40))
    >>> truth.startprob_, truth.transmat_ = [1, 0], [[0, 1], [1, 0]]
    >>> truth.duration_params_ = [[4.0], [14.0]]
    >>> truth.means_, truth.covars_ = [[0.0], [2.0]], [[1.0], [1.0]]
    >>> X, _ = truth.sample(3000, random_state=1)
    >>> model = GaussianHMM(2, transitions=SemiMarkov("poisson", longest=40), random_state=0).fit(X)
    >>> np.sort(model.expected_sojourn()).round().tolist()
    [5.0, 15.0]
    """

    durations: str = "poisson"
    longest: int = 100
    smoothing: float = 0.0
    _: KW_ONLY
    transmat: Any = None
    duration_params: Any = None
    concentration: Any = 1.0

    FIELDS: ClassVar[tuple[str, ...]] = ("transmat", "duration_params")

    def __post_init__(self) -> None:
        one_of("durations", self.durations, KINDS)
        whole("longest", self.longest, 1)
        prior("smoothing", self.smoothing, ())
        if self.smoothing and self.durations != "empirical":
            raise DataError(f'smoothing is of "empirical" durations; {self.durations!r} ones have none')

    @property
    def duration(self) -> Duration:
        """The kind of durations."""
        ages = 1 if self.durations == "geometric" else self.longest  # all of its ages are alike
        return KINDS[self.durations](ages, float(self.smoothing))

    def with_prior(self, concentration) -> SemiMarkov:
        return replace(self, concentration=concentration)

    def check(self, n_components: int) -> SemiMarkov:
        K, duration = n_components, self.duration
        params = parameter("duration_params_", self.duration_params, (K, len(duration.names)))
        if wrong := duration.problem(params):
            raise DataError(f"duration_params_ of {self.durations} durations: {wrong}")
        return replace(
            self,
            transmat=_checked(self.transmat, K),
            duration_params=params,
            concentration=prior("transmat_prior", self.concentration, (K, K), positive=True),
        )

    def start(self, allowed: np.ndarray, stay: float, rng: np.random.Generator) -> SemiMarkov:
        K, duration = len(allowed), self.duration
        mean = 1 / (1 - stay) if stay else START
        mean = min(mean, max(2.0, self.longest / 3))
        return replace(
            self,
            transmat=drawn_rows(allowed & ~np.eye(K, dtype=bool), 0.0, rng),
            duration_params=np.tile(duration.start(mean), (K, 1)),
        )

    def check_restrictions(self, restrictions: Restrictions) -> None:
        if restrictions.rows is not None:
            raise UnsupportedError(
                "SemiMarkov transitions cannot tie rows of transmat: a state does not go to itself, so no "
                "two rows are alike"
            )

    @property
    def n_components(self) -> int:
        return len(self.transmat)

    @property
    def matrix(self) -> np.ndarray:
        """Where states go when they end."""
        return self.transmat

    # -- states of the graph ----------------------------------------------------------------------------

    @property
    def ages(self) -> int:
        """Ages L that the graph tells apart."""
        return self.duration.longest

    @property
    def regimes(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.transmat)), self.ages)

    def initial(self, startprob: np.ndarray) -> np.ndarray:
        found = np.zeros((len(startprob), self.ages))
        found[:, 0] = startprob
        return found.ravel()

    @property
    def _others(self) -> np.ndarray:
        """States other than k, (K, K − 1)."""
        K = len(self.transmat)
        return np.nonzero(~np.eye(K, dtype=bool))[1].reshape(K, K - 1)

    def _logs(self) -> tuple[np.ndarray, np.ndarray]:
        """log h and log(1 − h), (K, L) each; a state that goes nowhere stays."""
        log_h, log_stay = self.duration.logs(self.duration_params)
        ends = self.transmat.any(axis=1)[:, None]
        return np.where(ends, log_h, -np.inf), np.where(ends, log_stay, 0.0)

    def _entries(self) -> tuple[np.ndarray, np.ndarray]:
        """(from, to) of what may happen: states that go on, then states that end."""
        K, L = len(self.transmat), self.ages
        here = np.arange(K * L).reshape(K, L)
        older = np.concatenate([here[:, 1:], here[:, -1:]], axis=1)
        ends = np.repeat(here.ravel(), K - 1)
        begins = np.broadcast_to(self._others[:, None] * L, (K, L, K - 1)).ravel()
        return np.concatenate([here.ravel(), ends]), np.concatenate([older.ravel(), begins])

    def _values(self) -> np.ndarray:
        log_h, log_stay = self._logs()
        onward = log(np.take_along_axis(self.transmat, self._others, axis=1))
        return np.concatenate([log_stay.ravel(), (log_h[:, :, None] + onward[:, None]).ravel()])

    def _split(self, arrived: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected times of going on at each age, (K, L), and of ending there, (K, L, K − 1)."""
        K, L = len(self.transmat), self.ages
        return arrived[: K * L].reshape(K, L), arrived[K * L :].reshape(K, L, K - 1)

    def _onward(self, arrived: np.ndarray) -> np.ndarray:
        """Expected times that each state followed each, (K, K)."""
        K = len(self.transmat)
        counts = np.zeros((K, K))
        np.put_along_axis(counts, self._others, self._split(arrived)[1].sum(axis=1), axis=1)
        return counts

    def attach(self, graph: FactorGraph, z, inputs) -> None:
        values = graph.parameter("transition", self._values())
        graph.factor(Table.sparse(values, *self._entries()), z[:-1], z[1:])

    def values(self, inputs) -> dict[str, np.ndarray]:
        return {"transition": self._values()}

    def learn(self, arrived: np.ndarray, inputs, restrictions: Restrictions) -> SemiMarkov:
        stays, exits = self._split(arrived)
        ends = self.transmat.any(axis=1)[:, None]
        return replace(
            self,
            transmat=normalised(
                self._onward(arrived), self.concentration, self.transmat, restrictions.transition
            ),
            duration_params=self.duration.learn(
                self.duration_params, np.where(ends, exits.sum(axis=2), 0), np.where(ends, stays, 0)
            ),
        )

    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        return self._onward(arrived).sum(axis=0)

    # -- the distribution itself ------------------------------------------------------------------------

    def row(self, state: int, inputs, t: int) -> np.ndarray:
        (k, a), (log_h, log_stay) = divmod(state, self.ages), self._logs()
        found = self.initial(np.exp(log_h[k, a]) * self.transmat[k])
        found[k * self.ages + min(a + 1, self.ages - 1)] += np.exp(log_stay[k, a])
        return found

    def path(self, first: int, n: int, inputs, rng: np.random.Generator) -> np.ndarray:
        L, ends = self.ages, np.exp(self._logs()[0]).tolist()
        cdfs = np.cumsum(self.transmat, axis=1).tolist()
        states, (k, a) = [first], divmod(first, L)
        for u in rng.random(n - 1).tolist():
            h = ends[k][a]
            k, a = (draw(cdfs[k], u / h), 0) if u < h else (k, min(a + 1, L - 1))
            states.append(k * L + a)
        return np.array(states)

    def duration_pmf(self, n: int) -> np.ndarray:
        """P(D = 1) … P(D = n) of every state, (K, n).

        >>> two = SemiMarkov("geometric", transmat=[[0, 1], [1, 0]], duration_params=[[1.0], [3.0]]).check(2)
        >>> two.duration_pmf(3).round(4)
        array([[0.5   , 0.25  , 0.125 ],
               [0.25  , 0.1875, 0.1406]])
        """
        log_h, log_stay = (logs[:, np.minimum(np.arange(n), self.ages - 1)] for logs in self._logs())
        survival = np.concatenate([np.zeros((len(log_h), 1)), np.cumsum(log_stay[:, :-1], axis=1)], axis=1)
        return np.exp(survival + log_h)

    def sojourn(self) -> np.ndarray:
        """E[D] = Σ_a P(D > a), the geometric tail included, (K,); ∞ for a state that never ends."""
        log_h, log_stay = self._logs()
        survival = np.cumsum(log_stay, axis=1)
        beyond = survival[:, -1] > -np.inf
        with np.errstate(over="ignore"):
            tail = np.exp(np.where(beyond, survival[:, -1], -np.inf) - np.where(beyond, log_h[:, -1], 0.0))
        return 1 + np.exp(survival[:, :-1]).sum(axis=1) + tail

    def stationary(self) -> np.ndarray:
        """Share of time in each state: that of visits times their mean duration."""
        mean = self.sojourn()
        forever = np.isinf(mean)
        if forever.any():
            return forever / forever.sum()
        share = stationary(self.transmat) * mean
        return share / share.sum()

    def n_parameters(self) -> int:
        ends = self.transmat.any(axis=1)
        moves = int((self.transmat > 0).sum() - ends.sum())
        return moves + int(ends.sum()) * self.duration_params.shape[1]

    def log_prior(self) -> float:
        return dirichlet_log_density(self.transmat, self.concentration) + self.duration.log_prior(
            self.duration_params
        )


def _checked(transmat, K: int) -> np.ndarray:
    """Rows that sum to one, or are zero, beside a diagonal of zeros."""
    A = parameter("transmat_", transmat, (K, K))
    if (A < 0).any():
        raise ProbabilityError(f"transmat_ holds {A.min():.6g}; probabilities are not negative")
    if np.diagonal(A).any():
        k = int(np.diagonal(A).argmax())
        raise ProbabilityError(
            f"transmat_ of semi-Markov transitions has {A[k, k]:.6g} at ({k}, {k}); a state that ends goes "
            "to another, and how long it stays is in duration_params_: set the diagonal to 0"
        )
    sums = A.sum(axis=1)
    wrong = (sums > 0) & (abs(sums - 1) > SUM_TOLERANCE)
    if wrong.any():
        raise ProbabilityError(
            f"transmat_ must have rows that sum to 1 (or to 0, where a state never ends), got a sum of "
            f"{sums[wrong.argmax()]:.8g}; normalise it"
        )
    return A
