"""A slice evaluated by itself is the network's own step, and a disturbed graph tells its cotangent."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import Adjoint, FactorGraph, Loss, Step, run
from msgpass.errors import UnsupportedError
from rnn import GRU, LSTM, RNN, Linear, SquaredError, as_dbn, bptt
from rnn.dbn.disturbed import disturbance
from tests.rnn.architectures import cases

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def problem(case):
    net = case.net
    shape = (*case.x.shape[:-1], net.output_size)
    target = np.random.default_rng(3).normal(size=shape)
    target.reshape(-1)[0] = np.nan
    return net, case.x, SquaredError(target, "mean", readout=None), case.data()


@given(cases())
@settings(max_examples=25)
def test_slices_are_the_networks_steps_and_losses(case):
    net, x, loss, data = problem(case)
    if net.bidirectional:
        with pytest.raises(UnsupportedError, match="against the clock"):
            as_dbn(net, x, loss, **data)
        return
    dbn = as_dbn(net, x, loss, **data)
    m = bptt(net, x, loss, **data)
    visited, slices = dbn.visited, dbn.slices
    assert visited.shape == (dbn.template.length, len(slices.labels))
    before = np.concatenate([np.full((1, slices.size), np.pi), visited[:-1]])  # the start stands in for π
    for t, (s, now) in enumerate(zip(before, visited, strict=True)):
        pair = np.stack([s, s])
        np.testing.assert_allclose(slices.transition(t, pair), np.stack([now, now]), **EXACT)
    told = sum(slices.loss(t, visited[t : t + 1])[0] for t in range(len(visited)))
    np.testing.assert_allclose(told, m.total, **EXACT)
    np.testing.assert_allclose(run(dbn.disturbed).total, m.total, **EXACT)
    if net.num_layers == 1 and loss.readout is None:
        states = [m.gradient[name].reshape(len(visited), -1) for name in dbn.interface]
        np.testing.assert_allclose(dbn.cotangents, np.concatenate(states, axis=1), **EXACT)


@pytest.mark.parametrize("make", [RNN, GRU, LSTM])
def test_cotangents_of_stacked_layers_are_differences_of_the_disturbed_loss(make):
    rng = np.random.default_rng(1)
    net = make(1, 2, num_layers=2, random_state=0)
    loss = SquaredError(rng.normal(size=(4, 2)), readout=Linear(2, 2, random_state=1))
    dbn = as_dbn(net, rng.normal(size=(4, 1)), loss)
    eps = 1e-6
    for name in dbn.interface:
        noise = np.zeros(dbn.disturbed[disturbance(name)].shape)
        found = dbn.messages.gradient[disturbance(name)]
        for place in [(0, 0, 0), (2, 0, 1), (3, 0, 1)]:
            totals = []
            for sign in (1, -1):
                noise[place] = sign * eps
                totals.append(run(dbn.disturbed, values={disturbance(name): noise}).total)
            noise[place] = 0
            assert found[place] == pytest.approx((totals[0] - totals[1]) / (2 * eps), abs=1e-8)
    # What the lower layer's state says to the upper one of the same step is not part of it.
    assert np.abs(dbn.messages.gradient[disturbance("h_l0")] - bptt_of(dbn).gradient["h_l0"]).max() > 1e-3


def bptt_of(dbn):
    return run(dbn.graph, Adjoint())


def test_what_states_and_losses_share_is_computed_twice():
    """e = h² feeds the second state v and the loss: the loss hears of the disturbed h, v of the other."""
    g = FactorGraph()
    h, e, v = (g.sequence(name, 3) for name in "hev")
    start = g.parameter("start", 0.4)
    g.factor(Step(lambda h: 0.9 * h, vectorized=True), h.after(start), out=h[:])
    g.factor(Step(lambda h: h**2, vectorized=True), h[:], out=e[:])
    g.factor(Step(lambda v, e: v + e, vectorized=True), v.after(start), e[:], out=v[:])
    g.factor(Loss(lambda e, v: (e + v**2, (1.0, 2 * v))), e[:], v[:])
    dbn = as_dbn(g)
    assert dbn.interface == ("h", "v")
    last_h, last_v = dbn.visited[-1]
    np.testing.assert_allclose(dbn.cotangents[-1], [2 * last_h, 2 * last_v], **EXACT)
    assert run(dbn.disturbed).total == pytest.approx(run(g).total)


def test_a_loss_that_needs_the_slice_before_is_refused_on_a_grid():
    g = FactorGraph()
    h = g.sequence("h", 3)
    g.factor(Step(lambda h: 0.9 * h, vectorized=True), h.after(g.parameter("start", 0.4)), out=h[:])
    g.factor(Loss(lambda a, b: ((a - b) ** 2, (2 * (a - b), 2 * (b - a)))), h[:-1], h[1:], name="smooth")
    with pytest.raises(UnsupportedError, match=r"smooth is evidence.* of the slice before"):
        as_dbn(g).discretize()
