"""Real-time recurrent learning: forward in time, the gradients of back-propagation at every step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.errors import DataError, UnsupportedError
from rnn import RNN, SquaredError, bptt, rtrl
from tests.rnn.streams.nets import KINDS, assert_equal_gradients, problem


@settings(max_examples=30)
@given(st.sampled_from(sorted(KINDS)), st.integers(1, 6), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_every_prefix_has_its_gradient(kind, steps, batch, seed):
    net, x, target, loss = problem(kind, steps, batch, seed)
    for step in rtrl(net, x, loss(target)):
        t = step.t + 1
        wanted = bptt(net, x[:t], loss(target[:t]))
        assert step.total == pytest.approx(wanted.total, rel=1e-12)
        assert_equal_gradients(step.parameters, dict(wanted.parameters))
    assert step.t == steps - 1


def test_the_influence_matrix_is_the_jacobian_of_the_state(rng):
    net, x = RNN(1, 3, random_state=0), rng.normal(size=(5, 1))
    *_, last = rtrl(net, x, SquaredError(np.zeros((5, 3))))
    J = last.influence["h_l0"][0][:, last.columns["weight_hh_l0"]]
    for k, place in enumerate(np.ndindex(3, 3)):
        ends = []
        for step in (1e-6, -1e-6):
            net.weights["weight_hh_l0"][place] += step
            ends.append(net(x)[1][0])
            net.weights["weight_hh_l0"][place] -= step
        np.testing.assert_allclose(J[:, k], (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-9)


def test_a_mean_divides_by_all_targets(rng):
    net, x, y = RNN(1, 2, random_state=0), rng.normal(size=(7, 1)), rng.normal(size=(7, 2))
    loss = SquaredError(y, "mean")
    *_, last = rtrl(net, x, loss, h0=np.ones((1, 2)))
    assert_equal_gradients(last.parameters, dict(bptt(net, x, loss, h0=np.ones((1, 2))).parameters))


def test_single_precision(rng):
    net = RNN(1, 2, dtype="float32", random_state=0)
    x, loss = rng.normal(size=(7, 1)), SquaredError(np.zeros((7, 2)))
    *_, last = rtrl(net, x, loss)
    assert_equal_gradients(last.parameters, dict(bptt(net, x, loss).parameters), rtol=1e-4, atol=1e-6)


def test_what_has_no_direction_in_time_is_refused():
    with pytest.raises(UnsupportedError, match="bidirectional"):
        rtrl(RNN(1, 2, bidirectional=True), np.ones((3, 1)), SquaredError(np.ones((3, 4))))
    with pytest.raises(DataError, match="loss"):
        rtrl(RNN(1, 2), np.ones((3, 1)), SquaredError)
