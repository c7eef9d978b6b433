"""RNN: its outputs against plain loops, its axes, its state dict, its graph, and what it refuses."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt
from rnn.networks.base import KEPT_GRAPHS
from tests.rnn.loops import forward, networks


@given(networks())
def test_outputs_are_the_loop_over_time(problem):
    net, x, h0 = problem
    for start in (None, h0):
        output, h_n = net(x, start)
        expected, last = forward(net, x, start)
        np.testing.assert_allclose(output, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(h_n, last, rtol=1e-12, atol=1e-13)


@given(networks())
def test_axes_batch_first_and_unbatched(problem):
    net, x, h0 = problem
    output, h_n = net(x, h0)
    turned = RNN(
        net.input_size,
        net.hidden_size,
        net.num_layers,
        net.nonlinearity,
        net.bias,
        True,
        bidirectional=net.bidirectional,
    ).load_state_dict(net.weights)
    other, other_h = turned(x.swapaxes(0, 1), h0)
    np.testing.assert_array_equal(other.swapaxes(0, 1), output)
    np.testing.assert_array_equal(other_h, h_n)
    alone, alone_h = net(x[:, 0], h0[:, 0])
    np.testing.assert_allclose(alone, output[:, 0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(alone_h, h_n[:, 0], rtol=1e-12, atol=1e-13)


@given(networks())
def test_halves_chained_by_their_state_are_the_whole(problem):
    net, x, h0 = problem
    if net.bidirectional or len(x) < 2:
        return
    whole, h_n = net(x, h0)
    first, state = net(x[:1], h0)
    second, last = net(x[1:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(last, h_n, rtol=1e-12, atol=1e-13)


def test_large_net_is_the_loop_too(rng):
    """Big enough for the compiled sweep."""
    net = RNN(5, 19, num_layers=2, bidirectional=True, random_state=rng)
    x = rng.normal(size=(300, 9, 5))
    for _ in range(3):
        output, h_n = net(x)
    expected, last = forward(net, x)
    np.testing.assert_allclose(output, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(h_n, last, rtol=1e-11, atol=1e-12)


# -- weights -------------------------------------------------------------------------------------------


def test_keys_and_shapes_are_torchs():
    net = RNN(3, 5, num_layers=2, bidirectional=True)
    shapes = {k: v.shape for k, v in net.state_dict().items()}
    assert list(shapes) == [
        f"{role}_l{layer}{d}"
        for layer in (0, 1)
        for d in ("", "_reverse")
        for role in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    assert shapes["weight_ih_l0_reverse"] == (5, 3)
    assert shapes["weight_ih_l1"] == (5, 10)
    assert shapes["weight_hh_l1"] == (5, 5)
    assert shapes["bias_hh_l1_reverse"] == (5,)
    assert list(RNN(3, 5, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]


def test_initial_weights_are_uniform_and_seeded():
    weights = RNN(50, 100, random_state=3).state_dict()
    flat = np.concatenate([w.ravel() for w in weights.values()])
    assert np.abs(flat).max() < 0.1
    assert abs(flat.mean()) < 4 * 0.1 / np.sqrt(3 * flat.size)
    assert flat.var() == pytest.approx(0.1**2 / 3, rel=0.05)
    again = RNN(50, 100, random_state=np.random.default_rng(3)).state_dict()
    assert all((weights[k] == again[k]).all() for k in weights)
    assert (weights["weight_hh_l0"] != RNN(50, 100, random_state=4).weights["weight_hh_l0"]).any()


def test_state_dict_round_trip(rng):
    source = RNN(2, 3, num_layers=2, bidirectional=True, random_state=0)
    target = RNN(2, 3, num_layers=2, bidirectional=True, random_state=1)
    x = rng.normal(size=(4, 2, 2))
    assert not np.allclose(source(x)[0], target(x)[0])
    target.load_state_dict(source.state_dict())
    np.testing.assert_array_equal(source(x)[0], target(x)[0])


def test_state_dicts_are_copies():
    net = RNN(1, 2, random_state=0)
    state = net.state_dict()
    state["weight_ih_l0"][:] = 7
    assert (net.weights["weight_ih_l0"] != 7).all()
    net.load_state_dict(state)
    state["weight_ih_l0"][:] = 8
    assert (net.weights["weight_ih_l0"] == 7).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("bias_ih_l0"), DataError, "lacks bias_ih_l0"),
        (lambda s: s.update(weight_ih_l1=0), DataError, "unknown weight_ih_l1"),
        (lambda s: s.update(weight_ih_l0=np.zeros((2, 3))), ShapeError, r"weight_ih_l0.*\(2, 3\).*\(3, 2\)"),
        (lambda s: s.update(bias_hh_l0=[0, np.nan, 0]), DataError, "bias_hh_l0.*NaN"),
        (lambda s: s.update(bias_hh_l0=["a", "b", "c"]), DataError, "bias_hh_l0.*real numbers"),
    ],
)
def test_wrong_state_dicts_are_refused_whole(change, error, words):
    net = RNN(2, 3, random_state=0)
    before, state = net.state_dict(), RNN(2, 3, random_state=1).state_dict()
    change(state)
    with pytest.raises(error, match=words):
        net.load_state_dict(state)
    assert all((before[k] == v).all() for k, v in net.weights.items())


def test_state_dict_must_be_a_dict():
    with pytest.raises(DataError, match="takes a dict"):
        RNN(1, 1).load_state_dict([1, 2])


# -- graphs --------------------------------------------------------------------------------------------


def test_graph_names_what_the_docstring_says():
    net = RNN(2, 3, num_layers=2, bidirectional=True)
    graph = net.graph(np.zeros((4, 1, 2)), SquaredError(np.zeros((4, 1, 2)), readout=Linear(6, 2)))
    assert {"h_l0", "h_l0_reverse", "y_l0", "h_l1", "h_l1_reverse", "y_l1", "output", "x", "target"} < set(
        graph.nodes
    )
    assert [b.kind for b in graph.plan().blocks] == ["Recurrence", "Recurrence", "Map"] * 2 + [
        "Map",
        "Losses",
    ]
    assert [b.direction for b in graph.plan().blocks if b.kind == "Recurrence"] == [1, -1, 1, -1]


def test_kept_graphs_are_reused_and_few(rng):
    net = RNN(1, 2, random_state=0)
    first = bptt(net, np.ones((3, 1)), SquaredError(np.ones((3, 2))))
    again = bptt(net, np.zeros((3, 1)), SquaredError(np.zeros((3, 2))))
    assert again.graph is first.graph
    assert again.total != first.total
    other = bptt(net, np.zeros((3, 1)), CrossEntropy([0, 1, -1]))
    assert other.graph is not first.graph
    for length in range(1, 2 * KEPT_GRAPHS):
        bptt(net, np.ones((length, 1)), SquaredError(np.ones((length, 2))))
    assert len(net._graphs) == KEPT_GRAPHS


def test_initial_states_do_not_stick_to_a_kept_graph():
    net = RNN(1, 2, random_state=0)
    x = np.ones((3, 1))
    plain = net(x)[0].copy()
    started = net(x, np.ones((1, 2)))[0]
    assert not np.allclose(plain, started)
    np.testing.assert_array_equal(net(x)[0], plain)
    fresh = RNN(1, 2).load_state_dict(net.weights)
    fresh(x, np.ones((1, 2)))
    np.testing.assert_array_equal(fresh(x)[0], plain)


@pytest.mark.parametrize("size", [(5, 2, 3), (200, 8, 32)])
def test_single_precision_end_to_end(size, rng):
    steps, batch, hidden = size
    net = RNN(4, hidden, num_layers=2, bidirectional=True, dtype="float32", random_state=0)
    x = rng.normal(size=(steps, batch, 4))
    output, h_n = net(x)
    assert output.dtype == h_n.dtype == np.float32
    loss = SquaredError(
        rng.normal(size=(steps, batch, 1)), "mean", Linear(2 * hidden, 1, dtype="float32", random_state=0)
    )
    m = bptt(net, x, loss)
    assert {m.gradient[name].dtype.name for name in m.gradient} == {"float32"}
    labels = rng.integers(2 * hidden, size=(steps, batch))
    m = bptt(net, x, CrossEntropy(labels, "mean"))
    assert {m.gradient[name].dtype.name for name in m.gradient} == {"float32"}


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((0, 3), ShapeError, "input_size must be a whole number ≥ 1, got 0"),
        ((2, 3.0), ShapeError, "hidden_size.*3.0"),
        ((2, True), ShapeError, "hidden_size.*True"),
        ((2, 3, -1), ShapeError, "num_layers"),
        ((2, 3, 1, "sigmoid"), DataError, "nonlinearity.*'tanh', 'relu'.*'sigmoid'"),
        ((2, 3, 1, "tanh", "yes"), DataError, "bias must be True or False"),
    ],
)
def test_wrong_sizes(arguments, error, words):
    with pytest.raises(error, match=words):
        RNN(*arguments)


@pytest.mark.parametrize("dtype", ["float16", "int", "nonsense", np.complex128])
def test_wrong_dtype(dtype):
    with pytest.raises(DataError, match="float32"):
        RNN(1, 1, dtype=dtype)


@pytest.mark.parametrize("random_state", [-1, "seed", 1.5])
def test_wrong_seed(random_state):
    with pytest.raises(DataError, match="random_state"):
        RNN(1, 1, random_state=random_state)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((3, 1, 4)), ShapeError, r"\(3, 1, 4\).*I = 2"),
        (np.zeros(3), ShapeError, r"\(3,\)"),
        (np.zeros((0, 1, 2)), ShapeError, "at least one step"),
        (np.zeros((3, 0, 2)), ShapeError, "at least one step"),
        ([["a", "b"]], DataError, "x must hold real numbers"),
        ([[1, 2], [3]], DataError, "x is not an array"),
        (np.zeros((3, 1, 2), complex), DataError, "real numbers"),
        (np.full((3, 1, 2), np.nan), DataError, "missing"),
        (np.full((3, 1, 2), np.inf), DataError, "infinite"),
    ],
)
def test_wrong_inputs(x, error, words):
    with pytest.raises(error, match=words):
        RNN(2, 3)(x)


@pytest.mark.parametrize(
    ("h0", "error", "words"),
    [
        (np.zeros((1, 2, 3)), ShapeError, r"h0 has shape \(1, 2, 3\); wanted \(2, 2, 3\)"),
        (np.full((2, 2, 3), np.nan), DataError, "h0 holds NaN"),
        ((np.zeros((2, 2, 3)),) * 2, DataError, "h0 has 2 parts"),
    ],
)
def test_wrong_initial_states(h0, error, words):
    with pytest.raises(error, match=words):
        RNN(1, 3, num_layers=2)(np.zeros((4, 2, 1)), h0)


@pytest.mark.parametrize("hidden", [1, 30])
def test_an_exploding_state_is_named(hidden):
    net = RNN(1, hidden, nonlinearity="relu", bias=False)
    net.load_state_dict(
        {"weight_ih_l0": np.ones((hidden, 1)), "weight_hh_l0": np.full((hidden, hidden), 100.0)}
    )
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(NumericalError, match="'h_l0' became NaN or infinite"),
    ):
        for _ in range(3):
            net(np.ones((1000, 1)))


def test_a_used_network_can_be_copied_and_pickled():
    net = RNN(2, 3, num_layers=2, bidirectional=True, nonlinearity="relu", random_state=0)
    x = np.random.default_rng(0).normal(size=(4, 2, 2))
    output, _ = net(x)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(other(x)[0], output)
