"""Step and Loss: their own derivatives and autograd's, what they may read and compute, and what goes wrong in
user code."""

import numpy as np
import pytest
from hypothesis import given

from msgpass import Checkpointed, FactorGraph, Loss, Sequential, Step, Tangent, Truncated, run
from msgpass.errors import (
    DataError,
    GraphError,
    MessagePassingError,
    NumericalError,
    ShapeError,
    UnsupportedError,
)
from tests.msgpass.table_models import seeds


def cell(h, x, W):
    return np.tanh(h @ W.T + x)


def cell_vjp(inputs, cotangent):
    h, x, W = inputs
    d = cotangent * (1 - cell(h, x, W) ** 2)
    return d @ W, d, np.reshape(d, (-1, 2)).T @ np.reshape(h, (-1, 2))


def cell_jvp(inputs, tangents):
    h, x, W = inputs
    dh, dx, dW = tangents
    return (1 - cell(h, x, W) ** 2) * (dh @ W.T + h @ dW.T + dx)


def network(step, rng, T=4):
    g = FactorGraph()
    h, x = g.sequence("h", length=T, shape=(2,)), g.observe("x", rng.normal(size=(T, 2)))
    W, h0 = g.parameter("W", rng.normal(size=(2, 2))), g.parameter("h0", rng.normal(size=2))
    g.factor(step, h.after(h0), x[:], W, out=h[:])
    g.factor(Loss(lambda h: (0.5 * (h**2).sum(), (h,))), h[:])
    return g


@given(seeds)
@pytest.mark.parametrize("vectorized", [False, True])
def test_own_derivatives_and_autograd_agree(vectorized, seed):
    rng = np.random.default_rng(seed)
    own = network(Step(cell, cell_vjp, cell_jvp, vectorized=vectorized), np.random.default_rng(seed))
    traced = network(Step(cell, vectorized=vectorized), np.random.default_rng(seed))
    m, wanted = run(own), run(traced)
    assert m.total == wanted.total
    for name in m.gradient:
        np.testing.assert_allclose(m.gradient[name], wanted.gradient[name], rtol=1e-9, atol=1e-12)
    direction = {"W": rng.normal(size=(2, 2)), "h0": rng.normal(size=2)}
    np.testing.assert_allclose(
        run(own, Tangent(direction)).total, run(traced, Tangent(direction)).total, rtol=1e-9, atol=1e-12
    )


def test_a_vjp_may_say_none_where_nothing_flows():
    g = FactorGraph()
    v, k = g.variable("v", shape=()), g.observe("k", 1, states=3)
    w = g.parameter("w", [1.0, 2.0, 3.0])
    g.factor(Step(lambda w, k: w[k], vjp=lambda inputs, c: (c * np.eye(3)[inputs[1]], None)), w, k, out=v)
    g.factor(Loss(lambda v: (float(v**2), (2 * v,))), v)
    assert run(g).parameters["w"].tolist() == [0.0, 4.0, 0.0]


@pytest.fixture
def g():
    g = FactorGraph()
    g.sequence("h", length=4, shape=(2,))
    g.sequence("z", length=4, states=2)
    g.variable("v", shape=(2,))
    g.observe("x", np.ones((4, 2)))
    g.parameter("h0", np.zeros(2))
    g.parameter("wrong", np.zeros(3))
    return g


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda g: Step("tanh"), GraphError, "function"),
        (lambda g: Step(np.tanh, vjp=3), GraphError, "vjp must be a function"),
        (lambda g: Step(np.tanh, kernel="sigmoid"), UnsupportedError, "no compiled sweep.*relu.*tanh"),
        (lambda g: Loss(3), GraphError, "function"),
        (lambda g: Loss(np.sum, task=3), GraphError, "task"),
        (lambda g: g.factor(Step(np.tanh), g["x"][:]), GraphError, "needs out="),
        (lambda g: g.factor(Step(np.tanh), g["z"][:], out=g["h"][:]), GraphError, "reads real values"),
        (lambda g: g.factor(Step(np.tanh), g["x"][:], out=g["z"][:]), GraphError, "discrete"),
        (lambda g: g.factor(Step(np.tanh), g["x"][:], out=g["h0"]), GraphError, "which is given"),
        (lambda g: g.factor(Step(np.tanh), g["x"][:], out=g["v"]), GraphError, "all would compute v"),
        (
            lambda g: g.factor(Step(np.tanh), g["x"][:], out=g["h"].after(g["h0"])),
            GraphError,
            "computes rows",
        ),
        (
            lambda g: g.factor(Step(np.tanh), g["h"].after(g["wrong"]), out=g["h"][:]),
            ShapeError,
            r"shape \(3,\), but one row of 'h' has \(2,\)",
        ),
        (lambda g: g.factor(Step(np.tanh), g["h"].after(g["x"][:]), out=g["h"][:]), GraphError, "edge"),
        (lambda g: g.factor(Loss(np.sum)), GraphError, "at least one variable"),
        (
            lambda g: g.factor(Loss(np.sum), g["h"].after(g["h0"])),
            GraphError,
            "after and before are for steps",
        ),
    ],
)
def test_what_does_not_fit(g, build, error, said):
    with pytest.raises(error, match=said):
        build(g)


