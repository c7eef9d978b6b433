"""D − 1 is negative binomial with mean m and size r: variance m + m²/r; r = 1 is geometric, r = ∞ Poisson."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaln

from hmm.transitions.durations.base import Parametric, hazards


class NegativeBinomial(Parametric):
    """Two numbers for each state, m and r.

    Examples
    --------
    >>> log_h, _ = NegativeBinomial(longest=3).logs(np.array([[4.0, 1.0]]))
    >>> np.exp(log_h).round(4)
    array([[0.2, 0.2, 0.2]])
    """

    LIMITS = (1e-4, 1e6)

    @property
    def names(self) -> tuple[str, ...]:
        return ("mean of D − 1", "size")

    def start(self, mean: float) -> np.ndarray:
        return np.array([mean - 1, 1.0])

    def logs(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = np.arange(self.longest + 1.0)
        m, r = params[:, :1], params[:, 1:2]
        q = m / (r + m)
        survival = np.concatenate([np.ones((len(m), 1)), betainc(a[1:], r, q)], axis=1)
        # Γ(a + r)/Γ(r) a! = 1/((a + r) B(r, a + 1))
        n = a[:-1]
        log_pmf = -np.log(n + r) - betaln(r, n + 1) - r * np.log1p(m / r) - n * np.log1p(r / m)
        return hazards(log_pmf, survival, lambda n: q * (n + r) / (n + 1))
