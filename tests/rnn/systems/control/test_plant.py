"""Plant: Jacobians and contracted Hessians against central differences, however the function is given."""

import numpy as np
import pytest

from msgpass import Step
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.systems.control import Plant
from tests.rnn.systems.control.differences import hessian, jacobian


def f(x, u):
    return np.stack([x[..., 0] + 0.1 * x[..., 1] * u[..., 0], np.sin(x[..., 0]) + u[..., 0] ** 2], axis=-1)


def f_vjp(inputs, c):
    x, u = inputs
    gx = np.stack([c[..., 0] + np.cos(x[..., 0]) * c[..., 1], 0.1 * u[..., 0] * c[..., 0]], axis=-1)
    return gx, np.stack([0.1 * x[..., 1] * c[..., 0] + 2 * u[..., 0] * c[..., 1]], axis=-1)


PLANTS = {
    "function": lambda: Plant(f, 2, 1),
    "vectorized": lambda: Plant(f, 2, 1, vectorized=True),
    "timed": lambda: Plant(lambda x, u, t: f(x, u) * (1 + t), 2, 1, timed=True),
    "step": lambda: Plant(Step(f, vectorized=True), 2, 1),
    "own vjp": lambda: Plant(Step(f, f_vjp), 2, 1),
    "own vectorized vjp": lambda: Plant(Step(f, f_vjp, vectorized=True), 2, 1),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_derivatives(kind, rng):
    plant = PLANTS[kind]()
    x, u, t, costate = (
        rng.normal(size=(3, 2)),
        rng.normal(size=(3, 1)),
        np.arange(3.0),
        rng.normal(size=(3, 2)),
    )
    A, B = plant.linearise(x, u, t)
    H = plant.curvature(x, u, t, costate)
    for i in range(3):

        def one(z, i=i):
            return plant(z[None, :2], z[None, 2:], t[i : i + 1])[0]

        z = np.concatenate([x[i], u[i]])
        np.testing.assert_allclose(np.hstack([A[i], B[i]]), jacobian(one, z), rtol=1e-6, atol=1e-8)
        contracted = hessian(lambda z: one(z) @ costate[i], z)  # noqa: B023
        np.testing.assert_allclose(H[i], contracted, rtol=1e-4, atol=1e-5)


def test_linear_plants_have_no_curvature():
    plant = Plant(lambda x, u: 2 * x + u, 1, 1)
    one = np.ones((2, 1))
    np.testing.assert_array_equal(plant.curvature(one, one, np.zeros(2), one), np.zeros((2, 2, 2)))
    idle = Plant(lambda x, u: np.zeros(1), 1, 1)
    np.testing.assert_array_equal(idle.linearise(one, one, np.zeros(2))[0], np.zeros((2, 1, 1)))


def test_integrators_have_their_orders():
    """dx/dt = −x + u with u held: the error falls as the step's power."""
    exact = np.exp(-1) * 2 + (1 - np.exp(-1))
    for method, order in (("euler", 1), ("rk4", 4)):
        errors = []
        for substeps in (8, 16):
            plant = Plant.from_ode(lambda x, u: u - x, 1, 1, 1.0, method, substeps)
            errors.append(abs(plant(np.full((1, 1), 2.0), np.ones((1, 1)), np.zeros(1))[0, 0] - exact))
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


def test_what_does_not_fit():
    one = np.ones((1, 2)), np.ones((1, 1)), np.zeros(1)
    with pytest.raises(ShapeError, match="maps \\(x, u\\) to the next state"):
        Plant(lambda x, u: x[:1], 2, 1)(*one)
    with pytest.raises(ShapeError, match="failed on inputs"):
        Plant(lambda x, u: x @ np.ones(5), 2, 1)(*one)
    with pytest.raises(UnsupportedError, match=r"np\.stack"):
        Plant(lambda x, u: np.array([x[0], u[0]]), 2, 1).linearise(*one)
    with pytest.raises(DataError, match="a function or a Step"):
        Plant(3, 2, 1)
    with pytest.raises(ShapeError, match="states must be a whole number"):
        Plant(f, 0, 1)
    with pytest.raises(DataError, match="rk4"):
        Plant.from_ode(f, 2, 1, 0.1, "rk5")
    for dt in (-0.1, np.nan, "a"):
        with pytest.raises(DataError, match="dt must be"):
            Plant.from_ode(f, 2, 1, dt)
    with pytest.raises(DataError, match="real numbers, got dtype complex"):
        Plant(lambda x, u: x * 1j, 2, 1)(*one)
    for vjp, says in ((lambda values, c: None, "must return"), (lambda values, c: (c, c), r"shape \(4,\)")):
        with pytest.raises(ShapeError, match=says):
            Plant(Step(lambda x, u: x + u, vjp), 2, 1).linearise(*one)


@pytest.mark.parametrize("rows", [1, 7])
def test_all_pulls_at_once_are_the_pulls_one_by_one(rows, rng, monkeypatch):
    """Timed, so that copies of the rows must take their steps' numbers with them."""
    plant = Plant(
        lambda x, u, t: f(x, u) * (1 + t)[:, None], 2, 1, timed=True, vectorized=True
    )  # fmt: skip
    x, u, t = rng.normal(size=(rows, 2)), rng.normal(size=(rows, 1)), np.arange(float(rows))
    costate = rng.normal(size=(rows, 2))
    together = *plant.linearise(x, u, t), plant.curvature(x, u, t, costate)
    monkeypatch.setattr("rnn.systems.control.plant.TOGETHER", 0)
    single = *plant.linearise(x, u, t), plant.curvature(x, u, t, costate)
    for one, other in zip(together, single, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-15)
