"""Quadratic: its forms are one function, and bad matrices are refused when they are given."""

import numpy as np
import pytest
from hypothesis import given

from msgpass import FactorGraph, Quadratic, run
from msgpass.errors import DataError, GraphError, NumericalError, ShapeError
from tests.msgpass.gaussian_models import covariance
from tests.msgpass.table_models import seeds


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: Quadratic.prior(np.zeros(2), [[1.0, 0.5], [0.4, 1.0]]), DataError, "symmetric"),
        (
            lambda: Quadratic.prior(np.zeros(2), [[1.0, 2.0], [2.0, 1.0]]),
            DataError,
            "covariance.*eigenvalue is -1",
        ),
        (lambda: Quadratic.prior(0.0, -1.0), DataError, "covariance"),
        (lambda: Quadratic.prior(np.zeros(2), np.ones((2, 3))), ShapeError, "square"),
        (lambda: Quadratic.prior([np.nan, 0.0], np.eye(2)), DataError, "NaN"),
        (lambda: Quadratic.prior([0.0, 0.0], np.full((2, 2), np.inf)), DataError, "infinite"),
        (lambda: Quadratic.linear_gaussian(np.eye(2), -np.eye(2)), DataError, "covariance"),
        (lambda: Quadratic.observation(np.eye(2), [[1.0, 0], [1, 1]]), DataError, "symmetric"),
        (lambda: Quadratic("a", np.eye(2)), DataError, "numbers"),
    ],
)
def test_matrices_are_checked(build, error, said):
    with pytest.raises(error, match=said):
        build()


@pytest.fixture
def g():
    g = FactorGraph()
    g.sequence("x", length=4, shape=(2,))
    g.sequence("m", length=4, shape=(2, 2))
    g.sequence("z", length=4, states=2)
    g.observe("y", np.zeros((4, 3)))
    g.parameter("p", np.zeros(2))
    return g


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (
            lambda g: g.factor(Quadratic.prior(np.zeros(3), np.eye(3)), g["x"][0]),
            ShapeError,
            r"shape \(3,\).*want \(2,\)",
        ),
        (
            lambda g: g.factor(Quadratic.linear_gaussian(np.eye(3), np.eye(2)), g["x"][:-1], g["x"][1:]),
            ShapeError,
            "F has shape",
        ),
        (
            lambda g: g.factor(
                Quadratic.linear_gaussian(np.eye(2), np.eye(2), np.zeros(3)), g["x"][:-1], g["x"][1:]
            ),
            ShapeError,
            "b has shape",
        ),
        (
            lambda g: g.factor(Quadratic.linear_gaussian(np.eye(2), np.eye(2)), g["x"][:]),
            GraphError,
            r"relates 2 variable\(s\), got 1",
        ),
        (
            lambda g: g.factor(Quadratic.observation(np.eye(2), np.eye(2)), g["x"][:], g["y"][:]),
            ShapeError,
            "H has shape",
        ),
        (
            lambda g: g.factor(Quadratic(np.zeros(2), np.eye(2)), g["z"][0]),
            GraphError,
            "relates real variables",
        ),
        (lambda g: g.factor(Quadratic(np.zeros(2), np.eye(2)), g["p"]), GraphError, "relates real variables"),
        (lambda g: g.factor(Quadratic(np.zeros(4), np.eye(4)), g["m"][0]), ShapeError, "vectors"),
        (
            lambda g: g.factor(Quadratic(np.zeros(2), np.eye(2)), g["x"].after(g["p"])),
            GraphError,
            "for steps",
        ),
        (
            lambda g: g.factor(Quadratic(np.zeros(4), np.eye(4)), g["x"][:], g["x"][0]),
            GraphError,
            "step with step",
        ),
        (
            lambda g: g.factor(Quadratic(np.zeros(2), np.eye(2)), g["x"][0], out=g["x"][1]),
            GraphError,
            "out= is for a Step",
        ),
    ],
)
def test_what_does_not_fit(g, build, error, said):
    with pytest.raises(error, match=said):
        build(g)


@given(seeds)
def test_a_relation_is_its_canonical_form(seed):
    """log N(x′; F x + b, Q) written with F, Q, b and as (h, precision, log_scale) over (x, x′)."""
    rng = np.random.default_rng(seed)
    F, Q, b = rng.normal(size=(3, 2)), covariance(rng, 3), rng.normal(size=3)
    A, W = np.hstack([-F, np.eye(3)]), np.linalg.inv(Q)
    scale = -0.5 * (3 * np.log(2 * np.pi) + np.linalg.slogdet(Q)[1] + b @ W @ b)
    results = []
    for potential in (Quadratic.linear_gaussian(F, Q, b), Quadratic(A.T @ W @ b, A.T @ W @ A, scale)):
        g = FactorGraph()
        x, y = g.variable("x", shape=(2,)), g.variable("y", shape=(3,))
        g.factor(Quadratic.prior(np.ones(2), np.eye(2)), x)
        g.factor(potential, x, y)
        results.append(run(g))
    one, other = results
    np.testing.assert_allclose(one.total, other.total, rtol=1e-8, atol=1e-8)
    for name in "xy":
        np.testing.assert_allclose(one.belief[name].mean, other.belief[name].mean, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(one.belief[name].cov, other.belief[name].cov, rtol=1e-7, atol=1e-9)


@given(seeds)
def test_data_inside_the_potential_are_data_beside_it(seed):
    rng = np.random.default_rng(seed)
    H, R, y = rng.normal(size=(2, 2)), covariance(rng, 2), np.array([rng.normal(), np.nan])
    totals = []
    for inside in (True, False):
        g = FactorGraph()
        x = g.variable("x", shape=(2,))
        g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x)
        if inside:
            g.factor(Quadratic.observation(H, R, y), x)
        else:
            g.factor(Quadratic.observation(H, R), x, g.observe("y", y))
        totals.append(run(g).total)
    assert totals[0] == pytest.approx(totals[1], rel=1e-12)


def test_an_undetermined_direction_has_no_mean():
    g = FactorGraph()
    x = g.variable("x", shape=(2,))
    g.factor(Quadratic.observation(np.array([[1.0, 0.0]]), np.eye(1), np.zeros(1)), x)
    with pytest.raises(NumericalError, match="prior"):
        run(g)


def test_precisions_that_are_not_positive_have_no_integral():
    g = FactorGraph()
    x = g.variable("x", shape=())
    g.factor(Quadratic(0.0, -1.0), x)
    with pytest.raises(NumericalError, match=r"not positive|not determined"):
        run(g)


def test_an_exact_observation_is_refused():
    g = FactorGraph()
    x = g.variable("x", shape=())
    g.factor(Quadratic.prior(0.0, 1.0), x)
    g.factor(Quadratic.observation(1.0, 0.0), x, g.observe("y", 2.0))
    with pytest.raises(NumericalError, match="singular noise"):
        run(g)
