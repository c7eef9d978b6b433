"""What inference gives back: mixtures over regimes, and their moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.state_space.results import Forecast, interval


@dataclass(frozen=True, eq=False)
class SwitchingStates:
    """Distributions of states and regimes, one a row; approximate.

    Attributes
    ----------
    mean, cov : array, (T, n), (T, n, n)
        Of the state whatever the regime: moments of the mixture.
    regimes : array, (T, K)
        Probabilities.
    regime_means, regime_covs : array, (T, K, n), (T, K, n, n)
        Of the state given the regime.
    """

    mean: np.ndarray
    cov: np.ndarray
    regimes: np.ndarray
    regime_means: np.ndarray
    regime_covs: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the central interval of each state, (T, n) each, as if the mixture were normal."""
        return interval(self.mean, np.diagonal(self.cov, axis1=-2, axis2=-1), level)


@dataclass(frozen=True, eq=False)
class SwitchingForecast(Forecast):
    """What comes: moments of mixtures over regimes; intervals are as if these were normal.

    Attributes
    ----------
    state_mean, state_cov : array, (h, n), (h, n, n)
    mean, cov : array, (h, p), (h, p, p)
        Of the observations.
    regimes : array, (h, K)
        Probabilities.
    """

    regimes: np.ndarray


def moments(weights: np.ndarray, means: np.ndarray, covs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (…, K) mixtures."""
    mean = np.einsum("...k,...ka->...a", weights, means)
    away = means - mean[..., None, :]
    cov = np.einsum("...k,...kab->...ab", weights, covs + away[..., :, None] * away[..., None, :])
    return mean, (cov + np.swapaxes(cov, -1, -2)) / 2
