"""Transitions driven by inputs, a multinomial logistic regression for each state that is left (Bengio &
Frasconi 1996):

    log A_t(i, j) = c_ij + w_ij · u_t − log Σ_j′ exp(c_ij′ + w_ij′ · u_t)

The last columns of X are the inputs; those of row t drive the transition into row t. One target of each state
is the reference, with c and w zero: staying, where that is possible. Transitions that are not possible have
c = −∞, which a fit keeps.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.learning.restrictions import Restrictions
from hmm.simplex import draw, log
from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import drawn_rows
from hmm.transitions.inputs import used_rows
from hmm.transitions.softmax_regression import climb
from hmm.validation import parameter, prior, whole
from msgpass import FactorGraph, Table
from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Logistic(Transition):
    """Input-driven transitions, as an input-output HMM has them.

    X is [observations, inputs]. The inputs of a sequence's first row drive nothing and may be missing.

    Parameters
    ----------
    n_inputs : int
        Columns P of inputs, at the end of X. Bring them to about one scale.
    l2 : float
        Precision of a normal prior on the coefficients, not on the intercepts. A little of it keeps them
        finite where inputs separate what follows; 0 is maximum likelihood.
    transition_coef : array, (K, K, P)
        A model's attribute ``transition_coef_``: from, to, input.
    transition_intercept : array, (K, K)
        A model's attribute ``transition_intercept_``; −∞ where there is no transition.

    Examples
    --------
    A switch that is likely to be thrown while the input is up:

    >>> import numpy as np
    >>> from hmm import GaussianHMM
    >>> from hmm.transitions import Logistic
    >>> truth = GaussianHMM(2, transitions=Logistic(1))
    >>> truth.startprob_, truth.means_, truth.covars_ = [0.5, 0.5], [[0.0], [5.0]], [[1.0], [1.0]]
    >>> truth.transition_intercept_ = [[0.0, -3.0], [-3.0, 0.0]]
    >>> truth.transition_coef_ = [[[0.0], [4.0]], [[4.0], [0.0]]]
    >>> U = np.random.default_rng(0).integers(0, 2, (2000, 1))
    >>> X, _ = truth.sample(random_state=1, inputs=U)
    >>> model = GaussianHMM(2, transitions=Logistic(1), random_state=0).fit(X)
    >>> model.transition_coef_[[0, 1], [1, 0], 0].round().tolist()
    [4.0, 4.0]
    """

    n_inputs: int
    l2: float = 1e-3
    _: KW_ONLY
    transition_coef: Any = None
    transition_intercept: Any = None

    FIELDS: ClassVar[tuple[str, ...]] = ("transition_coef", "transition_intercept")
    STEPWISE: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole("n_inputs", self.n_inputs, 1)
        prior("l2", self.l2, ())

    def check(self, n_components: int) -> Logistic:
        K = n_components
        coef = parameter("transition_coef_", self.transition_coef, (K, K, self.n_inputs))
        raw = np.array(self.transition_intercept, np.float64)
        missing = np.isneginf(raw)
        intercept = parameter("transition_intercept_", np.where(missing, 0.0, raw), (K, K))
        if missing.all(axis=1).any():
            raise DataError(
                f"transition_intercept_ is −∞ in all of row {int(missing.all(axis=1).argmax())}; a state "
                "goes somewhere, be it to itself"
            )
        rows, reference = np.arange(K), references(~missing)
        coef = np.where(missing[..., None], 0.0, coef - coef[rows, reference][:, None])
        intercept = np.where(missing, -np.inf, intercept - intercept[rows, reference][:, None])
        return replace(self, transition_coef=coef, transition_intercept=intercept)

    def start(self, allowed: np.ndarray, stay: float, rng: np.random.Generator) -> Logistic:
        """Without regard to the inputs."""
        K = len(allowed)
        return replace(
            self,
            transition_coef=np.zeros((K, K, self.n_inputs)),
            transition_intercept=log(drawn_rows(allowed, stay, rng)),
        ).check(K)

    @property
    def n_components(self) -> int:
        return len(self.transition_coef)

    @property
    def support(self) -> np.ndarray:
        return self.transition_intercept > -np.inf

    def prepare(self, U: np.ndarray, lengths: list[int]) -> np.ndarray:
        """Inputs of every transition, (pairs, P)."""
        used = used_rows(lengths)
        lost = np.isnan(U) & used[:, None]
        if lost.any():
            t, p = np.argwhere(lost)[0]
            raise DataError(
                f"X lacks the transition's input {p} at row {t}; without it there is no transition into that "
                "row: fill it in, or let a sequence begin there"
            )
        return U[used]

    def log_matrices(self, inputs: np.ndarray) -> np.ndarray:
        """log A_t of every transition, (pairs, K, K)."""
        K = self.n_components
        logits = (inputs @ self.transition_coef.reshape(K * K, -1).T).reshape(-1, K, K)
        logits += self.transition_intercept
        logits -= logits.max(axis=2, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=2, keepdims=True))
        return logits

    def attach(self, graph: FactorGraph, z, inputs: np.ndarray) -> None:
        graph.factor(Table(graph.parameter("transition", self.log_matrices(inputs))), z[:-1], z[1:])

    def values(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        return {"transition": self.log_matrices(inputs)}

    def learn(self, arrived: np.ndarray, inputs: np.ndarray, restrictions: Restrictions) -> Logistic:
        """Rows of states that are never left keep their values."""
        coef, intercept = self.transition_coef.copy(), self.transition_intercept.copy()
        design = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
        penalty = np.append(np.full(self.n_inputs, float(self.l2)), 0.0)
        for i, reference in enumerate(references(self.support)):
            targets = np.flatnonzero(self.support[i] & (np.arange(len(coef)) != reference))
            weights = arrived[:, i][:, [reference, *targets]]
            start = np.concatenate([coef[i, targets], intercept[i, targets, None]], axis=1)
            found = climb(design, weights, start, penalty)
            coef[i, targets], intercept[i, targets] = found[:, :-1], found[:, -1]
        return replace(self, transition_coef=coef, transition_intercept=intercept)

    def row(self, state: int, inputs: np.ndarray, t: int) -> np.ndarray:
        logits = self.transition_coef[state] @ inputs[t - 1] + self.transition_intercept[state]
        p = np.exp(logits - logits.max())
        return p / p.sum()

    def entries(self, arrived: np.ndarray, inputs) -> np.ndarray:
        counts = arrived.sum(axis=0)
        return counts.sum(axis=0) - np.diagonal(counts)

    def n_parameters(self) -> int:
        return int(self.support.sum() - len(self.support)) * (self.n_inputs + 1)

    def log_prior(self) -> float:
        return -0.5 * float(self.l2) * float((self.transition_coef**2).sum())

    def path(self, first: int, n: int, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if len(inputs) != n - 1:
            raise ShapeError(f"{n} states have {n - 1} transitions; got inputs for {len(inputs)}")
        states = [first]
        for t, u in enumerate(rng.random(n - 1).tolist(), start=1):
            states.append(draw(np.cumsum(self.row(states[-1], inputs, t)).tolist(), u))
        return np.array(states)


def references(support: np.ndarray) -> np.ndarray:
    """Reference target of each state, (K,): itself, or the first that it can go to.

    >>> references(np.array([[True, True], [True, False]]))
    array([0, 0])
    """
    return np.where(np.diagonal(support), np.arange(len(support)), support.argmax(axis=1))
