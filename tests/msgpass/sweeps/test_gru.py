"""Step(kernel="gru"): the compiled sweep gives every message of the reference, with and without a mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, ForwardOnly, Loss, Step, run
from msgpass.errors import UnsupportedError
from msgpass.kernels import gru_reference
from msgpass.sweeps import compiled_recurrence
from msgpass.sweeps.recurrence import Sweep
from tests.msgpass.table_models import seeds


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The compiled sweep from the first run on."""
    monkeypatch.setattr(compiled_recurrence, "PATIENCE", 0.0)


def cell(h, u, *rest):
    """The unit as a step, with a mask after x where there is one."""
    mask, weights = (rest[0], rest[1:]) if len(rest) in (3, 5) else (None, rest)
    zero = np.zeros(len(weights[0]), h.dtype)
    w_ih, w_hh, b_ih, b_hh = weights if len(weights) == 4 else (*weights, zero, zero)
    _, z, n, _ = gru_reference.gates(u, h, w_ih, w_hh, b_ih, b_hh)
    new = (1 - z) * n + z * h
    return new if mask is None else mask * new + (1 - mask) * h


def cell_vjp(inputs, cotangent):
    """By the reference's adjoint over one step."""
    h, u, *rest = inputs
    mask, weights = (rest[0], rest[1:]) if len(rest) in (3, 5) else (None, rest)
    zero = np.zeros(len(weights[0]), h.dtype)
    all_weights = (*weights, *(() if len(weights) == 4 else (zero, zero)))
    rows = h.reshape(-1, h.shape[-1])
    g = gru_reference.backward(
        cotangent.reshape(1, *rows.shape),
        u.reshape(1, len(rows), -1),
        np.zeros((1, *rows.shape), h.dtype),
        rows,
        *all_weights,
        None if mask is None else mask.reshape(1, -1),
        want_inputs=True,
    )
    found = (g.h0.reshape(h.shape), g.inputs.reshape(u.shape))
    own = (g.w_ih, g.w_hh, g.b_ih, g.b_hh)[: len(weights)]
    return (*found, *(() if mask is None else (None,)), *own)


def network(rng, compiled, lengths, biased, backwards, masked, dtype):
    """A GRU between a map below and a loss above."""
    B, H, I, total = 4, 3, 2, int(np.sum(lengths))
    g = FactorGraph()

    def parameter(name, *size):
        return g.parameter(name, (0.6 * rng.normal(size=size)).astype(dtype))

    x = g.observe("x", rng.normal(size=(total, B, I)).astype(dtype))
    u, h = g.sequence("u", length=lengths, shape=(B, I)), g.sequence("h", length=lengths, shape=(B, H))
    g.factor(Step(lambda x, S: x @ S, vectorized=True), x[:], parameter("S", I, I), out=u[:], name="below")
    start = parameter("start", B, H)
    weights = [parameter("W", 3 * H, I), parameter("U", 3 * H, H)]
    weights += [parameter(f"b{k}", 3 * H) for k in range(2 * biased)]
    held = [g.observe("mask", (rng.random((total, B, 1)) < 0.6).astype(dtype))[:]] if masked else []
    step = Step(cell, vjp=cell_vjp, vectorized=True, kernel="gru" if compiled else None)
    g.factor(step, h.before(start) if backwards else h.after(start), u[:], *held, *weights, out=h[:])
    target = g.observe("target", rng.normal(size=(total, B, H)).astype(dtype))
    g.factor(
        Loss(lambda h, y: (0.5 * ((h - y) ** 2).sum(), (h - y, y - h)), vectorized=True), h[:], target[:]
    )
    return g


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {
            "lengths": st.sampled_from([1, 6, [3, 1, 4]]),
            "biased": st.booleans(),
            "backwards": st.booleans(),
            "masked": st.booleans(),
            "dtype": st.sampled_from([np.float64, np.float32]),
        }
    ),
    seeds,
)
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


def test_another_gate_order_is_refused():
    def swapped(h, u, W, U):
        return cell(h, u, np.roll(W, 3, axis=0), np.roll(U, 3, axis=0))

    g, rng = FactorGraph(), np.random.default_rng(0)
    h = g.sequence("h", length=5, shape=(2, 3))
    x = g.observe("x", rng.normal(size=(5, 2, 2)))
    W, U = g.parameter("W", rng.normal(size=(9, 2))), g.parameter("U", rng.normal(size=(9, 3)))
    start = g.parameter("start", np.zeros((2, 3)))
    g.factor(Step(swapped, vectorized=True, kernel="gru"), h.after(start), x[:], W, U, out=h[:])
    with pytest.raises(UnsupportedError, match="'gru', which runs r = σ"):
        run(g)
