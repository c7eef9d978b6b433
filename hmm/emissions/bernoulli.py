"""Bernoulli emissions: log p(x_t | k) = Σ_d x_td log p_kd + (1 − x_td) log(1 − p_kd)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.emissions.independent import BIT, SHARE, Independent, Range
from hmm.simplex import log
from hmm.validation import prior
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class Bernoulli(Independent):
    """Probabilities of a one in D features of K states, with a beta prior.

    Parameters
    ----------
    probs : array, (K, D)
    prior : pair of floats or arrays that broadcast to (K, D)
        Of the beta prior p^(a−1) (1 − p)^(b−1), both at least one; (1, 1) is maximum likelihood.

    Examples
    --------
    >>> emission = Bernoulli(np.array([[0.9], [0.2]]))
    >>> data = emission.prepare(np.array([[1.0], [0.0], [np.nan]]))
    >>> np.exp(emission.log_density(data)).round(1).tolist()
    [[0.9, 0.2], [0.1, 0.8], [1.0, 1.0]]
    """

    probs: np.ndarray
    prior: Any = (1.0, 1.0)

    LETTERS: ClassVar[dict[str, str]] = {"p": "probs"}
    RANGES: ClassVar[dict[str, Range]] = {"probs": SHARE}
    SUPPORT: ClassVar[Range] = BIT
    DISCRETE: ClassVar[bool] = True

    def check(self, n_components: int) -> Bernoulli:
        checked = super().check(n_components)
        if not isinstance(self.prior, tuple | list) or len(self.prior) != 2:
            raise DataError(f"probs_prior must be a pair (a, b) of a beta distribution, got {self.prior!r}")
        pair = tuple(prior("probs_prior", value, checked.probs.shape) for value in self.prior)
        if min(value.min() for value in pair) < 1:
            raise DataError(
                f"probs_prior must be at least (1, 1), got {self.prior!r}; less has no inner mode"
            )
        return replace(checked, prior=tuple(np.broadcast_to(value, checked.probs.shape) for value in pair))

    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        p = self.probs[:, d, None]
        return np.where(x == 1, log(p), log(1 - p))

    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        p = self.probs[:, d, None]
        # What a state cannot emit has no weight there, so the slope beside it does not count.
        with np.errstate(divide="ignore"):
            return {"probs": np.where(x == 1, 1 / p, -1 / (1 - p))}

    def maximise(self, x: np.ndarray, weights: np.ndarray, d: int, params: str) -> dict[str, np.ndarray]:
        a, b = (np.broadcast_to(value, self.probs.shape)[:, d] - 1 for value in self.prior)
        ones = weights @ x
        return {"probs": np.minimum((ones + a) / (weights.sum(axis=1) + a + b), 1.0)}

    def mean(self) -> np.ndarray:
        """E[x | k], (K, D)."""
        return self.probs

    def variance(self) -> np.ndarray:
        """Var[x | k], (K, D)."""
        return self.probs * (1 - self.probs)

    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (rng.random((len(states), self.n_features)) < self.probs[states]).astype(np.int64)

    @classmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> Bernoulli:
        return cls(np.full((n_components, X.shape[1]), 0.5), **settings)

    def log_prior(self) -> float:
        a, b = (np.broadcast_to(value, self.probs.shape) - 1 for value in self.prior)
        ones = a[a > 0] * log(self.probs[a > 0])
        return float(ones.sum() + (b[b > 0] * log(1 - self.probs[b > 0])).sum())

    def prior_gradient(self) -> dict[str, np.ndarray]:
        a, b = (np.broadcast_to(value, self.probs.shape) - 1 for value in self.prior)
        ones = np.divide(a, self.probs, out=np.zeros(self.probs.shape), where=a > 0)
        return {"probs": ones - np.divide(b, 1 - self.probs, out=np.zeros(self.probs.shape), where=b > 0)}
