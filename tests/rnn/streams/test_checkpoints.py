"""Checkpoints of every cell change nothing, and cost what the binomial optimum says."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, Step
from rnn import RNN, SquaredError, bptt
from tests.rnn.streams.nets import KINDS, assert_equal_gradients, problem


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(1, 12),
    st.integers(1, 4),
    st.sampled_from([None, 1, 2, 5]),
    st.integers(0, 2**32 - 1),
)
def test_checkpoints_change_nothing(kind, steps, slots, stretch, seed):
    net, x, target, loss = problem(kind, steps, 2, seed)
    wanted = bptt(net, x, loss(target))
    m = bptt(net, x, loss(target), Checkpointed(slots, stretch))
    assert m.total == pytest.approx(wanted.total, rel=1e-12)
    assert_equal_gradients(dict(m.parameters), dict(wanted.parameters))
    for name in ("x", next(iter(wanted.forward))):
        np.testing.assert_allclose(m.gradient[name], wanted.gradient[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_checkpoints_of_ragged_batches(kind):
    net, x, target, loss = problem(kind, 13, 3, 4)
    lengths = [13, 4, 9]
    wanted = bptt(net, x, loss(target), lengths=lengths)
    m = bptt(net, x, loss(target), Checkpointed(2, 3), lengths=lengths)
    assert_equal_gradients(dict(m.parameters), dict(wanted.parameters))


@pytest.mark.parametrize(("steps", "slots", "extra"), [(10, 3, 15), (20, 3, 45), (50, 3, 180)])
def test_row_22_of_the_references(steps, slots, extra, rng):
    """A cell that counts its steps, in a network of the library's."""
    net, calls = RNN(2, 3, random_state=0), []
    step = net.cell.step

    def counting(*inputs):
        calls.append(1)
        return step.f(*inputs)

    x, loss = rng.normal(size=(steps, 1, 2)), SquaredError(rng.normal(size=(steps, 1, 3)))
    wanted = bptt(net, x, loss)
    counted = RNN(2, 3, random_state=0)
    counted.cell = dataclasses.replace(net.cell, step=Step(counting, vjp=step.vjp, vectorized=True))
    m = bptt(counted, x, loss, Checkpointed(slots, stretch=1))
    assert len(calls) - steps == extra == Checkpointed(slots).extra_steps(steps)
    assert_equal_gradients(dict(m.parameters), dict(wanted.parameters))


def test_a_long_sequence_in_little_memory():
    """Beside the data, a run holds a small part of what the states would take."""
    import tracemalloc

    T, H = 100_000, 16
    rng, net = np.random.default_rng(0), RNN(1, H, random_state=0)
    x, loss = rng.normal(size=(T, 1, 1)), SquaredError(np.full((T, 1, H), np.nan))
    loss.target[::1000] = 1.0
    schedule = Checkpointed(20, stretch=1000)
    bptt(net, x, loss, schedule)  # builds the graph, which holds a copy of the data
    tracemalloc.start()
    m = bptt(net, x, loss, schedule)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * T * H * 8
    assert_equal_gradients(dict(m.parameters), dict(bptt(net, x, loss).parameters), rtol=1e-8, atol=1e-9)
