"""Linear-Gaussian chains at the edge of double precision, and input that has no answer."""

from fractions import Fraction

import numpy as np
import pytest

from msgpass.errors import NumericalError
from msgpass.kernels import gaussian_chain, gaussian_chain_square_root
from msgpass.kernels.gaussian_chain import GaussianChainArrays, sweep


@pytest.fixture(params=["reference", "compiled"], autouse=True)
def either(request, monkeypatch):
    """Every test with both kinds of passes."""
    rows = 0 if request.param == "compiled" else 10**9
    monkeypatch.setattr(gaussian_chain, "COMPILED", rows)
    monkeypatch.setattr(gaussian_chain_square_root, "COMPILED", rows)


def chain(y, cov, F, Q, H, R, flat=None, mean=None) -> GaussianChainArrays:
    """One sequence with shared matrices and no offsets."""
    n, y = len(F), np.asarray(y, float)
    y = y[:, None] if y.ndim == 1 else y
    return GaussianChainArrays(
        mean=np.zeros((1, n)) if mean is None else np.asarray(mean, float)[None],
        cov=np.asarray(cov, float)[None],
        flat=np.zeros((n, 0)) if flat is None else np.asarray(flat, float),
        F=np.asarray(F, float)[None],
        Q=np.asarray(Q, float)[None],
        b=np.zeros((1, n)),
        H=np.atleast_2d(np.asarray(H, float))[None],
        R=np.asarray(R, float)[None],
        y=y,
        offsets=np.array([0, len(y)]),
    )


fractions = np.vectorize(Fraction, otypes=[object])


def exact(arrays):
    """Total, smoothed means and joint covariance in fractions."""
    n, (L, p) = arrays.mean.shape[-1], arrays.y.shape
    F, Q, H, R, block, own, y = (
        fractions(part[0])
        for part in (arrays.F, arrays.Q, arrays.H, arrays.R, arrays.cov, arrays.mean, arrays.y[None])
    )
    V, c = np.full((L, n, L, n), Fraction(0)), np.full((L, n), Fraction(0))
    look, noise = np.full((L, p, L, n), Fraction(0)), np.full((L, p, L, p), Fraction(0))
    for t in range(L):
        if t:
            block, own = F @ block @ F.T + Q, F @ own
        c[t], look[t, :, t], noise[t, :, t], column = own, H, R, block
        for s in range(t, L):
            V[s, :, t], V[t, :, s], column = column, column.T, F @ column
    V, c, look, noise = V.reshape(L * n, -1), c.reshape(-1), look.reshape(L * p, -1), noise.reshape(L * p, -1)
    inverse, det = inverted(look @ V @ look.T + noise)
    v = y.reshape(-1) - look @ c
    gain = V @ look.T @ inverse
    total = -(L * p * np.log(2 * np.pi) + np.log(float(det)) + float(v @ inverse @ v)) / 2
    return total, (c + gain @ v).astype(float).reshape(L, n), (V - gain @ look @ V).astype(float)


def inverted(S):
    """Inverse and determinant of a positive matrix of fractions, by Gauss and Jordan."""
    m, det = len(S), Fraction(1)
    table = np.hstack([S, fractions(np.eye(m))])
    for i in range(m):
        det *= table[i, i]
        table[i] = table[i] / table[i, i]
        for k in range(m):
            if k != i:
                table[k] = table[k] - table[k, i] * table[i]
    return table[:, m:], det


TREND = [[1, 1], [0, 1]]
STIFF = {
    "a sharp sensor behind a wide prior": chain(
        [1, 2.5, 2], 1e8 * np.eye(1), [[1]], [[1e-3]], [[1]], [[1e-14]]
    ),
    "a trend": chain([1, 2, 4, 5], 1e8 * np.eye(2), TREND, np.zeros((2, 2)), [1, 0], [[1e-14]]),
    "two sensors that nearly agree": chain(
        [[1, 1.0000001], [2, 2]], 1e8 * np.eye(1), [[1]], [[1]], [[1], [1]], 1e-12 * np.eye(2)
    ),
    "a difference of what hangs together": chain(
        [1.0, 2.0, 1.5], 1e8 * np.ones((2, 2)) + np.eye(2), np.eye(2), 1e-6 * np.eye(2), [1, -1], [[1e-10]]
    ),
    "no noise": chain([1, 2, 4, 3], np.eye(2), [[0.5, 1], [0.2, 0]], np.diag([1.0, 0]), [1, 0], [[0]]),
}


