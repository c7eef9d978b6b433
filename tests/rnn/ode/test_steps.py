"""The contract of a step: its order, its derivatives in every argument, its interpolant."""

import numpy as np
import pytest

from msgpass import Step
from msgpass.errors import DataError, UnsupportedError
from msgpass.interop.differentiators import autograd_vjp
from rnn.ode import METHODS, solver_step
from tests.rnn.ode.fields import differences, forced, forced_params, lotka_volterra


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def exact(t):
    """Of y' = y cos t, y(0) = 1."""
    return np.exp(np.sin(t))


def slope(errors, sizes):
    """Least-squares slope in logarithms."""
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def run_steps(step, n, end=1.0):
    y, h = np.ones(1), end / n
    for k in range(n):
        y = step(y, k * h, h)
    return y[0]


def test_converges_with_its_order(method):
    step = solver_step(lambda t, y: y * np.cos(t), method)
    order = METHODS[method].order
    counts = np.array([8, 16, 32] if order > 3 else [32, 64, 128])
    errors = [abs(run_steps(step, n) - exact(1.0)) for n in counts]
    assert slope(errors, 1 / counts) > order - 0.25
    assert slope(errors, 1 / counts) < order + 1.2


def test_dense_output_converges_with_its_order(method):
    step = solver_step(lambda t, y: y * np.cos(t), method)
    sizes, errors = np.array([0.2, 0.1, 0.05]), []
    for h in sizes:
        y, ks = step.stages(np.array([exact(0.3)]), 0.3, h)
        places = np.array([0.15, 0.4, 0.65, 0.9])
        found = np.array([step.dense(np.array([exact(0.3)]), ks, h, p)[0] for p in places])
        errors.append(np.abs(found - exact(0.3 + places * h)).max())
        assert np.allclose(step.dense(np.array([exact(0.3)]), ks, h, 1.0), y, rtol=1e-12)
    assert slope(errors, sizes) > METHODS[method].dense_order + 1 - 0.35  # of one step


def test_derivatives_in_every_argument(method):
    rng = np.random.default_rng(1)
    y, params = rng.normal(size=(3, 2)), forced_params(rng)
    potential, w = solver_step(forced, method).potential(params), rng.normal(size=(3, 2))
    inputs = [y, np.array(0.4), np.array(-0.3), params["W"], params["b"]]
    if potential.vjp is not None:
        found = potential.vjp(tuple(inputs), w)
    else:
        found = autograd_vjp(potential.f, inputs, range(5))[1](w)
    for k, bar in enumerate(found):
        moved = lambda x, k=k: (potential.f(*inputs[:k], x, *inputs[k + 1 :]) * w).sum()  # noqa: E731
        assert np.allclose(bar, differences(moved, inputs[k]), rtol=1e-6, atol=1e-8)


def test_derivatives_of_dense_output(method):
    rng = np.random.default_rng(2)
    y, params = rng.normal(size=2), forced_params(rng)
    potential, w = solver_step(forced, method).potential_within(params), rng.normal(size=2)
    inputs = [y, np.array(0.4), np.array(0.3), np.array(0.6), params["W"], params["b"]]
    if potential.vjp is not None:
        found = potential.vjp(tuple(inputs), w)
    else:
        found = autograd_vjp(potential.f, inputs, range(6))[1](w)
    for k, bar in enumerate(found):
        moved = lambda x, k=k: (potential.f(*inputs[:k], x, *inputs[k + 1 :]) * w).sum()  # noqa: E731
        assert np.allclose(bar, differences(moved, inputs[k]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["rk4", "dopri5", "kvaerno3"])
def test_a_step_with_its_own_derivative(name):
    """f as a Step: the step's reverse comes from f's VJP alone, explicit and implicit."""
    k, calls = np.array([0.7, 0.2]), []

    def vjp(inputs, w):
        calls.append(1)
        return None, -inputs[2] * w, -inputs[1] * w

    own = solver_step(Step(lambda t, y, k: -k * y, vjp), name).potential(k)
    plain = solver_step(lambda t, y, k: -k * y, name).potential(k)
    inputs, w = (np.array([1.0, 2.0]), np.array(0.0), np.array(0.1), k), np.array([1.0, -1.0])
    wanted = plain.vjp(inputs, w) if plain.vjp else autograd_vjp(plain.f, inputs, range(4))[1](w)
    assert all(np.allclose(a, b, atol=1e-14) for a, b in zip(own.vjp(inputs, w), wanted, strict=True))
    assert calls


def test_l_stable_methods_forget():
    for name in ("implicit_euler", "kvaerno3", "kvaerno5"):
        y = solver_step(lambda t, y: -1e9 * y, name)(np.ones(1), 0.0, 1.0)
        assert np.abs(y).max() < 1e-6
    trapezoid = solver_step(lambda t, y: -1e9 * y, "trapezoid")(np.ones(1), 0.0, 1.0)
    assert np.allclose(trapezoid, -1.0, atol=1e-6)  # A-stable alone


def test_a_matrix_equation_is_no_batch():
    """Rows of a Riccati equation touch each other, so its Jacobian is full."""
    A = np.array([[0.0, 1.0], [-1.0, -0.2]])
    field = lambda t, P: A @ P + P @ A.T + np.eye(2) - P @ P  # noqa: E731
    fine = solver_step(field, "dopri5")
    P, reference = np.eye(2), np.eye(2)
    implicit = solver_step(field, "kvaerno5")
    for k in range(10):
        P = implicit(P, k * 0.02, 0.02)
        reference = fine(reference, k * 0.02, 0.02)
    assert np.abs(P - reference).max() < 1e-7


def test_functions_that_cannot_be_traced_step_implicitly():
    def field(t, y):
        out = np.empty(2)
        out[0], out[1] = -100 * y[0] + y[1], -y[1]
        return out

    y = solver_step(field, "kvaerno3")(np.ones(2), 0.0, 0.1)
    assert np.isclose(y[1], np.exp(-0.1), rtol=1e-4)


def test_lists_become_arrays():
    step = solver_step(lambda t, y, p: [p[0] * y[1], -y[0]], "rk4")
    assert step(np.ones(2), 0.0, 0.1, np.ones(1)).shape == (2,)


def test_wrong_names_and_functions():
    with pytest.raises(UnsupportedError, match=r"no method is called 'rk5'.*kvaerno5.*scipy:Radau"):
        solver_step(lotka_volterra, "rk5")
    with pytest.raises(DataError, match="f must be a function"):
        solver_step(3.0)
    with pytest.raises(UnsupportedError, match="no error estimate"):
        solver_step(lotka_volterra, "rk4").error([np.ones(2)] * 4, 0.1)
