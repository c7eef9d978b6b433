"""L-BFGS alone: it rises, ends where scipy's ends, and keeps to bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from msgpass.learning.lbfgs import Climber

seeds = st.integers(0, 2**32 - 1)


def quartic(rng, n):
    """A concave function with an ill-conditioned top."""
    root = rng.normal(size=(n, n)) * np.logspace(0, 1.5, n)
    top = rng.normal(size=n)

    def f(v):
        gap = root.T @ (v - top)
        return -float((gap**2).sum() / 2 + (gap**4).sum() / 12), -root @ (gap + gap**3 / 3)

    return f, top


def climbed(f, start, low=None, high=None, rounds=2000, **guess):
    n = len(start)
    low, high = np.full(n, -np.inf) if low is None else low, np.full(n, np.inf) if high is None else high
    climber, values = Climber(f, start, *f(start), low, high, **guess), []
    for _ in range(rounds):
        values.append(climber.value)
        if not climber.climb():
            break
    assert (np.diff(values) >= 0).all()
    return climber


@given(seeds)
def test_it_finds_the_top(seed):
    rng = np.random.default_rng(seed)
    f, top = quartic(rng, int(rng.integers(1, 6)))
    found = climbed(f, np.zeros(len(top)))
    assert found.value == pytest.approx(0, abs=1e-8)


@settings(max_examples=10)
@given(seeds)
def test_with_bounds_it_ends_where_scipy_ends(seed):
    rng = np.random.default_rng(seed)
    f, top = quartic(rng, 4)
    low, high = top - rng.choice([-0.3, 0.3, np.inf], 4), top + rng.choice([0.5, 1.0, np.inf], 4)
    start = np.clip(np.zeros(4), low, high)
    found = climbed(f, start, low, high)
    assert (found.point >= low).all() and (found.point <= high).all()
    best = minimize(
        lambda v: (-f(v)[0], -f(v)[1]),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000},
    )
    assert found.value == pytest.approx(-best.fun, rel=1e-6, abs=1e-7)


def test_where_it_is_not_defined_steps_are_shortened():
    def f(v):
        x = float(v[0])
        return (np.log(x) - x, np.array([1 / x - 1])) if x > 0 else (-np.inf, np.zeros(1))

    assert climbed(f, np.array([1e-3])).point[0] == pytest.approx(1, abs=1e-6)


def test_at_the_top_nothing_moves():
    f, top = quartic(np.random.default_rng(0), 3)
    climber = Climber(f, top, *f(top), np.full(3, -np.inf), np.full(3, np.inf))
    assert not climber.climb()
    np.testing.assert_array_equal(climber.point, top)


def test_pushed_against_a_bound_nothing_moves():
    def f(v):
        return float(v[0]), np.ones(1)

    climber = Climber(f, np.array([2.0]), *f([2.0]), np.array([0.0]), np.array([2.0]))
    assert not climber.climb()


def test_a_guess_at_the_curvature_saves_steps():
    scales = np.logspace(0, 6, 8)

    def f(v):
        return -0.5 * float(scales @ (v - 1) ** 2), -scales * (v - 1)

    def runs(**guess):
        calls = []
        climber = climbed(lambda v: calls.append(1) or f(v), np.zeros(8), **guess)
        assert climber.value > -1e-6
        return len(calls)

    assert runs(curvature=scales) < 5 < runs()
