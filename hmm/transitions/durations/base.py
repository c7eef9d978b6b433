"""The contract of a duration: hazards by age.

    h(a) = P(D = a + 1 | D > a),  a = 0 … L − 1

is the probability that a state of age a (in its step a + 1) is left now. From the last age on the hazard
stays h(L − 1). To add a kind, subclass :class:`Duration`, write what is abstract, and name it in the
package's ``KINDS``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hmm.emissions import ascent
from hmm.emissions.base import weighted
from hmm.simplex import NEGLIGIBLE

SMALL = 1e-290
"""Survival below which its logarithm is no longer to be had from itself."""

ROUNDS = 12
"""Of an ascent in one M-step; the next one goes on from there."""


@dataclass(frozen=True)
class Duration(ABC):
    """Base of all durations.

    Parameters
    ----------
    longest : int
        Ages L that are told apart.
    smoothing : float
        Weight of a prior, for kinds that have one.
    """

    longest: int
    smoothing: float = 0.0

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What the columns of ``params`` are."""

    @abstractmethod
    def start(self, mean: float) -> np.ndarray:
        """Parameters of one state that lasts about ``mean`` steps."""

    @abstractmethod
    def problem(self, params: np.ndarray) -> str | None:
        """What is wrong with (K, n) parameters."""

    @abstractmethod
    def logs(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log h and log(1 − h), (K, L) each."""

    @abstractmethod
    def learn(self, params: np.ndarray, exits: np.ndarray, stays: np.ndarray) -> np.ndarray:
        """M-step from (K, L) expected counts: parameters at which Σ_a exits log h + stays log(1 − h) plus log
        prior is not lower."""

    def log_prior(self, params: np.ndarray) -> float:
        """Log prior density, up to a constant."""
        return 0.0


class Parametric(Duration):
    """Durations with a few positive numbers for each state, whose M-step is an ascent in their logarithms."""

    LIMITS = (1e-6, 1e7)
    """Where numbers are looked for."""

    def problem(self, params: np.ndarray) -> str | None:
        if (params > 0).all():
            return None
        return f"they are {' and '.join(self.names)}, above zero; got {params.min():g}"

    def learn(self, params: np.ndarray, exits: np.ndarray, stays: np.ndarray) -> np.ndarray:
        """A state that is never seen keeps its values."""
        found = params.copy()
        low, high = np.log(self.LIMITS)
        for k in range(len(params)):
            mass = float(exits[k].sum() + stays[k].sum())
            if mass <= NEGLIGIBLE:
                continue

            def objective(logs: np.ndarray, k: int = k, mass: float = mass) -> float:
                if (logs < low).any() or (logs > high).any():
                    return -np.inf
                log_h, log_stay = self.logs(np.exp(logs)[None])
                return float((weighted(exits[k], log_h[0]) + weighted(stays[k], log_stay[0])).sum()) / mass

            start = np.clip(np.log(params[k]), low, high)
            before = params[k] if np.allclose(np.exp(start), params[k], rtol=1e-12) else None
            if before is None or not np.isfinite(objective(start)):
                continue
            found[k] = np.exp(ascent.climb(objective, start, ROUNDS))
        return found


def hazards(
    log_pmf: np.ndarray, survival: np.ndarray, ratio: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(log h, log(1 − h)), (K, L) each, from p(n) = P(D = n + 1).

    Parameters
    ----------
    log_pmf : array, (K, L)
        log p(a).
    survival : array, (K, L + 1)
        P(D > a), which may underflow.
    ratio : callable
        n (L,) → p(n + 1)/p(n), (K, L); below one where survivals underflow.
    """
    ages = np.arange(log_pmf.shape[1], dtype=np.float64)
    sound = survival[:, 1:] > SMALL
    safe = np.where(survival > SMALL, survival, 1.0)
    log_h = log_pmf - np.log(safe[:, :-1])
    log_stay = np.log(safe[:, 1:]) - np.log(safe[:, :-1])
    if not sound.all():
        # 1/h(a) = 1 + p(a+1)/p(a) + p(a+2)/p(a) + …, where the terms fall.
        excess, term, n = np.zeros(log_pmf.shape), np.where(sound, 0.0, ratio(ages)), 0
        while (term > 1e-17 * excess).any():
            excess, n = excess + term, n + 1
            term = term * ratio(ages + n)
        tail = np.where(sound, 1.0, excess)
        log_h = np.where(sound, log_h, -np.log1p(tail))
        log_stay = np.where(sound, log_stay, np.log(tail) - np.log1p(tail))
    return np.minimum(log_h, 0.0), np.minimum(log_stay, 0.0)
