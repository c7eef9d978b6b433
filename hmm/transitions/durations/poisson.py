"""D − 1 is Poisson with mean m: durations of variance m around 1 + m."""

from __future__ import annotations

import numpy as np
from scipy.special import gammainc, gammaln

from hmm.transitions.durations.base import Parametric, hazards


class Poisson(Parametric):
    """One number for each state, m.

    Examples
    --------
    >>> log_h, _ = Poisson(longest=3).logs(np.array([[1.0]]))
    >>> np.exp(log_h).round(4)
    array([[0.3679, 0.582 , 0.6961]])
    """

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean of D − 1",)

    def start(self, mean: float) -> np.ndarray:
        return np.array([mean - 1])

    def logs(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = np.arange(self.longest + 1.0)
        m = params[:, :1]
        # P(D > a) = P(N ≥ a) is the regularised lower incomplete gamma function; at a = 0 it is 1.
        survival = np.concatenate([np.ones((len(m), 1)), gammainc(a[1:], m)], axis=1)
        log_pmf = a[:-1] * np.log(m) - m - gammaln(a[:-1] + 1)
        return hazards(log_pmf, survival, lambda n: m / (n + 1))