@pytest.mark.parametrize("name", STIFF)
def test_digits_survive(name):
    arrays, found = STIFF[name], sweep(STIFF[name])
    total, mean, cov = exact(arrays)
    n, L = arrays.mean.shape[-1], len(arrays.y)
    np.testing.assert_allclose(found.totals[0], total, rtol=1e-7)
    spread = np.sqrt(np.diag(cov)).reshape(L, n)
    own = np.sqrt(np.diagonal(found.smoothed[1], axis1=1, axis2=2))
    np.testing.assert_allclose(own, spread, rtol=1e-5, atol=1e-12)
    assert (np.abs(found.smoothed[0] - mean) <= 1e-4 * spread + 1e-12 * np.abs(mean).max()).all()
    for t in range(L - 1):
        cross = cov[(t + 1) * n : (t + 2) * n, t * n : (t + 1) * n]
        scale = np.outer(spread[t + 1], spread[t])
        np.testing.assert_array_less(np.abs(found.lag_one[t] - cross), 1e-4 * scale + 1e-15)


@pytest.mark.parametrize("name", STIFF)
def test_no_covariance_is_negative(name):
    found = sweep(STIFF[name])
    for _, covs in (found.predicted, found.filtered, found.smoothed):
        scale = np.sqrt(np.diagonal(covs, axis1=1, axis2=2))
        assert (scale >= 0).all()
        safe = np.where(scale > 0, scale, 1)
        values = np.linalg.eigvalsh(covs / (safe[:, :, None] * safe[:, None, :]))
        assert values.min() > -1e-14


def test_singular_noise_with_a_flat_start():
    """An AR(1) around an unknown constant, observed without noise: generalised least squares."""
    y, phi = np.array([3.0, 2.0, 4.0, 3.5, 5.0]), 0.6
    arrays = chain(
        y,
        np.diag([1 / (1 - phi**2), 0]),
        np.diag([phi, 1]),
        np.diag([1.0, 0]),
        [1, 1],
        [[0]],
        flat=[[0], [1]],
    )
    V = phi ** np.abs(np.subtract.outer(range(5), range(5))) / (1 - phi**2)
    W = np.linalg.inv(V)
    ones = np.ones(5)
    precision = ones @ W @ ones
    constant = ones @ W @ y / precision
    found = sweep(arrays)
    np.testing.assert_allclose(found.smoothed[0][:, 1], constant, rtol=1e-10)
    np.testing.assert_allclose(found.smoothed[1][:, 1, 1], 1 / precision, rtol=1e-10)
    np.testing.assert_allclose(found.smoothed[0][:, 0], y - constant, rtol=1e-9)
    away = y - constant
    total = -0.5 * (4 * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + np.log(precision) + away @ W @ away)
    np.testing.assert_allclose(found.totals, total, rtol=1e-10)


def test_singular_innovations_name_sequence_and_step():
    arrays = chain([np.nan, 1, 2], np.eye(1), [[1]], [[0]], [[1]], [[0]])
    arrays = arrays._replace(y=np.vstack([[[1.0]], arrays.y]), offsets=np.array([0, 1, 4]))
    with pytest.raises(NumericalError, match="sequence 1 is singular at step 2"):
        _ = sweep(arrays).totals


def test_repeated_cells_are_singular_where_a_missing_one_is_not():
    arrays = chain([[1, np.nan], [1, 1]], np.eye(1), [[1]], [[1]], [[1], [1]], np.zeros((2, 2)))
    with pytest.raises(NumericalError, match="step 1"):
        _ = sweep(arrays).smoothed
    once = arrays._replace(y=np.array([[1, np.nan], [np.nan, 1]]))
    np.testing.assert_allclose(sweep(once).smoothed[0][:, 0], [1, 1])


@pytest.mark.parametrize("reading", ["smoothed", "lag_one", "gradients", "statistics", "totals"])
def test_a_direction_that_stays_open_is_named(reading):
    """The slope of a trend that is seen once; one sequence that never sees anything."""
    trend = chain([5.0], np.zeros((2, 2)), TREND, np.eye(2), [1, 0], [[1]], flat=np.eye(2))
    with pytest.raises(NumericalError, match=r"sequence 0 .* coordinate\(s\) 1,"):
        getattr(sweep(trend), reading)
    blind = chain([1.0, np.nan, np.nan], np.zeros((1, 1)), [[1]], [[1]], [[1]], [[1]], flat=[[1]])
    blind = blind._replace(offsets=np.array([0, 1, 3]))
    with pytest.raises(NumericalError, match=r"sequence 1 .* coordinate\(s\) 0,"):
        getattr(sweep(blind), reading)
    with pytest.raises(NumericalError, match="sequence 1"):
        sweep(blind).draws(np.random.default_rng(0), 1)


