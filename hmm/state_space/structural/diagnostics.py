"""Whether one-step residuals are what the model says: independent, normal, of one variance.

For standardised residuals e, n of them (Harvey 1989, section 5.4; Durbin & Koopman 2012, section 2.12):

    Ljung & Box      Q = n (n + 2) Σ_k r_k² / (n − k) ~ χ²,    r_k the autocorrelation at lag k
    Jarque & Bera    N = n (S² / 6 + (K − 3)² / 24) ~ χ²₂,    S, K skewness and kurtosis
    H(h)             Σ of the last h of e² / Σ of the first h ~ F(h, h),    h = n/3
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hmm.validation import whole
from msgpass.errors import DataError


class Test(NamedTuple):
    """A statistic, and how often it is so large if the model is right."""

    statistic: float
    pvalue: float


@dataclass(frozen=True, eq=False, repr=False)
class Diagnostics:
    """Tests of standardised one-step residuals.

    Attributes
    ----------
    residuals : array, (T,)
        NaN where there is none.
    autocorrelations : array, (lags,)
        r_1, …
    serial : Test
        Ljung and Box's, over all lags.
    normality : Test
        Jarque and Bera's.
    heteroscedasticity : Test
        H(h), against variances that rise or fall.
    lags, lost : int
        Lags, and degrees of freedom taken off for estimated parameters.
    """

    residuals: np.ndarray
    autocorrelations: np.ndarray
    serial: Test
    normality: Test
    heteroscedasticity: Test
    lags: int
    lost: int

    def __repr__(self) -> str:
        named = (
            (f"Ljung-Box, {self.lags} lags", self.serial),
            ("Jarque-Bera", self.normality),
            ("heteroscedasticity H", self.heteroscedasticity),
        )
        lines = [f"  {name:<22} {own.statistic:>9.3f}   p = {own.pvalue:.3f}" for name, own in named]
        return "\n".join(["Diagnostics", *lines])


def diagnostics(residuals: np.ndarray, lags: int | None, lost: int, period: int) -> Diagnostics:
    """Tests; ``lags`` None is 10, or two seasons, but at most a fifth of the residuals."""
    e = residuals[np.isfinite(residuals)]
    n = len(e)
    if n < 6:
        raise DataError(f"there are {n} one-step residuals; tests need 6 at least")
    if lags is None:
        lags = max(1, min(10 if period < 2 else 2 * period, n // 5))
        lags = max(lags, min(lost + 1, n - 1))
    elif not lost < whole("lags", lags, 1) < n:
        raise DataError(
            f"lags must be more than the {lost} that estimated parameters take and fewer than the {n} "
            "residuals, "
            f"got {lags}"
        )
    r = autocorrelations(residuals, lags)
    return Diagnostics(residuals, r, ljung_box(r, n, lost), jarque_bera(e), break_of_variance(e), lags, lost)


def autocorrelations(residuals: np.ndarray, lags: int) -> np.ndarray:
    """r_1 … r_lags about the mean; what is missing adds nothing.

    >>> autocorrelations(np.array([1.0, -1.0, 1.0, -1.0]), 1)
    array([-0.75])
    """
    there = np.flatnonzero(np.isfinite(residuals))
    e = residuals[there[0] : there[-1] + 1]
    gap = np.where(np.isfinite(e), e - np.nanmean(e), 0.0)
    return np.array([gap[k:] @ gap[:-k] for k in range(1, lags + 1)]) / (gap @ gap)


def ljung_box(r: np.ndarray, n: int, lost: int) -> Test:
    """Of autocorrelations at lags 1, 2, … of n residuals."""
    from scipy.special import chdtrc

    Q = n * (n + 2) * float((r**2 / (n - np.arange(1, len(r) + 1))).sum())
    return Test(Q, float(chdtrc(len(r) - lost, Q)))


def jarque_bera(e: np.ndarray) -> Test:
    """Of residuals (n,)."""
    from scipy.special import chdtrc

    gap = e - e.mean()
    power = float((gap**2).mean())
    skew, kurtosis = (gap**3).mean() / power**1.5, (gap**4).mean() / power**2
    N = len(e) * float(skew**2 / 6 + (kurtosis - 3) ** 2 / 24)
    return Test(N, float(chdtrc(2, N)))


def break_of_variance(e: np.ndarray) -> Test:
    """The last third against the first, both sides."""
    from scipy.special import fdtr, fdtrc

    h = max(1, round(len(e) / 3))
    H = float((e[-h:] ** 2).sum() / (e[:h] ** 2).sum())
    return Test(H, float(min(1.0, 2 * min(fdtr(h, h, H), fdtrc(h, h, H)))))
