"""Tests of residuals: their formulas, and that they see what they are for."""

import numpy as np
import pytest

from hmm.state_space.structural.diagnostics import (
    autocorrelations,
    break_of_variance,
    diagnostics,
    jarque_bera,
    ljung_box,
)
from msgpass.errors import DataError


def test_formulas(rng):
    from scipy import stats

    e = rng.standard_t(5, size=60)
    found = jarque_bera(e)
    np.testing.assert_allclose(found, stats.jarque_bera(e), rtol=1e-10)
    gap = e - e.mean()
    r = np.array([(gap[k:] * gap[:-k]).sum() / (gap**2).sum() for k in (1, 2, 3)])
    np.testing.assert_allclose(autocorrelations(e, 3), r, rtol=1e-12)
    Q = 60 * 62 * (r**2 / (60 - np.arange(1, 4))).sum()
    np.testing.assert_allclose(ljung_box(r, 60, 1), (Q, stats.chi2.sf(Q, 2)), rtol=1e-10)
    H = (e[-20:] ** 2).sum() / (e[:20] ** 2).sum()
    tail = min(stats.f.cdf(H, 20, 20), stats.f.sf(H, 20, 20))
    np.testing.assert_allclose(break_of_variance(e), (H, 2 * tail), rtol=1e-10)


def test_each_sees_its_own_failure(rng):
    e = rng.normal(size=300)
    fine = diagnostics(e, None, 1, 0)
    assert min(fine.serial.pvalue, fine.normality.pvalue, fine.heteroscedasticity.pvalue) > 0.01
    assert diagnostics(np.convolve(e, [1, 0.8], "valid"), None, 1, 0).serial.pvalue < 1e-6
    assert diagnostics(rng.standard_t(3, size=300), None, 1, 0).normality.pvalue < 1e-6
    assert diagnostics(e * np.linspace(1, 3, 300), None, 1, 0).heteroscedasticity.pvalue < 1e-6
    assert "Ljung-Box, 10 lags" in repr(fine)


def test_the_first_residuals_and_gaps_are_left_out(rng):
    e = rng.normal(size=80)
    late = np.concatenate([[np.nan, np.nan], e])
    np.testing.assert_array_equal(autocorrelations(late, 4), autocorrelations(e, 4))
    e[40] = np.nan
    assert np.isfinite(diagnostics(e, 5, 1, 0).serial).all()


def test_lags_by_default():
    e = np.random.default_rng(0).normal(size=200)
    assert diagnostics(e, None, 1, 0).lags == 10
    assert diagnostics(e, None, 3, 12).lags == 24
    assert diagnostics(e[:20], None, 1, 12).lags == 4
    assert diagnostics(e[:20], None, 6, 0).lags == 7  # a degree of freedom is left


@pytest.mark.parametrize("lags", [0, 1, 200, 2.5])
def test_lags_that_do_not_fit(lags):
    with pytest.raises(DataError, match="lags must be"):
        diagnostics(np.random.default_rng(0).normal(size=50), lags, 1, 0)


def test_too_few_residuals():
    with pytest.raises(DataError, match="tests need 6"):
        diagnostics(np.array([np.nan, 1.0, 2.0]), None, 1, 0)
