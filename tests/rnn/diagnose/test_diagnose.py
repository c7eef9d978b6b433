"""Diagnoses of networks whose answer is known."""

import numpy as np
import pytest

from msgpass import Adjoint, FactorGraph, Loss, Step, run
from msgpass.errors import DataError
from rnn import GRU, LSTM, RNN, Memory, SquaredError, bptt
from rnn.diagnose import diagnose, diagnosis, focus, lyapunov_exponents, plot_paths, read_focus


def linear(W, T=40, B=3):
    """h ← W h as a relu network whose states stay positive."""
    net = RNN(1, len(W), nonlinearity="relu", bias=False, random_state=0)
    net.load_state_dict({"weight_ih_l0": np.zeros((len(W), 1)), "weight_hh_l0": np.asarray(W, float)})
    x, h0 = np.zeros((T, B, 1)), np.ones((1, B, len(W)))
    return diagnose(net, x, SquaredError(np.zeros((T, B, len(W)))), h0=h0)


@pytest.mark.parametrize(
    "factor, verdict, horizon", [(0.8, "vanishing", 21), (1.0, "steady", None), (1.5, "exploding", None)]
)
def test_a_linear_network(factor, verdict, horizon):
    d = linear(np.diag([factor, factor / 2]))
    assert d.verdict == verdict and d.horizon() == horizon
    assert d.rate == pytest.approx(factor)
    np.testing.assert_allclose(d.norms, factor**d.lags, rtol=1e-10)
    np.testing.assert_allclose(d.singular_values[:, 1], (factor / 2) ** d.lags, rtol=1e-10)
    np.testing.assert_allclose(d.exponents, np.log([factor, factor / 2]), atol=0.02)
    assert d.verdict in str(d) and verdict in repr(d)
    # λ_{T−k} = h_T P_k with h_T = (factor^T, (factor/2)^T).
    end = np.array([factor, factor / 2]) ** 40
    wanted = np.linalg.norm(end * np.array([factor, factor / 2]) ** d.lags[:, None], axis=1)
    np.testing.assert_allclose(d.adjoint, wanted, rtol=1e-9)


def test_a_norm_that_no_number_can_hold():
    net = RNN(1, 2, bias=False, random_state=0)
    net.load_state_dict({"weight_ih_l0": np.zeros((2, 1)), "weight_hh_l0": 0.01 * np.eye(2)})
    d = diagnose(net, np.zeros((200, 1, 1)), SquaredError(np.zeros((200, 1, 2))))  # tanh at 0
    assert d.verdict == "vanishing" and d.rate == pytest.approx(0.01) and d.norms[-1] == 0
    np.testing.assert_allclose(d.log_singular_values[-1], -199 * np.log(100), rtol=1e-12)


def test_transported_jacobians_are_those_of_the_engine():
    rng = np.random.default_rng(0)
    net, x = LSTM(2, 3, random_state=0), rng.normal(size=(9, 1, 2))
    m = bptt(net, x, SquaredError(np.zeros((9, 1, 3))))
    d = diagnosis(m)
    assert d.state.names == ("h_l0", "c_l0") and d.state.slices["c_l0"] == slice(3, 6)
    for name in d.state.names:
        profile = m.jacobian((name, 8), name, sample=0)
        np.testing.assert_allclose(d.paths[name], np.linalg.norm(profile, 2, axis=(1, 2))[::-1], rtol=1e-9)
    gates = bptt(net, x, SquaredError(np.zeros((9, 1, 3))), gates=True).forward["gates_l0"][:, 0, 3:6]
    forget = 1 / (1 + np.exp(-gates[::-1]))
    products = np.concatenate([np.ones((1, 3)), np.cumprod(forget[:-1], axis=0)])
    np.testing.assert_allclose(d.direct["c_l0"], products.max(axis=1), rtol=1e-9)


def test_layers_directions_and_long_sequences():
    net = GRU(2, 3, num_layers=2, bidirectional=True, random_state=0)
    x = np.random.default_rng(0).normal(size=(150, 2, 2))
    loss = SquaredError(np.zeros((150, 2, 6)))
    forward, back = diagnose(net, x, loss), diagnose(net, x, loss, state="h_l0_reverse")
    assert forward.state.names == ("h_l1",) and back.state.reverse
    assert len(forward.lags) <= 100 and forward.lags[0] == 0 and forward.lags[-1] == 149
    m = bptt(net, x, loss)
    norm = np.linalg.norm(m.jacobian(("h_l0_reverse", 0), ("h_l0_reverse", 3)), 2, axis=(1, 2))
    np.testing.assert_allclose(back.norms[back.lags == 3], np.exp(np.log(norm).mean()), rtol=1e-9)


