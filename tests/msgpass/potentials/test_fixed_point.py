"""Fixed points of loops: the value solves the equation, and gradients are differences of the total."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Adjoint, FactorGraph, Loss, Step, Tangent, check_gradients, run
from msgpass.errors import DataError, GraphError, NumericalError, ShapeError, UnsupportedError

SEEDS = st.integers(0, 2**32 - 1)
half_square = Loss(lambda x: (0.5 * float((x**2).sum()), (x,)), vectorized=True)


def layer(x, W, u):
    return np.tanh(x @ W.T + u)


def layer_vjp(inputs, cotangent):
    x, W, u = inputs
    local = cotangent * (1 - layer(x, W, u) ** 2)
    if x.ndim == 1:
        return local @ W, np.outer(local, x), local
    return local @ W, local.T @ x, local


def layer_jvp(inputs, tangents):
    x, W, u = inputs
    dx, dW, du = (np.zeros(np.shape(v)) if t is None else t for v, t in zip(inputs, tangents, strict=True))
    return (1 - layer(x, W, u) ** 2) * (dx @ W.T + x @ dW.T + du)


def matrix(rng, n, radius):
    W = rng.normal(size=(n, n))
    return W * radius / np.linalg.norm(W, 2)


def graph(W, u, step, rows=None):
    g = FactorGraph()
    n = len(W)
    start, given, W = g.parameter("start", np.zeros(n)), g.parameter("u", u), g.parameter("W", W)
    if rows is None:
        x = g.variable("x", shape=(n,))
        g.factor(step, start, W, given, out=x)
        g.factor(half_square, x)
    else:
        x = g.sequence("x", length=rows, shape=(n,))
        data = g.observe("data", np.linspace(-1, 1, rows * n).reshape(rows, n))
        g.factor(step, start, W, data[:], out=x[:])
        g.factor(half_square, x[:])
        del given
    return g


@settings(max_examples=6)
@given(SEEDS, st.sampled_from(["autograd", "own", "step"]), st.sampled_from([0.0, 0.3]))
def test_values_solve_and_gradients_are_differences(seed, kind, damping):
    rng = np.random.default_rng(seed)
    W, u = matrix(rng, 3, 0.8), rng.normal(size=3)
    step = {
        "autograd": lambda: Step.fixed_point(layer, tol=1e-13, damping=damping),
        "own": lambda: Step.fixed_point(layer, layer_vjp, layer_jvp, tol=1e-13, damping=damping),
        "step": lambda: Step.fixed_point(Step(layer, layer_vjp), tol=1e-13, damping=damping),
    }[kind]()
    g = graph(W, u, step)
    m = run(g)
    x = m.forward["x"]
    np.testing.assert_allclose(x, layer(x, W, u), atol=1e-11)
    # By the implicit function, with a dense Jacobian.
    D = np.diag(1 - x**2)
    adjoint = np.linalg.solve(np.eye(3) - (D @ W).T, x)
    np.testing.assert_allclose(m.parameters["u"], D @ adjoint, atol=1e-10)
    np.testing.assert_allclose(m.parameters["W"], np.outer(D @ adjoint, x), atol=1e-10)
    assert not m.parameters["start"].any()
    direction = {"W": rng.normal(size=(3, 3)), "u": rng.normal(size=3)}
    total, moved = run(g, Tangent(direction)).total
    assert total == m.total
    assert moved == pytest.approx(sum((m.parameters[n] * d).sum() for n, d in direction.items()), abs=1e-9)
    check_gradients(g, ["W", "u"])


def test_every_row_has_its_own_fixed_point(rng):
    W, u = matrix(rng, 2, 0.7), np.zeros(2)
    one = run(graph(W, u, Step.fixed_point(layer, layer_vjp, tol=1e-13), rows=5))
    many = run(graph(W, u, Step.fixed_point(layer, layer_vjp, tol=1e-13, vectorized=True), rows=5))
    np.testing.assert_allclose(one.forward["x"], many.forward["x"], atol=1e-12)
    for name in ("W", "data"):
        np.testing.assert_allclose(one.gradient[name], many.gradient[name], atol=1e-10)


def test_small_cotangents_settle_as_large_ones_do(rng):
    g = graph(matrix(rng, 3, 0.9), rng.normal(size=3), Step.fixed_point(layer, tol=1e-12))
    one = run(g).parameters["W"]
    family = g.plan().blocks[0].families[0].potential
    x = run(g).forward["x"]
    inputs = (np.zeros(3), g.nodes["W"].value, g.nodes["u"].value)
    np.testing.assert_allclose(family.vjp(inputs, 1e-12 * x)[1], 1e-12 * one, rtol=1e-9)


def test_terms_lack_the_rest_of_the_series(rng):
    """K rounds give (Σ_{k<K} (Jᵀ)^k) x̄, and what is missing is (Jᵀ)^K λ."""
    W, u = matrix(rng, 3, 0.9), rng.normal(size=3)
    x = run(graph(W, u, Step.fixed_point(layer, tol=1e-14))).forward["x"]
    J = np.diag(1 - x**2) @ W
    adjoint = np.linalg.solve(np.eye(3) - J.T, x)
    for terms in (1, 2, 5):
        m = run(graph(W, u, Step.fixed_point(layer, tol=1e-14, terms=terms)))
        lacking = np.linalg.matrix_power(J.T, terms) @ adjoint
        np.testing.assert_allclose(m.parameters["u"], (1 - x**2) * (adjoint - lacking), atol=1e-11)


def test_a_fixed_point_in_a_recurrence(rng):
    """Each step of a recurrence settles before the next one begins."""
    g = FactorGraph()
    h = g.sequence("h", length=4, shape=(2,))
    W, drive = g.parameter("W", matrix(rng, 2, 0.6)), g.observe("drive", rng.normal(size=(4, 2)))
    start = g.parameter("start", np.zeros(2))
    loop = Step.fixed_point(lambda x, h, W, u: np.tanh(W @ x + 0.5 * h + u), tol=1e-13)
    g.factor(loop, start, h.after(g.parameter("h0", rng.normal(size=2))), W, drive[:], out=h[:])
    g.factor(half_square, h[:])
    check_gradients(g, ["W", "h0"])


class TestErrors:
    def test_a_loop_that_does_not_settle_tells_its_residual(self):
        for f, said in (
            (lambda x, w: w * x + 1, "overflowed in round"),
            (lambda x, w: 1 - x, r"still changed by 1 after max_iter=1000 rounds, 1 times a round"),
            (lambda x, w: 0.999 * x + 1, r"0\.999 times a round"),
        ):
            g = FactorGraph()
            x = g.variable("x")
            g.factor(
                Step.fixed_point(f, lambda i, c: (0 * c, 0 * c)),
                g.parameter("s", 0.0),
                g.parameter("w", 3.0),
                out=x,
            )
            g.factor(half_square, x)
            with np.errstate(over="ignore", invalid="ignore"), pytest.raises(NumericalError, match=said):
                run(g)

    def test_damping_settles_what_swings(self):
        g = FactorGraph()
        x = g.variable("x")
        step = Step.fixed_point(lambda x, w: w - 1.5 * x, damping=0.5)
        g.factor(step, g.parameter("s", 0.0), g.parameter("w", 5.0), out=x)
        g.factor(Loss(lambda x: (x, 1.0)), x)
        m = run(g)
        assert m.total == pytest.approx(2.0) and m.parameters["w"] == pytest.approx(0.4)

    def test_shapes(self):
        g = FactorGraph()
        x = g.variable("x", shape=(2,))
        g.factor(Step.fixed_point(lambda x: x[0]), g.parameter("s", np.zeros((2,))), out=x)
        g.factor(half_square, x)
        with pytest.raises(ShapeError, match="has the shape of x"):
            run(g)

    def test_second_derivatives(self, rng):
        g = graph(matrix(rng, 2, 0.5), np.ones(2), Step.fixed_point(layer))
        with pytest.raises(UnsupportedError, match="write the loop out"):
            run(g, Tangent({"u": np.ones(2)}, over=Adjoint())).parameters["u"]

    @pytest.mark.parametrize(
        ("settings", "error"),
        [
            ({"tol": 0}, DataError),
            ({"max_iter": 0}, DataError),
            ({"terms": True}, DataError),
            ({"damping": 1}, DataError),
            ({"vjp": 3}, GraphError),
        ],
    )
    def test_settings(self, settings, error):
        with pytest.raises(error):
            Step.fixed_point(layer, **settings)

    def test_noise(self):
        with pytest.raises(UnsupportedError, match="noise"):
            Step.fixed_point(Step(layer, noise=1.0))
