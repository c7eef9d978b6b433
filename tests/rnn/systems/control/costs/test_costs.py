"""Costs: derivatives against central differences, sums, targets that move, what functions may not return."""

import numpy as np
import pytest

from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.systems.control import Cost, LeastSquares, QuadraticCost, SmoothCost
from tests.rnn.systems.control.differences import hessian, jacobian
from tests.rnn.systems.control.lq_models import positive


def costs(rng):
    joint = positive(rng, 5, (4,))
    quadratic = QuadraticCost(
        joint[:, :3, :3],
        joint[:, 3:, 3:],
        joint[:, :3, 3:],
        rng.normal(size=(4, 3)),
        rng.normal(size=2),
        rng.normal(size=3),
        rng.normal(size=(4, 2)),
    )
    smooth = SmoothCost(lambda x, u: np.cos(x[0]) * x[1] + np.exp(0.3 * u[0]) * x[2] ** 2 + u[1] ** 4)
    timed = SmoothCost(lambda x, u, t: t * np.sin(x[0] * u[1]) + np.sum(u**2), timed=True)
    many = SmoothCost(lambda x, u: np.tanh(x).sum(axis=1) + (u**2).sum(axis=1), vectorized=True)
    squares = LeastSquares(lambda x, u: np.stack([np.sin(x[0]) - u[0], x[1] * x[2], u[1]]), hessian="full")
    return [quadratic, smooth, timed, many, squares, smooth + quadratic + squares]


@pytest.mark.parametrize("kind", range(6))
def test_derivatives(kind, rng):
    cost = costs(rng)[kind]
    x, u, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 2)), np.arange(4.0)
    e, (gx, gu) = cost.expansion(x, u, t), cost.gradient(x, u, t)
    np.testing.assert_array_equal(e.x, gx)
    np.testing.assert_array_equal(e.u, gu)
    for i in range(4):

        def value(z, i=i):
            return cost.value(z[None, :3], z[None, 3:], t[i : i + 1])[0]

        z = np.concatenate([x[i], u[i]])
        np.testing.assert_allclose(
            np.concatenate([gx[i], gu[i]]), jacobian(value, z)[0], rtol=1e-6, atol=1e-7
        )
        H = np.block([[e.xx[i], e.xu[i]], [e.xu[i].T, e.uu[i]]])
        np.testing.assert_allclose(H, hessian(value, z), rtol=1e-4, atol=1e-5)


def test_gauss_newton_is_never_indefinite(rng):
    def residual(x, u):
        return np.stack([x[0] ** 2 - 3, x[0] * u[0]])

    x, u, t = np.full((1, 1), 0.5), np.full((1, 1), 0.2), np.zeros(1)
    approximate = LeastSquares(residual).expansion(x, u, t)
    exact = LeastSquares(residual, hessian="full").expansion(x, u, t)
    np.testing.assert_array_equal(approximate.x, exact.x)
    J = jacobian(lambda z: residual(z[:1], z[1:]), np.array([0.5, 0.2]))
    H = np.block([[approximate.xx[0], approximate.xu[0]], [approximate.xu[0].T, approximate.uu[0]]])
    np.testing.assert_allclose(H, J.T @ J, rtol=1e-8)
    assert exact.xx[0, 0, 0] < 0 <= approximate.xx[0, 0, 0]


def test_terminal_costs_read_the_state_alone(rng):
    x, nothing, t = rng.normal(size=(1, 2)), np.zeros((1, 0)), np.array([7.0])
    quadratic = QuadraticCost(np.diag([1.0, 3.0]), target=[1, 2])
    wanted = quadratic.expansion(x, nothing, t)
    for other in (
        SmoothCost(lambda x: 0.5 * (x[0] - 1) ** 2 + 1.5 * (x[1] - 2) ** 2, terminal=True),
        SmoothCost(
            lambda x, t: 0.5 * (x[0] - 1) ** 2 + 1.5 * (x[1] - 2) ** 2 + t - 7, terminal=True, timed=True
        ),
        LeastSquares(lambda x: np.stack([x[0] - 1, np.sqrt(3.0) * (x[1] - 2)]), terminal=True),
    ):
        assert other.value(x, nothing, t) == pytest.approx(quadratic.value(x, nothing, t))
        for got, want in zip(other.expansion(x, nothing, t), wanted, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-12)


def test_what_does_not_fit():
    x, u, t = np.zeros((3, 2)), np.zeros((3, 1)), np.arange(3.0)
    with pytest.raises(ShapeError, match="must return one number a step"):
        SmoothCost(lambda x, u: x).value(x, u, t)
    with pytest.raises(ShapeError, match="must return a vector a step"):
        LeastSquares(lambda x, u: x[0]).value(x, u, t)
    with pytest.raises(ShapeError, match="failed on inputs of shapes"):
        SmoothCost(lambda x, u: x[5]).value(x, u, t)
    with pytest.raises(UnsupportedError, match=r"np\.stack"):
        LeastSquares(lambda x, u: np.array([x[0], u[0]])).expansion(x, u, t)
    with pytest.raises(DataError, match="given as a function"):
        SmoothCost(3)
    with pytest.raises(DataError, match="hessian must be"):
        LeastSquares(np.sin, hessian="none")
    with pytest.raises(DataError, match="Q must be symmetric"):
        QuadraticCost([[1, 1], [0, 1]])
    with pytest.raises(ShapeError, match="target has 2 steps, but step 2"):
        QuadraticCost(np.eye(2), np.eye(1), target=np.zeros((2, 2))).value(x, u, t)
    with pytest.raises(TypeError, match="abstract"):
        Cost().value(x, u, t)
