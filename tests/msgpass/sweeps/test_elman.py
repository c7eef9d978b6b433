"""Step(kernel="tanh" | "relu"): the compiled sweep gives every message of the reference, and refuses what it
does not compute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, ForwardOnly, Loss, Step, Tangent, Truncated, run
from msgpass.errors import UnsupportedError
from msgpass.sweeps import compiled_recurrence
from msgpass.sweeps.recurrence import Sweep
from tests.msgpass.table_models import seeds

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The compiled sweep from the first run on."""
    monkeypatch.setattr(compiled_recurrence, "PATIENCE", 0.0)


def network(rng, kernel, compiled, lengths, batch, biases, backwards, own_starts, dtype):
    """An Elman recurrence between a map below and a loss above; ``batch`` members are aligned."""
    H, I, total = 3, 2, int(np.sum(lengths))
    g, act = FactorGraph(), ACTIVATIONS[kernel]

    def parameter(name, *size):
        return g.parameter(name, (0.6 * rng.normal(size=size)).astype(dtype))

    x = g.observe("x", rng.normal(size=(total, *batch, I)).astype(dtype))
    u, h = (
        g.sequence("u", length=lengths, shape=(*batch, I)),
        g.sequence("h", length=lengths, shape=(*batch, H)),
    )
    g.factor(Step(lambda x, S: x @ S, vectorized=True), x[:], parameter("S", I, I), out=u[:], name="below")
    start = parameter("start", *((len(lengths),) if own_starts and np.iterable(lengths) else ()), *batch, H)
    weights = [parameter("W", H, H), parameter("U", H, I), *(parameter(f"b{k}", H) for k in range(biases))]

    def cell(h, u, W, U, *b):
        return act(h @ W.T + u @ U.T + sum(b))

    before = h.before(start) if backwards else h.after(start)
    g.factor(
        Step(cell, vectorized=True, kernel=kernel if compiled else None),
        before,
        u[:],
        *weights,
        out=h[:],
        name="cell",
    )
    target = g.observe("target", rng.normal(size=(total, *batch, H)).astype(dtype))
    g.factor(
        Loss(lambda h, y: (0.5 * ((h - y) ** 2).sum(), (h - y, y - h)), vectorized=True), h[:], target[:]
    )
    return g


models = st.fixed_dictionaries(
    {
        "kernel": st.sampled_from(["tanh", "relu"]),
        "lengths": st.sampled_from([1, 6, [3, 1, 4]]),
        "batch": st.sampled_from([(), (4,)]),
        "biases": st.integers(0, 2),
        "backwards": st.booleans(),
        "own_starts": st.booleans(),
        "dtype": st.sampled_from([np.float64, np.float32]),
    }
)


@settings(max_examples=40)
@given(models, seeds)
def test_every_message_is_that_of_the_reference(model, seed):
    fast, slow = (network(np.random.default_rng(seed), compiled=c, **model) for c in (True, False))
    m, wanted = run(fast), run(slow)
    block = next(k for k, b in enumerate(fast.plan().blocks) if b.kind == "Recurrence")
    assert not isinstance(m._x.sweeps[block], Sweep), "the compiled sweep ran"
    close = {"rtol": 1e-9, "atol": 1e-10} if model["dtype"] == np.float64 else {"rtol": 2e-4, "atol": 2e-4}
    np.testing.assert_allclose(m.total, wanted.total, **close)
    np.testing.assert_allclose(run(fast, schedule=ForwardOnly()).total, wanted.total, **close)
    for name in wanted.gradient:
        np.testing.assert_allclose(m.gradient[name], wanted.gradient[name], **close)
        assert m.gradient[name].dtype == model["dtype"]
    for name in wanted.forward:
        np.testing.assert_allclose(m.forward[name], wanted.forward[name], **close)
        np.testing.assert_allclose(m.backward[name], wanted.backward[name], **close)
    last = len(fast["cell"]) - 1
    for handle in (fast["W"], fast["u"][last]):
        other = slow[handle.name] if handle is fast["W"] else slow["u"][last]
        np.testing.assert_allclose(
            m.message(fast["cell"][last], handle), wanted.message(slow["cell"][last], other), **close
        )


@pytest.mark.parametrize("schedule", [Checkpointed(2), Truncated(2, 3)], ids=repr)
def test_other_schedules_run_the_same_step(schedule):
    model = {
        "kernel": "tanh",
        "lengths": 6,
        "batch": (),
        "biases": 1,
        "backwards": False,
        "own_starts": False,
        "dtype": np.float64,
    }
    fast, slow = (
        run(network(np.random.default_rng(1), compiled=c, **model), schedule=schedule) for c in (True, False)
    )
    for name in slow.parameters:
        np.testing.assert_allclose(fast.parameters[name], slow.parameters[name], rtol=1e-9, atol=1e-11)


def test_tangents_cross_it():
    model = {
        "kernel": "tanh",
        "lengths": 6,
        "batch": (),
        "biases": 1,
        "backwards": False,
        "own_starts": False,
        "dtype": np.float64,
    }
    g, direction = network(np.random.default_rng(1), compiled=True, **model), np.ones((3, 3))
    assert run(g, Tangent({"W": direction})).total.tangent == pytest.approx(
        (run(g).parameters["W"] * direction).sum(), rel=1e-9
    )


def test_values_of_a_run_reach_it():
    model = {
        "kernel": "tanh",
        "lengths": 6,
        "batch": (),
        "biases": 0,
        "backwards": False,
        "own_starts": False,
        "dtype": np.float64,
    }
    fast, slow = (network(np.random.default_rng(1), compiled=c, **model) for c in (True, False))
    values = {"W": np.eye(3), "x": np.ones((6, 2))}
    assert run(fast, values=values).total == pytest.approx(run(slow, values=values).total, rel=1e-12)
    assert run(fast).total == pytest.approx(run(slow).total, rel=1e-12)


@pytest.mark.parametrize(
    "cell",
    [
        lambda h, u, W, U: np.tanh(h @ W.T + u @ U.T) + 1,
        lambda h, u, W, U: np.maximum(h @ W.T + u @ U.T, 0),
        lambda h, u, W, U: np.tanh(h @ W.T + u @ U.T) * h,
    ],
)
def test_a_function_that_computes_something_else_is_refused(cell):
    g = FactorGraph()
    h, u = g.sequence("h", length=4, shape=(3,)), g.observe("u", np.ones((4, 2)))
    W, U = g.parameter("W", np.eye(3)), g.parameter("U", np.ones((3, 2)))
    g.factor(
        Step(cell, vectorized=True, kernel="tanh"),
        h.after(g.parameter("h0", np.zeros(3))),
        u[:],
        W,
        U,
        out=h[:],
    )
    g.factor(Loss(lambda h: (0.5 * (h**2).sum(), (h,))), h[-1])
    with pytest.raises(UnsupportedError, match="compiled sweep 'tanh'"):
        run(g)