def test_a_memory_carries_what_its_controller_forgets():
    net = Memory(1, 3, slots=4, width=2, random_state=0)
    net.weights["write_heads.bias"][-4:-2] = -50  # nothing is erased
    net.weights["write_heads.weight"][-4:-2] = 0
    x = np.random.default_rng(0).normal(size=(30, 2, 1))
    d = diagnose(net, x, SquaredError(np.zeros((30, 2, net.output_size))))
    assert set(d.state.names) == {"h", "c", "w_write", "memory", "w_read", "r"}
    assert d.exponents is None and d.direct is None
    assert d.paths["memory"][-1] > 0.9 and d.paths["h"][-1] < 0.01 * d.paths["memory"][-1]
    assert plot_paths({"memory": (d, "memory"), "all": d}).axes


def test_lyapunov_exponents_of_a_known_map():
    """The logistic map at r = 4 has log 2; volumes of a rotation do not change."""
    x, slopes = 0.3, []
    for _ in range(20_000):
        slopes.append(4 * (1 - 2 * x))
        x = 4 * x * (1 - x)
    found = lyapunov_exponents(np.reshape(slopes, (-1, 1, 1, 1)))
    assert found[0, 0] == pytest.approx(np.log(2), abs=0.01)
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    np.testing.assert_allclose(lyapunov_exponents(np.broadcast_to(turn, (50, 1, 2, 2))), 0, atol=1e-12)


def test_focus_of_heads():
    sharp, flat = np.eye(4)[None, :1], np.full((1, 1, 4), 0.25)
    assert focus(sharp).effective_slots == 1 and focus(sharp).passed == 1
    assert focus(flat).effective_slots == 4 and focus(flat).passed == 0.5 and focus(flat).largest == 0.25
    rng = np.random.default_rng(0)
    net = Memory(2, 3, slots=4, width=2, random_state=0)
    m = bptt(net, rng.normal(size=(3, 1, 2)), SquaredError(np.zeros((3, 1, net.output_size))))
    found = read_focus(m)
    assert found.passed.shape == (3, 1, 1) and "looks at" in repr(found)
    # The last step's message at the slots is w ⊗ ∂L/∂r, apart from what goes through the addressing.
    w, r = m.forward["w_read"][-1, 0, 0], m.gradient["r"][-1, 0]
    assert np.linalg.norm(np.outer(w, r)) == pytest.approx(found.passed[-1, 0, 0] * np.linalg.norm(r))


def test_figures_and_frames():
    d = linear(np.diag([0.8, 0.4]))
    assert len(d.plot().axes) == 3
    frame = d.to_frame()
    assert (
        list(frame.columns) == ["norm", "adjoint", "path h_l0", "direct h_l0"] and frame.index.name == "lag"
    )


def test_a_graph_of_ones_own():
    g = FactorGraph()
    h = g.sequence("h", 5, shape=(2, 1))
    g.factor(Step(lambda h: 0.5 * h, vectorized=True), h.after(g.parameter("h0", np.ones((2, 1)))), out=h[:])
    g.factor(Loss(lambda h: (h.sum(), np.ones_like(h))), h[-1])
    d = diagnosis(run(g, Adjoint()))
    np.testing.assert_allclose(d.norms, 0.5**d.lags)
    np.testing.assert_allclose(d.adjoint, 0.5**d.lags)


def test_refuses():
    net, x = RNN(1, 2, random_state=0), np.zeros((4, 2, 1))
    loss = SquaredError(np.zeros((4, 2, 2)))
    with pytest.raises(DataError, match="not a state of a recurrence; there are h_l0"):
        diagnose(net, x, loss, state="x")
    with pytest.raises(DataError, match="sequences of one length"):
        diagnose(net, x, loss, lengths=[4, 2])
    with pytest.raises(DataError, match="weightings"):
        focus([0.5, 0.6])
    g = FactorGraph()
    a, b = g.observe("a", np.ones(3)), g.sequence("b", 3)
    g.factor(Step(lambda a: 2 * a), a[:], out=b[:])
    g.factor(Loss(lambda b: (b, 1.0)), b[:])
    with pytest.raises(DataError, match="nothing in this graph feeds itself"):
        diagnosis(run(g))
    wide = RNN(1, 2000, dtype="float32", random_state=0)
    with pytest.raises(DataError, match="GiB; diagnose fewer sequences"):
        diagnose(wide, np.zeros((40, 1, 1)), SquaredError(np.zeros((40, 1, 2000))))
