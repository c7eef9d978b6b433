"""A network with a memory: shapes, gradients, schedules, states that go on, and what it refuses."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Adjoint, Checkpointed, Tangent, Truncated, check_gradients, run
from msgpass.errors import DataError, ShapeError
from rnn import Linear, SquaredError, bptt
from rnn.memory import Memory

OPTIONS = st.fixed_dictionaries(
    {
        "read_heads": st.integers(1, 2),
        "write_heads": st.integers(1, 2),
        "reach": st.sampled_from([None, 0, 1, 2]),
        "controller": st.sampled_from(["lstm", "gru", "rnn"]),
        "initial": st.sampled_from(["zero", "learned"]),
    }
)


def problem(options=None, seed=0, steps=4, batch=2):
    rng = np.random.default_rng(seed)
    net = Memory(2, 3, slots=5, width=2, random_state=seed, **(options or {}))
    if "memory0" in net.weights:  # an almost empty slot bends too much for differences
        net.weights["memory0"] = rng.normal(size=(5, 2))
    x = rng.normal(size=(steps, batch, 2))
    readout = Linear(net.output_size, 2, random_state=seed + 1)
    return net, x, SquaredError(rng.normal(size=(steps, batch, 2)), readout=readout)


@given(OPTIONS, st.integers(0, 99))
def test_gradients_are_slopes(options, seed):
    """Along a random direction of every weight at once, and JVP against VJP."""
    net, x, loss = problem(options, seed)
    rng, eps = np.random.default_rng(seed), 1e-6
    direction = {k: rng.normal(size=w.shape) for k, w in net.weights.items()}
    m = bptt(net, x, loss)
    slope = sum((m.parameters[k] * d).sum() for k, d in direction.items())
    own, sides = net.state_dict(), []
    for sign in (1, -1):
        net.load_state_dict({k: w + sign * eps * direction[k] for k, w in own.items()})
        sides.append(bptt(net, x, loss).total)
    net.load_state_dict(own)
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * eps), rel=1e-4, abs=1e-6)
    graph, values = net.problem(x, loss)
    assert run(graph, Tangent(direction), values=values).total.tangent == pytest.approx(slope, rel=1e-9)


def test_gradients_of_data_and_every_message_have_their_shapes():
    net, x, loss = problem()
    m = bptt(net, x, loss)
    shapes = {"x": x.shape, "memory": (4, 2, 5, 2), "w_read": (4, 2, 1, 5), "w_write": (4, 2, 1, 5)}
    shapes |= {"r": (4, 2, 2), "h": (4, 2, 3), "c": (4, 2, 3), "memory0": (2, 5, 2)}
    for name, shape in shapes.items():
        assert m.gradient[name].shape == shape
    eps = 1e-6
    moved = [x.copy(), x.copy()]
    for side, sign in zip(moved, (1, -1), strict=True):
        side[1, 1, 0] += sign * eps
    up, down = (bptt(net, side, loss).total for side in moved)
    assert m.gradient["x"][1, 1, 0] == pytest.approx((up - down) / (2 * eps), rel=1e-5)


def test_second_derivatives_are_differences_of_gradients():
    net, x, loss = problem()
    direction = {"read_heads.weight": np.ones_like(net.weights["read_heads.weight"])}
    m = bptt(net, x, loss, direction=direction)
    graph, values = net.problem(x, loss)
    assert m.parameters["read_heads.bias"].tangent.shape == net.weights["read_heads.bias"].shape
    eps = 1e-5
    key = "read_heads.weight"
    up, down = (
        run(graph, Adjoint(), values={**values, key: values[key] + sign * eps}).parameters["read_heads.bias"]
        for sign in (1, -1)
    )
    np.testing.assert_allclose(
        m.parameters["read_heads.bias"].tangent, (up - down) / (2 * eps), rtol=1e-4, atol=1e-7
    )


def test_two_calls_are_one():
    net, x, _ = problem(steps=6)
    whole, end = net(x)
    first, state = net(x[:2])
    second, last = net(x[2:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-12)
    for a, b in zip(end, last, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_ragged_sequences_are_as_if_alone():
    net, x, loss = problem(steps=5)
    output, state = net(x, lengths=[5, 2])
    alone, end = net(x[:2, 1])
    np.testing.assert_allclose(output[:2, 1], alone, rtol=1e-12)
    assert (output[2:, 1] == 0).all()
    for both, one in zip(state, end, strict=True):
        np.testing.assert_allclose(both[1], one, rtol=1e-12)
    m = bptt(net, x, loss, lengths=[5, 2])
    assert (m.gradient["x"][2:, 1] == 0).all() and (m.gradient["x"][:2, 1] != 0).any()


def test_schedules():
    net, x, loss = problem(steps=7)
    exact = bptt(net, x, loss)
    kept = bptt(net, x, loss, Checkpointed(2))
    for key in net.weights:
        np.testing.assert_allclose(kept.parameters[key], exact.parameters[key], rtol=1e-9, atol=1e-12)
    cut = bptt(net, x, loss, Truncated(1, 1))
    assert cut.total == pytest.approx(exact.total)
    assert not np.allclose(cut.parameters["controller.weight_hh"], exact.parameters["controller.weight_hh"])


def test_float32_stays():
    net = Memory(2, 3, slots=4, width=2, dtype="float32", random_state=0)
    output, state = net(np.ones((3, 1, 2)))
    assert output.dtype == np.float32 and all(s.dtype == np.float32 for s in state)
    m = bptt(net, np.ones((3, 1, 2)), SquaredError(np.zeros((3, 1, net.output_size))))
    assert all(m.parameters[k].dtype == np.float32 for k in net.weights)


def test_a_memory_keeps_a_gradient_that_the_controller_loses():
    """Written once and not erased, a slot carries a cotangent over a hundred steps unchanged."""
    net = Memory(1, 2, slots=3, width=1, reach=None, controller="rnn", random_state=0)
    for key in ("controller.weight_ih", "controller.weight_hh", "write_heads.weight"):
        net.weights[key][:] = 0
    net.weights["write_heads.bias"][:] = [0, 0, -100, 0]  # k, β, e, a: nothing is erased, nothing added
    loss = SquaredError(np.ones((100, 1, net.output_size)))
    m = bptt(net, np.zeros((100, 1, 1)), loss)
    at_memory = m.gradient["memory"][:, 0, :, 0]
    np.testing.assert_allclose(at_memory, np.arange(100, 0, -1)[:, None] * at_memory[-1], rtol=1e-6)


def test_copies():
    net, x, _ = problem()
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again(x)[0], net(x)[0])
    other = Memory(2, 3, slots=5, width=2, random_state=9).load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other(x)[0], net(x)[0])


def test_refuses():
    with pytest.raises(ShapeError, match="reach=2 shifts over 5 slots, but the memory has 4"):
        Memory(1, 2, slots=4, width=1, reach=2)
    with pytest.raises(DataError, match="controller must be one of"):
        Memory(1, 2, slots=4, width=1, controller="mlp")
    net, x, loss = problem()
    with pytest.raises(DataError, match="a tuple of the states h, c, w_write, memory, w_read, r"):
        net(x, np.zeros((2, 3)))
    state = list(net(x)[1])
    state[2] = state[2] * 2
    with pytest.raises(DataError, match="w_write0 must hold weightings"):
        net(x, tuple(state))
    with pytest.raises(ShapeError, match="lengths"):
        bptt(net, x, loss, lengths=[1, 2, 3])
    with pytest.raises(DataError, match=r"lacks read_heads\.bias"):
        net.load_state_dict({k: w for k, w in net.weights.items() if k != "read_heads.bias"})


@pytest.mark.parametrize("options", [{}, {"reach": None, "write_heads": 2}, {"controller": "gru"}])
def test_the_public_checker_agrees(options):
    net, x, loss = problem(options)
    graph, values = net.problem(x, loss)
    check_gradients(graph, values=values)