def computed(step=None, loss=None, x=None):
    g = FactorGraph()
    h = g.sequence("h", length=3, shape=(2,))
    x = g.observe("x", np.ones((3, 2)) if x is None else x)
    g.factor(
        step or Step(lambda h, x: h + x), h.after(g.parameter("h0", np.zeros(2))), x[:], out=h[:], name="cell"
    )
    g.factor(loss or Loss(lambda h: (float(h.sum()), (np.ones_like(h),))), h[:], name="cost")
    return g


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda: computed(Step(lambda h, x: np.zeros(3))), ShapeError, r"'cell' returned shape \(3,\)"),
        (lambda: computed(Step(lambda h, x: (h, x))), ShapeError, "'cell' returned 2 outputs"),
        (
            lambda: computed(Step(lambda h, x: h @ np.zeros((3, 3)))),
            ShapeError,
            "'cell' failed on inputs of shapes",
        ),
        (
            lambda: computed(Step(lambda h, x: h[0] + x[0], vectorized=True)),
            ShapeError,
            "vectorised step 'cell'",
        ),
        (
            lambda: computed(Step(lambda h, x: h + x, vjp=lambda inputs, c: (c,))),
            ShapeError,
            "2 cotangents .* got 1 cotangents",
        ),
        (
            lambda: computed(Step(lambda h, x: np.where(x > 0, np.nan, h))),
            NumericalError,
            "'h' became NaN or infinite at step 0",
        ),
        (
            lambda: computed(x=[[1.0, 1], [np.nan, 1], [1, 1]]),
            DataError,
            r"'x', which is missing \(NaN\) at index \(1, 0\)",
        ),
        (lambda: computed(loss=Loss(lambda h: 3.0)), ShapeError, "'cost' must return"),
        (lambda: computed(loss=Loss(lambda h: (0.0, (None, None)))), ShapeError, "2 gradients for 1 inputs"),
        (
            lambda: computed(loss=Loss(lambda h: (0.0, (np.zeros(3),)))),
            ShapeError,
            r"gradient for h\[:\] has shape \(3,\)",
        ),
        (lambda: computed(loss=Loss(lambda h: (np.nan, (h,)))), DataError, "'cost' is NaN"),
    ],
)
def test_what_user_code_gets_wrong_is_named(build, error, said):
    with pytest.raises(error, match=said) as caught:
        run(build())
    assert isinstance(caught.value, MessagePassingError)


def test_errors_of_user_code_that_are_not_about_shapes_pass_through():
    def broken(h, x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(computed(Step(broken)))


def test_tangent_wants_a_jvp_where_a_vjp_is_given():
    g = computed(Step(lambda h, x: h + x, vjp=lambda inputs, c: (c, c)))
    with pytest.raises(MessagePassingError, match="jvp"):
        run(g, Tangent({"h0": np.ones(2)}))


@pytest.mark.parametrize("schedule", [Sequential(), Checkpointed(2), Truncated(3, 3)], ids=repr)
@pytest.mark.parametrize("kernel", [None, "tanh"])
def test_tasks_carry_one_cotangent_each(monkeypatch, kernel, schedule):
    """Each task's messages are those of the graph with its losses alone."""
    monkeypatch.setattr("msgpass.sweeps.compiled_recurrence.PATIENCE", 0.0)

    def graph(*tasks):
        rng, g = np.random.default_rng(2), FactorGraph()
        h, x = g.sequence("h", length=4, shape=(2,)), g.observe("x", rng.normal(size=(4, 3)))
        W, U = g.parameter("W", rng.normal(size=(2, 2))), g.parameter("U", rng.normal(size=(2, 3)))
        step = Step(lambda h, x, W, U: np.tanh(h @ W.T + x @ U.T), vectorized=True, kernel=kernel)
        g.factor(step, h.after(g.parameter("h0", rng.normal(size=2))), x[:], W, U, out=h[:])
        for k, task in enumerate(tasks):
            where = h[:] if task == "every step" else h[-1]
            g.factor(Loss(lambda h, k=k: ((k + 1) * h.sum(), ((k + 1) * np.ones_like(h),)), task=task), where)
        return g

    m = run(graph("every step", "at the end"), schedule=schedule)
    assert set(m.tasks) == {"every step", "at the end"}
    assert m.total == pytest.approx(sum(m.tasks[t].total for t in m.tasks), rel=1e-12)
    alone = run(graph("every step"), schedule=schedule)
    assert m.tasks["every step"].total == pytest.approx(alone.total, rel=1e-12)
    for name in m.gradient:
        both = m.tasks["every step"].gradient[name] + m.tasks["at the end"].gradient[name]
        np.testing.assert_allclose(m.gradient[name], both, rtol=1e-10, atol=1e-12)
        found = m.tasks["every step"].gradient[name]
        np.testing.assert_allclose(found, alone.gradient[name], rtol=1e-10, atol=1e-12)
    assert set(m.tasks["at the end"].parameters) == {"W", "U", "h0"}
