"""Returns and advantages against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.errors import DataError, ShapeError
from rnn.credit import gae, lambda_returns, monte_carlo_returns, n_step_returns, td_errors
from tests.rnn.credit.td_oracles import episodes, lambda_return, n_step


def test_reference_number():
    """rlax: v_t are the values behind each step."""
    v = np.array([3.0, 1, 5, -5, 3])
    r, gamma = [1.0, 0, -1, 0, 1], [0.5, 0.9, 1, 0.5, 0.8]
    for values in ([0.0, *v], [77.0, *v]):
        found = lambda_returns(r, values, gamma, 0.75)
        np.testing.assert_allclose(found, [1.6460547, 0.7228125, 0.7375, 0.65, 3.4], atol=5e-8)
    found = lambda_returns(r, [0.0, *v[:-1]], gamma, 0.75, bootstrap=3.0)
    np.testing.assert_allclose(found, [1.6460547, 0.7228125, 0.7375, 0.65, 3.4], atol=5e-8)


@given(episodes())
def test_lambda_returns_are_weighted_n_step_returns(e):
    v = e.x @ e.w
    wanted = [lambda_return(e.r, e.gamma, e.lam, v, t) for t in range(len(e.r))]
    np.testing.assert_allclose(lambda_returns(e.r, v, e.gamma, e.lam), wanted, rtol=1e-12, atol=1e-12)


@given(episodes(), st.integers(1, 12))
def test_n_step_returns(e, n):
    v, T = e.x @ e.w, len(e.r)
    wanted = [n_step(e.r, e.gamma, v, t, min(n, T - t)) for t in range(T)]
    np.testing.assert_allclose(n_step_returns(e.r, v, n, e.gamma), wanted, rtol=1e-12, atol=1e-12)


@given(episodes())
def test_the_ends_of_the_spectrum(e):
    v, T = e.x @ e.w, len(e.r)
    np.testing.assert_allclose(
        lambda_returns(e.r, v, e.gamma, 0.0), n_step_returns(e.r, v, 1, e.gamma), rtol=1e-13
    )
    last = monte_carlo_returns(e.r, e.gamma, bootstrap=v[-1])
    np.testing.assert_allclose(lambda_returns(e.r, v, e.gamma, 1.0), last, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(n_step_returns(e.r, v, T, e.gamma), last, rtol=1e-12, atol=1e-13)
    if not e.x[-1].any():
        np.testing.assert_allclose(monte_carlo_returns(e.r, e.gamma), last, rtol=1e-13)


@given(episodes())
def test_gae_is_the_discounted_sum_of_td_errors_and_the_advantage(e):
    v, T = e.x @ e.w, len(e.r)
    delta = td_errors(e.r, v, e.gamma)
    np.testing.assert_allclose(delta, e.r + e.gamma * v[1:] - v[:-1], rtol=1e-13, atol=1e-13)
    decay = e.gamma * e.lam
    wanted = [sum(np.prod(decay[t:k]) * delta[k] for k in range(t, T)) for t in range(T)]
    found = gae(e.r, v, e.gamma, e.lam)
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found, lambda_returns(e.r, v, e.gamma, e.lam) - v[:-1], rtol=1e-11, atol=1e-12)


EVERY = {
    "lambda": lambda r, v, g, lam: lambda_returns(r, v, g, lam),
    "n": lambda r, v, g, lam: n_step_returns(r, v, 3, g),
    "gae": lambda r, v, g, lam: gae(r, v, g, lam),
    "td": lambda r, v, g, lam: td_errors(r, v, g),
}


@pytest.mark.parametrize("name", EVERY)
def test_batches_and_ragged_episodes_are_episodes_by_themselves(name, rng):
    f, (T, B) = EVERY[name], (6, 3)
    r, v, g, lam = (
        rng.normal(size=(T, B)),
        rng.normal(size=(T + 1, B)),
        rng.random((T, B)),
        rng.random((T, B)),
    )
    alone = [f(r[:, b], v[:, b], g[:, b], lam[:, b]) for b in range(B)]
    np.testing.assert_array_equal(f(r, v, g, lam), np.stack(alone, axis=1))
    lengths = (6, 1, 4)
    cut = [tuple(a[:n, b] for a in (r, g, lam)) for b, n in enumerate(lengths)]
    ends = [v[: n + 1, b] for b, n in enumerate(lengths)]
    found = f([c[0] for c in cut], ends, [c[1] for c in cut], [c[2] for c in cut])
    assert [len(part) for part in found] == [6, 1, 4]
    for part, (rk, gk, lk), vk in zip(found, cut, ends, strict=True):
        np.testing.assert_array_equal(part, f(rk, vk, gk, lk))
    shared = f(r, v, g[:, 0], 0.5)
    np.testing.assert_array_equal(shared[:, 1], f(r[:, 1], v[:, 1], g[:, 0], 0.5))


def test_bootstrap_a_member_and_an_episode(rng):
    r, v, last = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), np.array([3.0, -1.0])
    whole = lambda_returns(r, np.vstack([v, last]), 0.9, 0.5)
    np.testing.assert_array_equal(lambda_returns(r, v, 0.9, 0.5, bootstrap=last), whole)
    found = lambda_returns([r[:, 0], r[:, 1]], [v[:, 0], v[:, 1]], 0.9, 0.5, bootstrap=last)
    np.testing.assert_array_equal(np.stack(found, axis=1), whole)


def test_a_discount_of_zero_ends_an_episode_within_an_array(rng):
    r, v, g = rng.normal(size=7), rng.normal(size=8), np.full(7, 0.9)
    g[3] = 0.0
    found = lambda_returns(r, v, g, 0.8)
    np.testing.assert_allclose(found[:4], lambda_returns(r[:4], v[:4], 0.9, 0.8), rtol=1e-13)


def test_long_episodes():
    r = np.zeros(100_000)
    r[-1] = 1.0
    found = monte_carlo_returns(r, 0.9999)
    np.testing.assert_allclose(found[[0, -1]], [0.9999**99_999, 1.0], rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: lambda_returns([1.0, 2.0], [0.0, 0, 0], 1.0, 1.5),
            DataError,
            r"lambda_ must be from 0 to 1, got 1.5",
        ),
        (lambda: lambda_returns([1.0, 2.0], [0.0, 0, 0], 1.0, [0.5, -0.1]), DataError, r"got -0.1 at t=1"),
        (
            lambda: lambda_returns([[1.0], [1.0, 2.0]], [[0.0], [0, 0]], 1.0, [[0.5], [0.5, 2.0]]),
            DataError,
            r"lambda_ .* got 2 at t=1 of episode 1",
        ),
        (
            lambda: lambda_returns([1.0, 2.0], [0.0, 0, 0], 1.0, [1.0, 1, 1]),
            ShapeError,
            r"lambda_ has 3 steps.*t=2 would look ahead",
        ),
        (
            lambda: lambda_returns([1.0, np.nan], [0.0, 0, 0]),
            DataError,
            r"rewards must be finite, got nan at t=1",
        ),
        (lambda: lambda_returns([[1.0], [np.inf]], [[0.0], [0]]), DataError, r"inf at t=0 of episode 1"),
        (
            lambda: lambda_returns([1.0, 2.0], [0.0]),
            ShapeError,
            r"values has 1 rows for 2 rewards; wanted 2.*or 3",
        ),
        (lambda: lambda_returns([1.0], [0.0, 0], bootstrap=1.0), ShapeError, r"give one of them"),
        (
            lambda: lambda_returns([1.0], [0.0], bootstrap=[1.0, 2.0]),
            ShapeError,
            r"bootstrap has shape \(2,\)",
        ),
        (lambda: lambda_returns([], []), ShapeError, r"T ≥ 1"),
        (lambda: lambda_returns(3.0, [1.0]), ShapeError, r"wanted \(T,\)"),
        (lambda: lambda_returns(["a"], [1.0]), DataError, r"real numbers|array of numbers"),
        (
            lambda: lambda_returns([[1.0], [1.0]], [0.0, 0.0]),
            ShapeError,
            r"values must be a list of 2 arrays",
        ),
        (
            lambda: gae([1.0, 2], [0.0, 0], [1.0, 1.1]),
            DataError,
            r"discounts must be from 0 to 1, got 1.1 at t=1",
        ),
        (lambda: n_step_returns([1.0], [0.0], 0), ShapeError, r"n must be a whole number ≥ 1"),
        (lambda: lambda_returns(np.ones((2, 3)), np.ones((2, 4))), ShapeError, r"does not fit"),
        (lambda: lambda_returns([[1.0], [[1.0]]], [[0.0], [0]]), ShapeError, r"rows of shape"),
        (
            lambda: lambda_returns([[1.0], [1.0]], [[0.0], [0]], [[1.0]]),
            ShapeError,
            r"discounts has 1 episodes",
        ),
    ],
)
def test_what_does_not_fit_says_where(call, error, says):
    with pytest.raises(error, match=says):
        call()
