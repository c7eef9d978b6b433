"""Multinomial emissions: counts of D kinds in n trials, log p(x_t | k) = log n!/Π_d x_td! + Σ_d x_td log
p_kd.

Where some counts of a row are missing their sum is known, n less the others, and the missing kinds are one
kind together, of probability Σ p_kd. Given n, that is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.special import gammaln

from hmm.clustering import cluster
from hmm.coordinates import Domain, Rows
from hmm.emissions.base import Emission, observed_cells
from hmm.emissions.statistics import Statistics, Sums
from hmm.simplex import dirichlet_log_density, dirichlet_slope, log, normalised
from hmm.validation import prior, probabilities
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class Trials:
    """Counts with 0 where missing, (D, T); which cells are missing, 1.0 or 0.0, or None; how many trials fell
    there, (T,); and the log of the multinomial coefficient, (T,)."""

    filled: np.ndarray
    missing: np.ndarray | None
    left: np.ndarray
    log_coefficient: np.ndarray


@dataclass(frozen=True, eq=False)
class Multinomial(Emission):
    """Probabilities of D kinds in K states, with a Dirichlet prior on each row.

    Parameters
    ----------
    emissionprob : array, (K, D)
    concentration : float or array that broadcasts to (K, D)
        Of the Dirichlet prior; 1 is maximum likelihood.
    n_trials : int or array (T,), optional
        Trials of a row; needed to sample (one number) and where some counts of a row are missing. By default
        what the row sums to.

    Examples
    --------
    >>> emission = Multinomial(np.array([[0.5, 0.5], [0.1, 0.9]]), n_trials=2)
    >>> data = emission.prepare(np.array([[1.0, 1.0], [np.nan, 2.0], [np.nan, np.nan]]))
    >>> np.exp(emission.log_density(data)).round(2).tolist()
    [[0.5, 0.18], [0.25, 0.81], [1.0, 1.0]]
    """

    emissionprob: np.ndarray
    concentration: float | np.ndarray = 1.0
    n_trials: int | np.ndarray | None = None

    LETTERS: ClassVar[dict[str, str]] = {"e": "emissionprob"}

    @classmethod
    def start(cls, X: np.ndarray, n_components: int, rng: np.random.Generator) -> Multinomial:
        """Shares in clusters of √counts, a little moved, and half way to the overall shares."""
        seen = np.isfinite(X)
        filled = np.where(seen, X, 0.0)
        overall = (filled.sum(axis=0) + 1) / (seen.sum(axis=0) + 1)
        labels = cluster(np.sqrt(np.where(seen, X, overall)), n_components, rng)
        member = (labels == np.arange(n_components)[:, None]).astype(float)
        rates = (member @ filled + overall) / (member @ seen + 1) + 0.1 * overall
        rates *= np.exp(0.05 * rng.standard_normal(rates.shape))
        return cls(rates / rates.sum(axis=1, keepdims=True))

    def check(self, n_components: int) -> Multinomial:
        shape = (n_components, np.shape(self.emissionprob)[-1] if np.ndim(self.emissionprob) else 0)
        return replace(
            self,
            emissionprob=probabilities("emissionprob_", self.emissionprob, shape),
            concentration=prior("emissionprob_prior", self.concentration, shape, positive=True),
        )

    @property
    def n_features(self) -> int:
        return self.emissionprob.shape[1]

    def prepare(self, X: np.ndarray) -> Trials:
        observed = observed_cells(X)
        filled = np.nan_to_num(np.ascontiguousarray(X.T, np.float64))
        shown = filled.sum(axis=0)
        if observed is None:
            return Trials(
                filled, None, np.zeros(len(X)), gammaln(shown + 1) - gammaln(filled + 1).sum(axis=0)
            )
        left = self._left(observed, shown)
        coefficient = gammaln(shown + left + 1) - gammaln(left + 1) - gammaln(filled + 1).sum(axis=0)
        return Trials(filled, 1 - observed, left, coefficient)

    def _left(self, observed: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Trials that fell into missing cells; 0 for rows that are missing, which say nothing."""
        partly = observed.any(axis=0) & ~observed.all(axis=0)
        if not partly.any():
            return np.zeros(len(shown))
        if self.n_trials is None or np.shape(self.n_trials) not in ((), shown.shape):
            raise DataError(
                f"row {int(partly.argmax())} of X has missing counts, so that its trials are unknown; "
                "set n_trials"
            )
        left = np.where(partly, self.n_trials - shown, 0)
        if left.min() < 0:
            t = int(left.argmin())
            raise DataError(f"row {t} of X has {shown[t]:g} counts in {shown[t] + left[t]:g} trials")
        return left

    def log_density(self, data: Trials) -> np.ndarray:
        logs = log(self.emissionprob)
        impossible = (self.emissionprob == 0) @ (data.filled > 0)
        density = np.where(logs == -np.inf, 0, logs) @ data.filled
        density[impossible] = -np.inf
        density += data.log_coefficient
        if data.missing is not None:
            rest = log(self.emissionprob @ data.missing)
            density += np.multiply(data.left, rest, out=np.zeros_like(rest), where=data.left > 0)
        return density.T

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.n_trials is None or np.ndim(self.n_trials):
            raise DataError("sampling needs one n_trials, the number of trials in each row; set it")
        p = self.emissionprob[states]
        return rng.multinomial(self.n_trials, p / p.sum(axis=1, keepdims=True))

    def fit(self, data: Trials, weights: np.ndarray, params: str) -> Multinomial:
        return self.from_statistics(self.statistics(data, weights), params) if "e" in params else self

    def statistics(self, data: Trials, weights: np.ndarray) -> Statistics:
        shown, hidden = self._counts(data, weights)
        return Statistics({"counts": Sums(shown + hidden * self.emissionprob)})

    def from_statistics(self, statistics: Statistics, params: str) -> Multinomial:
        if "e" not in params:
            return self
        counts = statistics["counts"].values
        return replace(self, emissionprob=normalised(counts, self.concentration, self.emissionprob))

    def _counts(self, data: Trials, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted counts of each kind, and what multiplies p_kd to give those expected in missing cells."""
        shown = weights.T @ data.filled.T
        if data.missing is None:
            return shown, np.zeros_like(shown)
        rest = self.emissionprob @ data.missing
        share = np.divide(data.left, rest, out=np.zeros_like(rest), where=(rest > 0) & (data.left > 0))
        return shown, (weights.T * share) @ data.missing.T

    def gradient(self, data: Trials, weights: np.ndarray) -> dict[str, np.ndarray]:
        shown, hidden = self._counts(data, weights)
        p = self.emissionprob
        return {"emissionprob": np.divide(shown, p, out=np.zeros_like(shown), where=shown > 0) + hidden}

    def n_parameters(self) -> dict[str, int]:
        K, D = self.emissionprob.shape
        return {"e": K * (D - 1)}

    def log_prior(self) -> float:
        return dirichlet_log_density(self.emissionprob, self.concentration)

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return {"emissionprob": dirichlet_slope(self.emissionprob, self.concentration)}

    def domains(self, data) -> dict[str, Domain]:
        return {"emissionprob": Rows(self.concentration)}
