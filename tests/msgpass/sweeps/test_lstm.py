"""Step(kernel="lstm"): two states, a mask, and every message of the reference; other functions are
refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Adjoint, Checkpointed, FactorGraph, ForwardOnly, Loss, Step, Tangent, Truncated, run
from msgpass.errors import UnsupportedError
from msgpass.sweeps import compiled_recurrence
from msgpass.sweeps.compiled_recurrence import CompiledSweep
from msgpass.sweeps.recurrence import Sweep
from tests.msgpass.table_models import seeds


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The compiled sweep from the first run on."""
    monkeypatch.setattr(compiled_recurrence, "PATIENCE", 0.0)


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def lstm_step(h, c, z):
    n = h.shape[-1]
    i, f, g, o = (z[..., k * n : (k + 1) * n] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def cell(h, c, u, W, U, *b):
    return lstm_step(h, c, h @ W.T + u @ U.T + sum(b))


def held_cell(h, c, u, m, W, U, *b):
    new = cell(h, c, u, W, U, *b)
    return m * new[0] + (1 - m) * h, m * new[1] + (1 - m) * c


def swapped_cell(c, U, u, h, W, *b):
    """The same with everything in another order, W transposed, and the outputs c, h."""
    return lstm_step(h, c, h @ W + u @ U.T + sum(b))[::-1]


def network(rng, compiled, lengths, batch, biases, backwards, own_starts, form, losses, dtype):
    """An LSTM between a map below and losses above; ``batch`` members are aligned."""
    H, I, total = 3, 2, int(np.sum(lengths))
    g = FactorGraph()

    def parameter(name, *size):
        return g.parameter(name, (0.6 * rng.normal(size=size)).astype(dtype))

    x = g.observe("x", rng.normal(size=(total, *batch, I)).astype(dtype))
    mask = g.observe("mask", (rng.random((total, *batch, 1)) < 0.6).astype(dtype))
    u = g.sequence("u", length=lengths, shape=(*batch, I))
    h, c = (g.sequence(name, length=lengths, shape=(*batch, H)) for name in "hc")
    g.factor(Step(lambda x, S: x @ S, vectorized=True), x[:], parameter("S", I, I), out=u[:], name="below")
    sequences = (len(lengths),) if own_starts and np.iterable(lengths) else ()
    h0, c0 = (parameter(name, *sequences, *batch, H) for name in ("h0", "c0"))
    W, U = parameter("W", 4 * H, H), parameter("U", 4 * H, I)
    bias = [parameter(f"b{k}", 4 * H) for k in range(biases)]
    before = (h.before(h0), c.before(c0)) if backwards else (h.after(h0), c.after(c0))
    kernel = "lstm" if compiled else None
    if form == "plain":
        inputs, out, f = (*before, u[:], W, U, *bias), (h[:], c[:]), cell
    elif form == "held":
        inputs, out, f = (*before, u[:], mask[:], W, U, *bias), (h[:], c[:]), held_cell
    else:
        W = g.parameter("Wt", np.ascontiguousarray(W.value.T))
        inputs, out, f = (before[1], U, u[:], before[0], W, *bias), (c[:], h[:]), swapped_cell
    g.factor(Step(f, vectorized=True, kernel=kernel), *inputs, out=out, name="cell")
    for name in losses:
        target = g.observe(f"target_{name}", rng.normal(size=(total, *batch, H)).astype(dtype))
        half_square = Loss(lambda s, y: (0.5 * ((s - y) ** 2).sum(), (s - y, y - s)), vectorized=True)
        g.factor(half_square, {"h": h, "c": c}[name][:], target[:], name=f"loss_{name}")
    return g


PLAIN = {
    "lengths": 6,
    "batch": (),
    "biases": 1,
    "backwards": False,
    "own_starts": False,
    "form": "plain",
    "losses": "hc",
    "dtype": np.float64,
}

models = st.fixed_dictionaries(
    {
        "lengths": st.sampled_from([1, 6, [3, 1, 4]]),
        "batch": st.sampled_from([(), (4,)]),
        "biases": st.integers(0, 2),
        "backwards": st.booleans(),
        "own_starts": st.booleans(),
        "form": st.sampled_from(["plain", "held", "swapped"]),
        "losses": st.sampled_from(["h", "c", "hc"]),
        "dtype": st.sampled_from([np.float64, np.float32]),
    }
)


@settings(max_examples=30)
@given(models, seeds)
def test_every_message_is_that_of_the_reference(model, seed):
    fast, slow = (network(np.random.default_rng(seed), compiled=c, **model) for c in (True, False))
    m, wanted = run(fast), run(slow)
    block = next(k for k, b in enumerate(fast.plan().blocks) if b.kind == "Recurrence")
    assert isinstance(m._x.sweeps[block], CompiledSweep)
    close = {"rtol": 1e-9, "atol": 1e-10} if model["dtype"] == np.float64 else {"rtol": 2e-4, "atol": 2e-4}
    np.testing.assert_allclose(m.total, wanted.total, **close)
    np.testing.assert_allclose(run(fast, schedule=ForwardOnly()).total, wanted.total, **close)
    for name in wanted.gradient:
        np.testing.assert_allclose(m.gradient[name], wanted.gradient[name], **close)
        assert m.gradient[name].dtype == model["dtype"]
    for name in wanted.forward:
        np.testing.assert_allclose(m.forward[name], wanted.forward[name], **close)
        np.testing.assert_allclose(m.backward[name], wanted.backward[name], **close)


@pytest.mark.parametrize("schedule", [Checkpointed(2), Truncated(2, 3)], ids=repr)
def test_other_schedules_run_the_same_step(schedule):
    fast, slow = (
        run(network(np.random.default_rng(1), compiled=c, **PLAIN), schedule=schedule) for c in (True, False)
    )
    for name in slow.parameters:
        np.testing.assert_allclose(fast.parameters[name], slow.parameters[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("form", ["plain", "held"])
def test_hessian_vector_products_cross_it(form):
    model, rng = {**PLAIN, "form": form}, np.random.default_rng(2)
    fast, slow = (network(np.random.default_rng(1), compiled=c, **model) for c in (True, False))
    given = [n for n in fast.nodes if n in ("x", "S", "h0", "c0", "W", "U", "b0")]
    directions = {n: rng.normal(size=np.shape(run(fast)._x.values[n])) for n in given}
    m, wanted = (run(g, Tangent(directions, over=Adjoint())) for g in (fast, slow))
    assert any(isinstance(s, CompiledSweep) for s in m._x.sweeps.values())
    np.testing.assert_allclose(m.total.tangent, wanted.total.tangent, rtol=1e-9)
    for name in given:
        np.testing.assert_allclose(
            m.gradient[name].tangent, wanted.gradient[name].tangent, rtol=1e-8, atol=1e-10, err_msg=name
        )


def test_a_mask_that_is_no_mask_runs_the_reference():
    g = network(np.random.default_rng(1), compiled=True, **{**PLAIN, "form": "held"})
    m = run(g, values={"mask": np.full((6, 1), 0.5)})
    assert any(isinstance(s, Sweep) for s in m._x.sweeps.values())
    assert any(isinstance(s, CompiledSweep) for s in run(g)._x.sweeps.values())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda h, c, u, W, U: tuple(2 * v for v in cell(h, c, u, W, U)),
        lambda h, c, u, W, U: (cell(h, c, u, W, U)[0], c),
        lambda h, c, u, W, U: lstm_step(h, c, (h @ W.T + u @ U.T)[..., ::-1]),
    ],
)
def test_a_function_that_computes_something_else_is_refused(wrong):
    g = FactorGraph()
    h, c, u = g.sequence("h", 4, shape=(3,)), g.sequence("c", 4, shape=(3,)), g.observe("u", np.ones((4, 2)))
    W, U = g.parameter("W", np.zeros((12, 3))), g.parameter("U", np.ones((12, 2)))
    start = g.parameter("start", np.zeros(3))
    step = Step(wrong, vectorized=True, kernel="lstm")
    g.factor(step, h.after(start), c.after(start), u[:], W, U, out=(h[:], c[:]))
    g.factor(Loss(lambda h: (0.5 * (h**2).sum(), (h,))), h[-1])
    with pytest.raises(UnsupportedError, match="compiled sweep 'lstm'"):
        run(g)
