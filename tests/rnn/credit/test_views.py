"""Both views of TD(λ), and what a window keeps."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import FixedLag, Truncated
from msgpass.errors import DataError, ShapeError
from rnn.credit import compare_views, kept_weight, lambda_returns, semi_gradient, td_lambda, truncation_for
from tests.rnn.credit.td_oracles import episodes


@given(episodes(longest=12))
def test_the_views_agree(e):
    found = compare_views(e.x, e.r, e.w, e.gamma, e.lam)
    v = e.x @ e.w
    np.testing.assert_allclose(
        found.returns, lambda_returns(e.r, v, e.gamma, e.lam) - v[:-1], rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(found.backward, found.forward, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.adjoint, found.forward, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.adjoints, found.returns, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.sensitivities, found.traces, rtol=1e-11, atol=1e-11)


def test_over_ragged_episodes(rng):
    x = [rng.normal(size=(n, 3)) for n in (4, 1, 7)]
    r = [rng.normal(size=n) for n in (4, 1, 6)]
    w = rng.normal(size=3)
    found = compare_views(x, r, w, 0.9, 0.8)
    assert found.gap < 1e-13
    moved = td_lambda(x, r, 0.9, 0.8, 0.1, update="batch", weights=w).weights
    np.testing.assert_allclose(moved, w + 0.1 * found.forward, rtol=1e-13)
    np.testing.assert_allclose(semi_gradient(x, r, w, 0.9, 0.8).direction, found.forward, rtol=1e-12)
    assert "by traces" in repr(found)


def test_windows_over_ragged_episodes(rng):
    x = [rng.normal(size=(n, 2)) for n in (4, 1, 6)]
    r = [rng.normal(size=len(part)) for part in x]
    w, window = rng.normal(size=2), Truncated(1, 3)
    together = semi_gradient(x, r, w, 0.9, 0.8, schedule=window)
    alone = [semi_gradient(a, b, w, 0.9, 0.8, schedule=window) for a, b in zip(x, r, strict=True)]
    np.testing.assert_allclose(together.direction, sum(one.direction for one in alone), rtol=1e-12)
    for part, one in zip(together.advantages, alone, strict=True):
        np.testing.assert_allclose(part, one.advantages, rtol=1e-12)
    assert "2 weights" in repr(together)


def test_a_gap_is_seen(rng):
    from dataclasses import replace

    found = compare_views(rng.normal(size=(5, 2)), rng.normal(size=5), [1.0, 2.0])
    for name in ("backward", "adjoint", "adjoints", "sensitivities"):
        assert replace(found, **{name: 1.01 * getattr(found, name)}).gap == pytest.approx(0.01)


@given(episodes(longest=12), st.integers(1, 14))
def test_a_window_keeps_the_first_terms_of_each_advantage(e, K):
    w = e.w
    x, gamma, T = e.x, e.gamma, len(e.r)
    delta = e.r + gamma * (x[1:] @ w) - x[:-1] @ w
    decay = gamma * e.lam
    wanted = [sum(np.prod(decay[t:k]) * delta[k] for k in range(t, min(T, t + K))) for t in range(T)]
    for schedule in (Truncated(1, K), FixedLag(K - 1)):
        found = semi_gradient(x, e.r, w, gamma, e.lam, schedule=schedule)
        np.testing.assert_allclose(found.advantages, wanted, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found.direction, wanted @ x[:-1], rtol=1e-9, atol=1e-9)


@given(st.floats(0.01, 0.99), st.integers(1, 30))
def test_the_kept_weight_is_measured(lam, K):
    """TD errors of (1 − λ) each, for ever: the advantage is 1 − λᵀ, and a window of K steps keeps 1 − λᴷ."""
    T = 40
    x, r = np.ones((T, 1)), np.full(T, 1 - lam)
    found = semi_gradient(x, r, [0.0], 1.0, lam, schedule=Truncated(1, K)).advantages
    np.testing.assert_allclose(found[0], kept_weight(lam, K), rtol=1e-12)
    # the same share of the λ-return: λ-weights of the returns of at most K steps
    returns = [(1 - lam) * lam ** (n - 1) for n in range(1, K + 1)]
    np.testing.assert_allclose(sum(returns), kept_weight(lam, K), rtol=1e-12)


@given(st.fractions(0, 1, max_denominator=1000).filter(lambda f: f < 1), st.integers(1, 8))
def test_the_smallest_window_exactly_at_boundaries(lam, K):
    keep = 1 - lam**K
    if lam == 0 or float(keep) == 1:
        return
    assert truncation_for(float(lam), float(keep)) == K
    assert truncation_for(float(lam), 1 - float(lam) ** K) == K


@given(st.fractions(0, 1, max_denominator=10**6), st.fractions(0, 1, max_denominator=10**6))
def test_the_smallest_window(lam, keep):
    if lam == 1 or not 0 < keep < 1:
        return
    if lam > Fraction(999, 1000):
        lam -= Fraction(1, 100)
    K = truncation_for(float(lam), float(keep))
    assert 1 - lam**K >= keep
    assert K == 1 or 1 - lam ** (K - 1) < keep


@pytest.mark.parametrize(
    ("lam", "keep", "K"),
    [
        (0.5, 0.75, 2),
        (0.9, 0.19, 2),
        (0.9, 0.271, 3),
        (0.0, 0.999, 1),
        (0.9, 0.95, 29),
        (0.5, 0.5, 1),
        (0.8, 0.2, 1),
    ],
)
def test_some_windows(lam, keep, K):
    assert truncation_for(lam, keep) == K


def test_very_close_to_one():
    K = truncation_for(1 - 1e-9, 0.99)
    assert abs(K - np.log(0.01) / np.log1p(-1e-9)) < 1e3  # 1 − 1e-9 is known to a digit in 1e7 of itself
    assert truncation_for(0.5, 1 - 2.0**-50) == 50


def test_with_a_discount():
    assert truncation_for(1.0, 0.9, discount=0.9) == truncation_for(0.9, 0.9) == 22
    assert truncation_for(0.8, 0.9, discount=0.5) == truncation_for(0.4, 0.9)
    assert kept_weight(0.8, 3, 0.5) == pytest.approx(1 - 0.4**3)
    assert kept_weight(1.0, 3) == 0 and kept_weight(0.0, 1) == 1


@pytest.mark.parametrize("keep", [0.0, 1.0, -0.5, 1.5, np.nan, True, "half"])
def test_keep_is_a_share(keep):
    with pytest.raises(DataError, match="between 0 and 1"):
        truncation_for(0.5, keep)


@pytest.mark.parametrize("lam", [-0.1, 1.1, np.nan, None])
def test_lambda_is_from_0_to_1(lam):
    with pytest.raises(DataError, match="lambda_ must be a number from 0 to 1"):
        truncation_for(lam, 0.5)


def test_monte_carlo_has_no_window():
    with pytest.raises(DataError, match="Monte Carlo"):
        truncation_for(1.0, 0.5)
    with pytest.raises(ShapeError, match="window"):
        kept_weight(0.5, 0)


def test_figure(rng):
    pytest.importorskip("matplotlib")
    found = compare_views(
        [rng.normal(size=(4, 2)), rng.normal(size=(9, 2))], [np.ones(4), np.ones(9)], [1.0, 2.0]
    )
    below = found.plot(episode=1).axes[1]
    np.testing.assert_array_equal(below.lines[0].get_ydata(), found.returns[4:])
