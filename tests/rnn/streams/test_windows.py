"""Truncated windows of every cell are what they are by definition, compiled or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FixedLag, Truncated
from msgpass.errors import UnsupportedError
from msgpass.sweeps import compiled_recurrence
from rnn import GRU, LSTM, RNN, SquaredError, bptt
from tests.rnn.streams.nets import KINDS, WINDOWS, assert_equal_gradients, by_definition, problem

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40)
@given(st.sampled_from(sorted(KINDS)), st.integers(1, 14), st.integers(1, 2), WINDOWS, st.booleans(), SEEDS)
def test_windows_are_what_they_are_by_definition(kind, steps, batch, schedule, compiled, seed):
    net, x, target, loss = problem(kind, steps, batch, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_recurrence, "PATIENCE", 0.0 if compiled else np.inf)
        m = bptt(net, x, loss(target), schedule)
        found = dict(m.parameters)
        state = next(iter(m.forward))
        adjoint = m.gradient[state]
    assert_equal_gradients(found, by_definition(net, x, target, loss, schedule))
    assert m.total == pytest.approx(bptt(net, x, loss(target)).total, rel=1e-12)
    last = bptt(net, x, loss(target)).gradient[state][-1]
    np.testing.assert_allclose(adjoint[-1], last, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_windows_of_ragged_batches(kind, rng):
    net, x, target, loss = problem(kind, 12, 3, 4)
    lengths, schedule = np.array([12, 5, 8]), Truncated(3, 5)
    found = bptt(net, x, loss(target), schedule, lengths=lengths).parameters
    hidden = target.copy()
    for b, n in enumerate(lengths):
        hidden[n:, b] = np.nan
    # What comes after a sequence's end says nothing, so that its states may go on.
    assert_equal_gradients(dict(found), by_definition(net, x, hidden, loss, schedule))


def test_windows_of_gates(rng):
    net, x, target, loss = problem("lstm", 11, 2, 2)
    m = bptt(net, x, loss(target), Truncated(3, 5), gates=True)
    assert_equal_gradients(dict(m.parameters), by_definition(net, x, target, loss, Truncated(3, 5)))
    assert m.gradient["gates_l0"].shape == (11, 2, 12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_single_precision_stays_single(dtype, rng):
    net = GRU(2, 3, dtype=dtype, random_state=0)
    x, y = rng.normal(size=(400, 1, 2)), rng.normal(size=(400, 1, 3))
    m = bptt(net, x, SquaredError(y), Truncated(10, 30))
    assert {g.dtype for g in m.parameters.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("cell", [RNN, LSTM, GRU])
@pytest.mark.parametrize("schedule", [Truncated(2, 2), FixedLag(1)])
def test_the_second_direction_is_not_truncated(cell, schedule):
    net = cell(1, 2, bidirectional=True, random_state=0)
    with pytest.raises(UnsupportedError, match="against the clock"):
        bptt(net, np.ones((5, 1)), SquaredError(np.ones((5, 4))), schedule)
