"""Jacobians of one step: their products are the transported ones."""

import numpy as np
import pytest

from msgpass import FactorGraph, Step, run
from msgpass.errors import UnsupportedError
from rnn import GRU, LSTM, RNN, Memory, SquaredError, bptt

NETS = {
    "rnn": lambda: RNN(2, 3, random_state=0),
    "gru": lambda: GRU(2, 3, random_state=0),
    "lstm": lambda: LSTM(2, 3, random_state=0),
    "projected": lambda: LSTM(2, 3, proj_size=2, random_state=0),
}


def messages(net, T=5, B=2, **data):
    rng = np.random.default_rng(0)
    return bptt(net, rng.normal(size=(T, B, 2)), SquaredError(np.zeros((T, B, net.output_size))), **data)


@pytest.mark.parametrize("kind", NETS)
def test_products_are_transported_jacobians(kind):
    net = NETS[kind]()
    m, states = messages(net), [f"{s}_l0" for s in net.cell.states]
    J = m.step_jacobians(*states)
    n = sum(net.cell.sizes(3))
    assert J.shape == (5, 2, n, n)
    for s in range(5):
        product = np.broadcast_to(np.eye(n), (2, n, n))
        for t in range(4, s, -1):
            product = product @ J[t]
        blocks = [[m.jacobian((a, 4), (b, s)) for b in states] for a in states]
        wanted = np.concatenate([np.concatenate(row, axis=-1) for row in blocks], axis=-2)
        np.testing.assert_allclose(product, wanted, atol=1e-12)


def test_against_the_clock_and_held():
    net = RNN(2, 3, bidirectional=True, random_state=0)
    J = messages(net).step_jacobians("h_l0_reverse")
    np.testing.assert_allclose(
        J[1] @ J[2], messages(net).jacobian(("h_l0_reverse", 1), ("h_l0_reverse", 3)), atol=1e-12
    )
    J = messages(net, lengths=[5, 2]).step_jacobians("h_l0")
    np.testing.assert_array_equal(J[3, 1], np.eye(3))


def test_one_number_a_row():
    g = FactorGraph()
    h, x = g.sequence("h", 4), g.observe("x", np.arange(4.0))
    g.factor(Step(lambda h, x: h * x, vectorized=True), h.after(g.parameter("h0", 1.0)), x[:], out=h[:])
    np.testing.assert_array_equal(run(g).step_jacobians(h)[:, 0, 0], np.arange(4.0))


def test_refuses():
    m = messages(LSTM(2, 3, num_layers=2, random_state=0))
    for names, match in (
        (("h_l0",), "the state of this recurrence is 'h_l0', 'c_l0'"),
        (("h_l0", "h_l1"), "not the states of one recurrence"),
        (("x",), "not the states of one recurrence"),
    ):
        with pytest.raises(UnsupportedError, match=match):
            m.step_jacobians(*names)
    with pytest.raises(UnsupportedError, match=r"more than one vectorised step a time.*m\.jacobian"):
        messages(Memory(2, 3, slots=4, width=2, random_state=0)).step_jacobians("h", "c")
    g = FactorGraph()
    h = g.sequence("h", 3, shape=(2, 1))
    mixed = Step(lambda h: h[..., ::-1, :] * 1.0, vectorized=True)
    g.factor(mixed, h.after(g.parameter("h0", np.ones((2, 1)))), out=h[:])
    with pytest.raises(UnsupportedError, match="samples speak to each other"):
        run(g).step_jacobians("h")
