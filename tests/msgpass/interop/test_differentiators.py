"""Steps whose local derivatives come from JAX or torch, against the same step in NumPy."""

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, Step, Tangent, run
from msgpass.errors import UnsupportedError
from msgpass.interop.differentiators import autograd_vjp

# torch warns of its own use of torch.jit when torch.func is first used.
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")]


def jax_step(vectorized: bool) -> Step:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    if vectorized:
        return Step.from_jax(lambda h, x, w: jax.numpy.tanh(h @ w.T + x), vectorized=True)
    return Step.from_jax(lambda h, x, w: jax.numpy.tanh(w @ h + x))


def torch_step(vectorized: bool) -> Step:
    torch = pytest.importorskip("torch")
    if vectorized:
        return Step.from_torch(lambda h, x, w: torch.tanh(h @ w.T + x), vectorized=True)
    return Step.from_torch(lambda h, x, w: torch.tanh(w @ h + x))


def numpy_step(vectorized: bool) -> Step:
    if vectorized:
        return Step(lambda h, x, w: np.tanh(h @ w.T + x), vectorized=True)
    return Step(lambda h, x, w: np.tanh(w @ h + x))


def graph(step: Step) -> FactorGraph:
    rng = np.random.default_rng(0)
    g = FactorGraph()
    h, x = g.sequence("h", length=5, shape=(3,)), g.observe("x", rng.normal(size=(5, 3)))
    g.factor(
        step,
        h.after(g.parameter("h0", rng.normal(size=3))),
        x[:],
        g.parameter("w", rng.normal(size=(3, 3))),
        out=h[:],
    )
    g.factor(Loss(lambda v: (0.5 * v @ v, v)), h[:])
    return g


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("make", [jax_step, torch_step])
def test_gradients_and_tangents_are_those_of_numpy(make, vectorized):
    theirs, ours = run(graph(make(vectorized))), run(graph(numpy_step(vectorized)))
    assert theirs.total == pytest.approx(ours.total, rel=1e-12)
    for name in ours.gradient:
        np.testing.assert_allclose(theirs.gradient[name], ours.gradient[name], rtol=1e-10, atol=1e-12)
    direction = np.random.default_rng(1).normal(size=(3, 3))
    pushed = run(graph(make(vectorized)), Tangent({"w": direction})).total.tangent
    assert pushed == pytest.approx(np.sum(ours.parameters["w"] * direction), rel=1e-10)


def test_a_vector_built_with_array_has_its_derivative():
    def f(h, p):
        return np.array([h[0] * p, h[1]])

    _, pull = autograd_vjp(f, [np.array([2.0, 3.0]), np.array(0.5)], [0, 1])
    found = pull(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(found[0], [0.5, 10.0])
    assert found[1] == 2.0


def test_objects_that_are_computed_with_are_refused():
    with pytest.raises(UnsupportedError, match=r"np\.stack"):
        autograd_vjp(lambda h: h + np.array([h[0], h[1]]), [np.ones(2)], [0])


def test_select_is_where():
    x = np.array([-2.0, 0.0, 3.0])
    f = lambda x: np.select([x < 0, x > 1], [x * x, 5 * x], 7 * x)  # noqa: E731
    value, pull = autograd_vjp(f, [x], [0])
    np.testing.assert_array_equal(value, f(x))
    np.testing.assert_array_equal(pull(np.ones(3))[0], [-4.0, 7.0, 5.0])
