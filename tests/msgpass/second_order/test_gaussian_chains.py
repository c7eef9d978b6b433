"""Gaussian chains with singular covariances and flat starts: their gradients move by the adjoint of the
filter."""

import numpy as np
import pytest

from msgpass import FactorGraph, Gaussian, Quadratic, Tangent, run
from msgpass.dual_array import DualArray
from msgpass.kernels import gaussian_chain
from msgpass.kernels.gaussian_chain_tangent import DualGradients
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays
from msgpass.second_order import Basis, Covariance, Curvature, Positive, laplace, newton_direction
from tests.msgpass.gaussian_models import covariance, gaps
from tests.oracles import random_direction

STEP = 1e-5


def drawn(rng, flat: int, lengths=(5, 1, 6)) -> GaussianChainArrays:
    """A chain with gaps, a singular Q and ``flat`` flat coordinates."""
    n, p, T = 3, 2, sum(lengths)
    pairs = T - len(lengths)
    cov, Q = covariance(rng, n), covariance(rng, n)
    cov[:flat], cov[:, :flat], Q[0], Q[:, 0] = 0, 0, 0, 0
    y = gaps(rng, rng.normal(size=(T, p)))
    y[2] = np.nan
    return GaussianChainArrays(
        rng.normal(size=(1, n)),
        cov[None],
        np.eye(n)[:, :flat],
        0.6 * rng.normal(size=(pairs, n, n)),
        Q[None],
        rng.normal(size=(1, n)),
        rng.normal(size=(T, p, n)),
        covariance(rng, p)[None],
        y,
        np.concatenate([[0], np.cumsum(lengths)]),
    )


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_values_are_those_of_the_sweep_and_tangents_its_differences(flat, rng):
    arrays = drawn(rng, flat, (5, 1, 6) if flat == 0 else (12,))
    names = ("mean", "F", "Q", "b", "H", "R", "y")
    moves = {n: random_direction(rng, getattr(arrays, n), symmetric=n in "QR") for n in names}

    def moved(step):
        return arrays._replace(**{n: getattr(arrays, n) + step * d for n, d in moves.items()})

    made = DualGradients(arrays._replace(**{n: DualArray(getattr(arrays, n), d) for n, d in moves.items()}))
    sweep, ahead, behind = (gaussian_chain.sweep(moved(s)) for s in (0.0, STEP, -STEP))
    close = {"rtol": 1e-9, "atol": 1e-9}
    for name, wanted in sweep.gradients.items():
        found = made.gradients[name]
        np.testing.assert_allclose(found.value, wanted, **close)
        difference = (ahead.gradients[name] - behind.gradients[name]) / (2 * STEP)
        np.testing.assert_allclose(found.tangent, difference, rtol=1e-5, atol=1e-5, err_msg=name)
    for found, wanted in zip(made.moments, sweep.smoothed, strict=True):
        np.testing.assert_allclose(found.value, wanted, **close)


def local_linear_trend(rng, T=30):
    """A smooth trend: the level has no noise of its own, the start is flat."""
    g = FactorGraph()
    trend = np.cumsum(np.cumsum(rng.normal(size=T)))
    x, y = g.sequence("x", length=T, shape=(2,)), g.observe("y", trend + 2 * rng.normal(size=T))
    Q = g.parameter("Q", np.diag([0.0, 0.5]))
    g.factor(Quadratic.linear_gaussian([[1.0, 1.0], [0.0, 1.0]], Q), x[:-1], x[1:])
    g.factor(Quadratic.observation([[1.0, 0.0]], g.parameter("R", [[1.0]])), x[:], y[:])
    return g


def test_a_singular_transition_and_a_flat_start(rng):
    g = local_linear_trend(rng)
    d = {"Q": np.diag([0.0, 1.0]), "R": np.ones((1, 1))}
    m = run(g, Tangent(d, over=Gaussian()))
    ahead, behind = (run(g, values={n: g[n].value + s * d[n] for n in d}) for s in (STEP, -STEP))
    for name in d:
        difference = (ahead.parameters[name] - behind.parameters[name]) / (2 * STEP)
        np.testing.assert_allclose(m.parameters[name].tangent, difference, rtol=1e-5, atol=1e-6)
    for part in ("mean", "cov"):
        value, tangent = getattr(m.belief["x"], part)
        difference = (getattr(ahead.belief["x"], part) - getattr(behind.belief["x"], part)) / (2 * STEP)
        np.testing.assert_allclose(tangent, difference, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(value, getattr(run(g).belief["x"], part), rtol=1e-9, atol=1e-9)


def test_newton_and_intervals_of_variances(rng):
    g = local_linear_trend(rng, 120)
    coordinates = {"Q": Basis([np.diag([0.0, 1.0])]), "R": Positive()}
    values: dict = {}
    for _ in range(12):
        values = newton_direction(g, values=values, coordinates=coordinates, tol=1e-12).values()
    here = Curvature(g, values=values, coordinates=coordinates)
    assert np.abs(here.gradient).max() < 1e-6
    fit = laplace(g, values=values, coordinates=coordinates)
    step, h = 1e-3, here.dense()
    ends = [[run(g, values=here.moved([a * step, b * step])).total for b in (-1, 0, 1)] for a in (-1, 0, 1)]
    second = (ends[2][1] - 2 * ends[1][1] + ends[0][1]) / step**2
    np.testing.assert_allclose(h[0, 0], second, rtol=1e-3)
    mixed = (ends[2][2] - ends[2][0] - ends[0][2] + ends[0][0]) / (4 * step**2)
    np.testing.assert_allclose(h[0, 1], mixed, rtol=1e-2, atol=1e-4)
    assert fit.errors["Q"][1, 1] > 0 and np.isnan(fit.errors["Q"][0, 0])


def test_covariances_of_several_dimensions(rng):
    g = FactorGraph()
    x, y = g.sequence("x", length=60, shape=(2,)), g.observe("y", rng.normal(size=(60, 2)))
    g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x[0])
    g.factor(Quadratic.linear_gaussian(0.9 * np.eye(2), 1e-3 * np.eye(2)), x[:-1], x[1:])
    g.factor(Quadratic.observation(np.eye(2), g.parameter("R", np.eye(2))), x[:], y[:])
    values: dict = {}
    for _ in range(8):
        values = newton_direction(g, values=values, coordinates={"R": Covariance()}, tol=1e-12).values()
    fit = laplace(g, values=values, coordinates={"R": Covariance()})
    assert fit.decrement < 1e-12
    low, high = fit["R"]
    np.testing.assert_allclose(low, low.T)
    assert (low < values["R"]).all() and (values["R"] < high).all() and np.diag(low).min() > 0


def test_what_nothing_moves_stays(rng):
    """A direction in one component leaves the other alone."""
    g = local_linear_trend(rng, 6)
    u = g.sequence("u", length=3)
    g.factor(Quadratic.prior(0.0, g.parameter("P", 1.0)), u[0])
    g.factor(Quadratic.linear_gaussian(1.0, 1.0), u[:-1], u[1:])
    m = run(g, Tangent({"P": 1.0}, over=Gaussian()))
    assert not m.belief["x"].mean.tangent.any() and not m.parameters["Q"].tangent.any()
    np.testing.assert_allclose(m.belief["u"].cov.tangent, np.ones(3))
    np.testing.assert_allclose(m.forward["u"].cov.tangent, np.ones(3))
    np.testing.assert_allclose(m.backward["u"].h.tangent, np.zeros(3), atol=1e-15)