def test_open_coordinates_of_the_filter_are_marked():
    """Two observations determine a level and its slope; the first one alone the level."""
    arrays = chain([1, 3, 4], np.zeros((2, 2)), TREND, np.eye(2), [1, 0], [[1]], flat=np.eye(2))
    found = sweep(arrays)
    mean, cov = found.predicted
    assert np.isnan(mean[:2]).all() and np.isinf(np.diagonal(cov[:2], axis1=1, axis2=2)).all()
    mean, cov = found.filtered
    np.testing.assert_array_equal(np.isnan(mean), [[False, True], [False, False], [False, False]])
    assert cov[0, 0, 0] == pytest.approx(1) and cov[0, 1, 1] == np.inf and np.isnan(cov[0, 0, 1])
    assert np.isfinite(found.predicted[1][2]).all()


def test_the_scale_of_a_flat_direction_does_not_matter():
    """Units of states and data a million times larger: the same numbers in other units."""
    y, unit = np.array([1.0, 3, 2, 5, 4]), 1e6
    small = chain(y, np.zeros((2, 2)), TREND, np.diag([1, 0.1]), [1, 0], [[2]], flat=np.eye(2))
    large = small._replace(y=unit * small.y, Q=unit**2 * small.Q, R=unit**2 * small.R)
    a, b = sweep(small), sweep(large)
    np.testing.assert_allclose(b.smoothed[0], unit * a.smoothed[0], rtol=1e-10)
    np.testing.assert_allclose(b.smoothed[1], unit**2 * a.smoothed[1], rtol=1e-10)
    np.testing.assert_allclose(b.totals, a.totals - 3 * np.log(unit), rtol=1e-10)


def test_readings_do_not_depend_on_their_order():
    arrays = STIFF["a trend"]
    first, second = sweep(arrays), sweep(arrays)
    _ = first.smoothed, second.totals, second.filtered
    np.testing.assert_array_equal(first.totals, second.totals)
    np.testing.assert_array_equal(first.filtered[1], second.filtered[1])
    np.testing.assert_array_equal(first.smoothed[1], second.smoothed[1])


def test_gains_converge():
    y = np.random.default_rng(0).normal(size=100)
    arrays = chain(y, np.eye(1), [[1]], [[1]], [[1]], [[1]])
    (row,) = sweep(arrays).converged
    assert 5 < row < 40
    P = sweep(arrays).predicted[1]
    np.testing.assert_allclose(P[row:, 0, 0], P[-1, 0, 0], rtol=1e-13)
    y[60] = np.nan
    assert sweep(arrays._replace(y=y[:, None])).converged[0] > 60


def test_overflow_names_sequence_and_step():
    arrays = chain(np.full(2000, np.nan), np.eye(1), [[2]], [[1]], [[1]], [[1]])
    with pytest.raises(NumericalError, match=r"sequence 0 overflows at step 51[0-9]"):
        _ = sweep(arrays).totals


def test_an_unstable_model_that_is_observed_is_fine():
    y = 2.0 ** np.arange(300)
    found = sweep(chain(y, np.eye(1), [[2]], [[1]], [[1]], [[1]]))
    assert (np.abs(found.smoothed[0][:, 0] - y) < 1 + 1e-9 * y).all()
    assert np.isfinite(found.totals).all()


@pytest.mark.parametrize("R", [1.0, 1e-9, 0.0])
def test_a_flat_level_takes_up_what_is_added_to_the_data(R):
    y = np.array([1.0, 3, 2, np.nan, 5, 4, 6, 5])
    arrays = chain(y, np.zeros((2, 2)), TREND, np.diag([1, 0.1]), [1, 0], [[R]], flat=np.eye(2))
    near, far = sweep(arrays), sweep(arrays._replace(y=arrays.y + 1e6))
    np.testing.assert_allclose(far.totals, near.totals, rtol=1e-8)
    np.testing.assert_allclose(far.smoothed[0] - [1e6, 0], near.smoothed[0], rtol=0, atol=1e-8)
    np.testing.assert_array_equal(far.smoothed[1], near.smoothed[1])


def test_coordinates_that_are_seen_only_together_are_named_together():
    """Two constants of which the sum is seen stay open; a third is seen alone."""
    H = [[1, 1, 0], [0, 0, 1]]
    arrays = chain(np.ones((4, 2)), np.zeros((3, 3)), np.eye(3), np.eye(3), H, np.eye(2), flat=np.eye(3))
    with pytest.raises(NumericalError, match=r"coordinate\(s\) 0, 1,"):
        _ = sweep(arrays).totals
    mean, cov = sweep(arrays).filtered
    assert np.isnan(mean[:, :2]).all() and np.isfinite(mean[:, 2]).all() and (cov[:, 0, 0] == np.inf).all()
