"""The gradient checker: right gradients pass in every algebra, wrong ones are named with both values."""

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, MessagePassingError, Quadratic, Step, Table, check_gradients, run
from msgpass.errors import DataError, GradientError, ShapeError, UnavailableError, UnsupportedError


def network(rng, vjp=None, loss_grad=lambda h: h):
    """A small recurrence with a loss on its last state."""
    g = FactorGraph()
    W, x = g.parameter("W", 0.3 * rng.normal(size=(3, 3))), g.observe("x", rng.normal(size=(5, 3)))
    h = g.sequence("h", length=5, shape=(3,))
    step = Step(lambda h, x, W: np.tanh(W @ h + x), vjp=vjp)
    g.factor(step, h.after(g.observe("h0", np.zeros(3))), x[:], W, out=h[:])
    g.factor(Loss(lambda h: (0.5 * h @ h, (loss_grad(h),))), h[-1])
    return g


def chain(rng):
    g = FactorGraph()
    z, y = g.sequence("z", length=6, states=3), g.observe("y", [0, 1, 1, -1, 0, 1], states=2)
    A = rng.normal(size=(3, 3))
    A[0, 2] = -np.inf
    g.factor(Table(g.parameter("A", A)), z[:-1], z[1:])
    g.factor(Table(g.parameter("B", rng.normal(size=(3, 2)))), z[:], y[:])
    return g


def walk(rng):
    g = FactorGraph()
    x, y = g.sequence("x", length=5), g.observe("y", [0.1, np.nan, 0.7, 0.2, -0.3])
    g.factor(Quadratic.prior(0.0, 1.0), x[0])
    g.factor(Quadratic.linear_gaussian(g.parameter("F", 0.8), g.parameter("Q", 0.5)), x[:-1], x[1:])
    g.factor(Quadratic.observation(1.0, 1.0), x[:], y[:])
    return g


@pytest.mark.parametrize("make", [network, chain, walk])
@pytest.mark.parametrize("hvp", [False, True])
def test_right_gradients_pass(make, hvp, rng):
    graph = make(rng)
    check = check_gradients(graph, hvp=hvp)
    assert not check.failed
    assert {e.name for e in check.entries} == set(run(graph).parameters)
    assert any(isinstance(e.place, tuple) for e in check.entries)
    assert (
        max(e.gap / e.tolerance for e in check.entries) == check.entries[0].gap / check.entries[0].tolerance
    )


def test_observations_can_be_asked_for(rng):
    check = check_gradients(network(rng), ["x", "h0"])
    assert {e.name for e in check.entries} == {"x", "h0"}
    assert all("(5, 3)" not in str(e.place) for e in check.entries)
    assert not check_gradients(walk(rng), ["y"]).failed  # a missing cell does not move


def test_a_wrong_vjp_is_named_with_both_values(rng):
    def vjp(inputs, cotangent):
        h, x, W = inputs
        z = cotangent * (1 - np.tanh(W @ h + x) ** 2)
        return W.T @ z, z, 1.01 * np.outer(z, h)

    with pytest.raises(GradientError, match=r"W\[\d, \d\]: gradient .*, difference .*, gap") as caught:
        check_gradients(network(rng, vjp))
    assert isinstance(caught.value, MessagePassingError)
    assert isinstance(caught.value, AssertionError)


def test_one_wrong_entry_of_many_is_found_by_the_direction(rng):
    w = rng.normal(size=400)

    def value_and_grad(w):
        g = w.copy()
        g[137] *= -1
        return 0.5 * float(w @ w), (g,)

    g = FactorGraph()
    g.factor(Loss(value_and_grad), g.parameter("w", w))
    with pytest.raises(GradientError, match=r"w\[direction\]"):
        check_gradients(g, entries=3)
    check_gradients(g, entries=3, rtol=2.0)


def test_a_wrong_second_derivative(rng):
    g = FactorGraph()
    loss = Loss(
        lambda w: (0.25 * (w**4).sum(), (w**3,)), hvp=lambda values, moves: (values[0] ** 2 * moves[0],)
    )
    g.factor(loss, g.parameter("w", rng.normal(size=4)))
    check_gradients(g)
    with pytest.raises(GradientError, match="hvp at"):
        check_gradients(g, hvp=True)


def test_functions(rng):
    values = {"w": rng.normal(size=(2, 3)), "b": np.array(0.5)}

    def good(v):
        return float((v["w"] ** 2).sum() * v["b"]), {"w": 2 * v["w"] * v["b"], "b": (v["w"] ** 2).sum()}

    assert not check_gradients(good, values=values).failed
    graph = chain(rng)
    assert not check_gradients(lambda v: run(graph, values=v), ["B"], {"B": rng.normal(size=(3, 2))}).failed
    with pytest.raises(GradientError, match=r"b: gradient"):
        check_gradients(lambda v: (good(v)[0], {**good(v)[1], "b": 0.0}), values=values)
    with pytest.raises(GradientError, match=r"shape \(3,\), its value \(2, 3\)"):
        check_gradients(lambda v: (0.0, {"w": np.zeros(3)}), ["w"], values)


def test_single_precision(rng):
    g = FactorGraph()
    w = g.parameter("w", rng.normal(size=5).astype(np.float32))
    g.factor(Loss(lambda w: (0.25 * (w**4).sum(), (w**3,))), w)
    assert not check_gradients(g, hvp=True).failed
    g = FactorGraph()
    w = g.parameter("w", rng.normal(size=5).astype(np.float32))
    g.factor(Loss(lambda w: (0.25 * (w**4).sum(), (1.05 * w**3,))), w)
    with pytest.raises(GradientError):
        check_gradients(g)


def test_nan_fails(rng):
    with pytest.raises(GradientError, match="gradient nan"):
        check_gradients(lambda v: (0.0, {"w": np.array([np.nan, 0.0])}), values={"w": np.zeros(2)})


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda g: check_gradients(g, ["nothing"]), UnavailableError, "'nothing' is no parameter"),
        (lambda g: check_gradients(g, ["y"]), UnavailableError, "'y' is no parameter"),
        (lambda g: check_gradients(3), DataError, "takes a FactorGraph or a function"),
        (lambda g: check_gradients(lambda v: (0.0, {})), DataError, "needs values"),
        (
            lambda g: check_gradients(lambda v: (0.0, {"a": 0.0}), values={"a": 0.0}, hvp=True),
            UnsupportedError,
            "graph",
        ),
        (lambda g: check_gradients(g, values={"A": np.zeros(2)}), ShapeError, "shape"),
    ],
)
def test_wrong_calls(call, error, words, rng):
    with pytest.raises(error, match=words):
        call(chain(rng))
