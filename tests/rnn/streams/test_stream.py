"""Streams: chunks that end anywhere add up to Truncated over the whole sequence."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Sequential, Truncated
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn import (
    GRU,
    RNN,
    CrossEntropy,
    Embedding,
    Linear,
    Several,
    SquaredError,
    Stream,
    bptt,
    bptt_stream,
)
from rnn.networks import Embedded
from rnn.streams import stream
from tests.rnn.streams.nets import KINDS, WINDOWS, assert_equal_gradients, problem


@st.composite
def cuts(draw):
    """Where the chunks of a sequence end."""
    return np.cumsum([0, *draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))])


def chunks(x, target, ends):
    """Pairs of chunks, made one by one."""
    return ((x[a:b], target[a:b]) for a, b in pairwise(ends))


@settings(max_examples=60)
@given(st.sampled_from(sorted(KINDS)), cuts(), WINDOWS, st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_borders_of_chunks_are_invisible(kind, ends, schedule, rows, seed):
    net, x, target, loss = problem(kind, int(ends[-1]), 2, seed)
    wanted = bptt(net, x, loss(target), schedule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "ROWS", rows)
        found = bptt_stream(net, chunks(x, target, ends), loss, schedule)
    assert found.steps == len(x)
    assert found.total == pytest.approx(wanted.total, rel=1e-12)
    assert_equal_gradients(found.parameters, dict(wanted.parameters))
    _, last = net(x)
    states = found.states if isinstance(found.states, tuple) else (found.states,)
    for own, other in zip(states, last if isinstance(last, tuple) else (last,), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12)


@settings(max_examples=25)
@given(cuts(), WINDOWS, st.integers(0, 2**32 - 1))
def test_windows_are_the_shares_of_their_losses(ends, schedule, seed):
    net, x, target, loss = problem("learned start", int(ends[-1]), 1, seed)
    parts = list(Stream(net, loss, schedule).windows(chunks(x, target, ends)))
    assert [p.start for p in parts] == list(range(0, len(x), schedule.k1))
    for part in parts:
        own = np.full_like(target, np.nan if target.dtype.kind == "f" else -1)
        own[part.start : part.stop] = target[part.start : part.stop]
        wanted = bptt(net, x, loss(own), schedule)
        assert part.total == pytest.approx(wanted.total, rel=1e-12)
        for name, gradient in wanted.parameters.items():
            np.testing.assert_allclose(
                part.parameters.get(name, 0), gradient, rtol=1e-9, atol=1e-12, err_msg=name
            )


def test_the_same_bits_wherever_chunks_end(rng):
    net, x, target, loss = problem("gru", 40, 2, 6)
    one = bptt_stream(net, chunks(x, target, [0, 40]), loss, Truncated(3, 7))
    other = bptt_stream(net, chunks(x, target, [0, 1, 19, 22, 40]), loss, Truncated(3, 7))
    for name, gradient in one.parameters.items():
        np.testing.assert_array_equal(gradient, other.parameters[name])


def test_a_second_stream_goes_on_from_the_states_of_the_first(rng):
    net, x, target, loss = problem("lstm", 20, 2, 8)
    first = bptt_stream(net, chunks(x, target, [0, 12]), loss, Truncated(4, 4))
    second = bptt_stream(net, chunks(x, target, [12, 20]), loss, Truncated(4, 4), h0=first.states)
    whole = bptt(net, x, loss(target), Truncated(4, 4))
    for name, gradient in whole.parameters.items():
        np.testing.assert_allclose(
            first.parameters[name] + second.parameters[name], gradient, rtol=1e-9, atol=1e-12
        )


def test_batch_first_and_unbatched_chunks(rng):
    x, y = rng.normal(size=(2, 30, 1)), rng.normal(size=(2, 30, 3))
    first, plain = (RNN(1, 3, batch_first=b, random_state=0) for b in (True, False))
    found = bptt_stream(
        first, [(x[:, :11], y[:, :11]), (x[:, 11:], y[:, 11:])], SquaredError, Truncated(3, 5)
    )
    each = [bptt_stream(plain, [(x[b], y[b])], SquaredError, Truncated(3, 5)) for b in range(2)]
    assert found.states.shape == (1, 2, 3)
    assert each[0].states.shape == (1, 3)
    for name, gradient in found.parameters.items():
        np.testing.assert_allclose(gradient, sum(e.parameters[name] for e in each), rtol=1e-10)


def test_several_tasks_stream_together(rng):
    net = RNN(1, 3, random_state=0)
    one, other = Linear(3, 1, random_state=1), Linear(3, 2, random_state=2)

    def loss(y):
        return Several(
            SquaredError(y, readout=one, task="level"),
            CrossEntropy((y[..., 0] > 0).astype(int), readout=other, task="sign"),
        )

    x, y = rng.normal(size=(25, 1)), rng.normal(size=(25, 1))
    found = bptt_stream(net, chunks(x, y, [0, 7, 25]), loss, Truncated(4, 6))
    assert_equal_gradients(found.parameters, dict(bptt(net, x, loss(y), Truncated(4, 6)).parameters))


def test_tokens_stream(rng):
    net = Embedded(Embedding(7, 3, random_state=0), GRU(3, 4, random_state=1))
    readout = Linear(4, 7, random_state=2)
    text = rng.integers(7, size=61)

    def loss(y):
        return CrossEntropy(y, readout=readout)

    found = bptt_stream(net, chunks(text[:-1], text[1:], [0, 13, 60]), loss, Truncated(5, 8))
    wanted = bptt(net, text[:-1], loss(text[1:]), Truncated(5, 8))
    assert_equal_gradients(found.parameters, dict(wanted.parameters))


def test_learning_online_lowers_the_loss(rng):
    net, readout = RNN(1, 8, random_state=0), Linear(8, 1, random_state=1)
    x = rng.integers(0, 2, size=(3000, 1)).astype(float)
    y = np.roll(x, 2, axis=0)
    totals = []
    for part in Stream(net, lambda y: SquaredError(y, readout=readout), Truncated(5, 10)).windows([(x, y)]):
        totals.append(part.total)
        for key, gradient in part.parameters.items():
            name = key.removeprefix("readout.")
            (readout.weights if name != key else net.weights)[name] -= 0.02 * gradient
    assert np.mean(totals[-50:]) < 0.2 * np.mean(totals[:50])


def test_memory_does_not_grow_with_the_stream():
    import gc
    import tracemalloc

    net = RNN(2, 8, random_state=0)

    def data(n):
        rng = np.random.default_rng(0)
        return ((rng.normal(size=(500, 2)), rng.normal(size=(500, 8))) for _ in range(n))

    peaks = []
    bptt_stream(net, data(20), SquaredError, Truncated(10, 40))
    for n in (20, 60):
        gc.collect()
        tracemalloc.start()
        bptt_stream(net, data(n), SquaredError, Truncated(10, 40))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 1e5


def test_what_does_not_stream_is_refused(rng):
    net, x, y = RNN(1, 2, random_state=0), np.ones((6, 1)), np.ones((6, 2))
    with pytest.raises(UnsupportedError, match="bidirectional"):
        Stream(RNN(1, 2, bidirectional=True), SquaredError, Truncated(1, 2))
    with pytest.raises(UnsupportedError, match="window by window"):
        Stream(net, SquaredError, Sequential())
    with pytest.raises(DataError, match="RNN"):
        Stream(None, SquaredError, Truncated(1, 2))
    with pytest.raises(DataError, match="targets"):
        Stream(net, SquaredError(y), Truncated(1, 2))
    with pytest.raises(DataError, match="mean"):
        bptt_stream(net, [(x, y)], lambda y: SquaredError(y, "mean"), Truncated(1, 2))
    with pytest.raises(DataError, match="pairs"):
        bptt_stream(net, [x], SquaredError, Truncated(1, 2))
    with pytest.raises(DataError, match="batch"):
        bptt_stream(net, [(x, y), (np.ones((6, 2, 1)), np.ones((6, 2, 2)))], SquaredError, Truncated(1, 2))
    with pytest.raises(DataError, match="must make a loss"):
        bptt_stream(net, [(x, y)], lambda y: y, Truncated(1, 2))
    with pytest.raises(ShapeError, match="at_once"):
        Stream(net, SquaredError, Truncated(1, 2)).windows([(x, y)], at_once=0)


def test_row_13_of_the_references():
    """h ← w h, w = .2, h₀ = .9: the window of loss h₃ gives .108. Gradients of states that are left from the
    windows before make .2880 of it."""
    w, h0 = 0.2, 0.9
    net = RNN(1, 1, nonlinearity="relu", bias=False)
    net.load_state_dict({"weight_ih_l0": [[0.0]], "weight_hh_l0": [[w]]})
    below = h0 * w ** np.arange(1, 4)[:, None] - 1  # targets at which every loss has slope 1
    parts = Stream(net, SquaredError, Truncated(1, 3), h0=[[h0]]).windows([(np.zeros((3, 1)), below)])
    found = [part.parameters["weight_hh_l0"].item() for part in parts]
    np.testing.assert_allclose(found, [0.9, 0.36, 0.108], rtol=1e-12)
    left = w + w * w  # at h₁: from loss h₂, and again from h₃
    assert h0 * w**2 + w * (h0 * w) + left * h0 == pytest.approx(0.288, rel=1e-12)
