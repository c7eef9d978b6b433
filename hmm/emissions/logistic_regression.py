"""Logistic regression on covariates: log p(y_t | k, u_t) = y η − log(1 + exp η) with η = a_k + b_k · u_t, y 0
or 1.

The weighted maximum is found by Newton's method with halved steps; a ridge ½ l2 |b|² keeps it finite where
covariates separate zeros from ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.special import expit

from hmm.coordinates import Domain, Real
from hmm.emissions.base import Emission
from hmm.emissions.design import Design, regimes
from hmm.simplex import NEGLIGIBLE
from hmm.validation import parameter, prior
from msgpass.errors import DataError

ROUNDS = 25
HALVINGS = 30
SETTLED = 1e-12
"""A Newton step that promises less, relative to the weight of a state, ends the search."""


@dataclass(frozen=True, eq=False)
class LogisticRegression(Emission):
    """Regressions of a binary response on P covariates in K states; a row of X is [response, covariates].

    Parameters
    ----------
    coef : array, (K, P)
    intercept : array, (K,)
    l2 : float
        Precision of a normal prior on the coefficients, not on the intercepts; 0 is maximum likelihood.
    inputs : array, (n, P), optional
        Covariates to sample with.

    Examples
    --------
    >>> emission = LogisticRegression(np.array([[1.0]]), np.array([0.0]))
    >>> np.exp(emission.log_density(emission.prepare(np.array([[1.0, 0.0], [1.0, 2.0]])))).round(4)
    array([[0.5   ],
           [0.8808]])
    """

    coef: np.ndarray
    intercept: np.ndarray
    l2: float = 0.0
    inputs: np.ndarray | None = None

    LETTERS: ClassVar[dict[str, str]] = {"b": "coef", "i": "intercept"}

    @classmethod
    def start(cls, X: np.ndarray, n_components: int, rng: np.random.Generator) -> LogisticRegression:
        """Fitted to stretches of time that look alike, a little ridged."""
        flat = cls(np.zeros((n_components, X.shape[1] - 1)), np.zeros(n_components), 1.0)
        return flat.fit(flat.prepare(X), regimes(X, 1, n_components, rng), "bi")

    def check(self, n_components: int) -> LogisticRegression:
        P = np.shape(self.coef)[-1] if np.ndim(self.coef) else 0
        coef = parameter("coef_", self.coef, (n_components, P))
        intercept = parameter("intercept_", self.intercept, (n_components,))
        return replace(self, coef=coef, intercept=intercept, l2=float(prior("l2", self.l2, ())))

    @property
    def n_features(self) -> int:
        return 1 + self.coef.shape[1]

    def prepare(self, X: np.ndarray) -> Design:
        return Design.of(X, 1)

    def log_density(self, data: Design) -> np.ndarray:
        logits = data.covariates @ self.coef.T + self.intercept
        return np.where(data.observed, _log_density(data.responses, logits), 0.0)

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.inputs is None or len(self.inputs) != len(states):
            raise DataError(f"sampling {len(states)} responses needs as many rows of covariates")
        logits = (self.coef[states] * self.inputs).sum(axis=1) + self.intercept[states]
        ones = rng.random(len(states)) < expit(logits)
        return np.concatenate([ones[:, None].astype(np.float64), self.inputs], axis=1)

    def fit(self, data: Design, weights: np.ndarray, params: str) -> LogisticRegression:
        if not set(params) & set(self.LETTERS):
            return self
        coef, intercept, P = self.coef.copy(), self.intercept.copy(), self.coef.shape[1]
        seen, rows = data.observed[:, 0], data.columns(params)[data.observed[:, 0]]
        y, u = data.responses[seen, 0], data.covariates[seen]
        penalty = np.array([self.l2] * P * ("b" in params) + [0.0] * ("i" in params))
        for k, own in enumerate(weights[seen].T):
            if own.sum() <= NEGLIGIBLE:
                continue
            held = ("b" not in params) * (u @ coef[k]) + ("i" not in params) * intercept[k]
            start = np.concatenate([coef[k]] * ("b" in params) + [intercept[k : k + 1]] * ("i" in params))
            found = _newton(y, rows, held + np.zeros(len(y)), own, penalty, start)
            if "b" in params:
                coef[k] = found[:P]
            if "i" in params:
                intercept[k] = found[-1]
        return replace(self, coef=coef, intercept=intercept)

    def gradient(self, data: Design, weights: np.ndarray) -> dict[str, np.ndarray]:
        logits = data.covariates @ self.coef.T + self.intercept
        pull = np.where(data.observed, weights * (data.responses - expit(logits)), 0.0)
        return {"coef": pull.T @ data.covariates, "intercept": pull.sum(axis=0)}

    def n_parameters(self) -> dict[str, int]:
        return {"b": self.coef.size, "i": self.intercept.size}

    def log_prior(self) -> float:
        return -0.5 * self.l2 * float((self.coef**2).sum())

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return {"coef": -self.l2 * self.coef}

    def domains(self, data: Design) -> dict[str, Domain]:
        return {"coef": Real(1 / data.covariate_sizes), "intercept": Real()}


def _log_density(y: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return y * logits - np.logaddexp(0, logits)


def _newton(
    y: np.ndarray,
    rows: np.ndarray,
    offset: np.ndarray,
    weights: np.ndarray,
    penalty: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """argmax_θ Σ w log p(y | rows θ + offset) − ½ Σ penalty θ², from ``start``, never downhill."""

    def objective(theta: np.ndarray) -> float:
        return float(weights @ _log_density(y, rows @ theta + offset) - 0.5 * penalty @ theta**2)

    theta, value, mass = start, objective(start), float(weights.sum())
    # Far out, where separated data push, the curvature vanishes: damped, a step stays finite.
    damping = 1e-10 * mass * np.diag((rows**2).mean(axis=0) + 1e-12)
    for _ in range(ROUNDS):
        p = expit(rows @ theta + offset)
        slope = rows.T @ (weights * (y - p)) - penalty * theta
        curvature = (rows * (weights * p * (1 - p))[:, None]).T @ rows + np.diag(penalty) + damping
        step = np.linalg.solve(curvature, slope)
        if step @ slope <= SETTLED * mass:
            break
        for halving in range(HALVINGS):
            moved = theta + 0.5**halving * step
            if (level := objective(moved)) > value:
                break
        else:
            break
        theta, value = moved, level
    return theta
