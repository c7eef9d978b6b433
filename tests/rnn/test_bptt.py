"""bptt: gradients against central differences, published numbers, other schedules and other algebras."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import Checkpointed, Tangent, Truncated, run
from msgpass.errors import UnsupportedError
from msgpass.sweeps import compiled_recurrence
from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt
from tests.oracles import along, finite_difference
from tests.rnn.loops import problems


@given(problems())
def test_gradients_are_central_differences(problem):
    net, x, h0, loss = problem
    m = bptt(net, x, loss, h0=h0)
    graph, rng = net.graph(x, loss, h0), np.random.default_rng(0)
    assert run(graph).total == pytest.approx(m.total, rel=1e-13)
    assert list(m.parameters) == [*net.weights, *loss.weights]
    for name in [*m.parameters, "x", *(f"h0{suffix}" for suffix in net.suffixes)]:
        direction = rng.normal(size=m.gradient[name].shape)
        found = (m.gradient[name] * direction).sum()
        wanted = along(graph, name, direction, step=1e-6)
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_entry_by_entry(bidirectional, rng):
    net = RNN(2, 3, num_layers=2, bidirectional=bidirectional, random_state=0)
    loss = CrossEntropy(rng.integers(3, size=(4, 2)), readout=Linear(net.output_size, 3, random_state=1))
    x, h0 = rng.normal(size=(4, 2, 2)), rng.normal(size=(len(net.suffixes), 2, 3))
    m, graph = bptt(net, x, loss, h0=h0), net.graph(x, loss, h0)
    for name in [*m.parameters, "x", *(f"h0{suffix}" for suffix in net.suffixes)]:
        wanted = finite_difference(graph, name)
        np.testing.assert_allclose(m.gradient[name], wanted, rtol=1e-6, atol=1e-8, err_msg=name)


@given(problems(("tanh",)))
def test_adjoints_are_gradients_of_a_nudged_state(problem):
    """A nudge of x_t moves h_t by act'(z_t) W_ih, so that λ_t alone gives the gradient of x."""
    net, x, h0, loss = problem
    m = bptt(net, x, loss, h0=h0)
    through_x = np.zeros_like(x)
    for suffix in net.suffixes[: 1 + net.bidirectional]:
        adjoint, h = m.gradient[f"h{suffix}"], m.forward[f"h{suffix}"]
        assert adjoint.shape == h.shape
        through_x += (adjoint * (1 - h**2)) @ net.weights[f"weight_ih{suffix}"]
    np.testing.assert_allclose(through_x, m.gradient["x"], rtol=1e-10, atol=1e-13)


@given(problems())
def test_directional_derivative_forward_is_the_gradient(problem):
    net, x, h0, loss = problem
    m = bptt(net, x, loss, h0=h0)
    rng = np.random.default_rng(0)
    direction = {name: rng.normal(size=m.parameters[name].shape) for name in m.parameters}
    tangent = run(net.graph(x, loss, h0), Tangent(direction)).total.tangent
    assert tangent == pytest.approx(
        sum((m.parameters[k] * d).sum() for k, d in direction.items()), rel=1e-9, abs=1e-11
    )


@settings(max_examples=30)
@given(problems())
def test_checkpoints_change_nothing(problem):
    net, x, h0, loss = problem
    wanted = bptt(net, x, loss, h0=h0)
    for slots in (1, 2, 3):
        m = bptt(net, x, loss, Checkpointed(slots), h0)
        assert m.total == pytest.approx(wanted.total, rel=1e-13)
        for name in m.parameters:
            np.testing.assert_allclose(
                m.parameters[name], wanted.parameters[name], rtol=1e-10, atol=1e-13, err_msg=name
            )


@given(problems())
def test_a_window_over_everything_is_the_gradient(problem):
    net, x, h0, loss = problem
    if net.bidirectional:
        return
    wanted, m = bptt(net, x, loss, h0=h0), bptt(net, x, loss, Truncated(len(x), len(x)), h0)
    assert m.total == pytest.approx(wanted.total, rel=1e-13)
    for name in m.parameters:
        np.testing.assert_allclose(
            m.parameters[name], wanted.parameters[name], rtol=1e-10, atol=1e-13, err_msg=name
        )


@settings(max_examples=40)
@given(problems())
def test_compiled_and_reference_sweeps_agree(problem):
    net, x, h0, loss = problem
    found = []
    for patience in (np.inf, 0.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled_recurrence, "PATIENCE", patience)
            found.append(run(net.graph(x, loss, h0)))
    reference, compiled = found
    assert compiled.total == pytest.approx(reference.total, rel=1e-12)
    for name in [
        *reference.parameters,
        "x",
        *(f"h{s}" for s in net.suffixes),
        *(f"h0{s}" for s in net.suffixes),
    ]:
        wanted = reference.gradient[name]
        np.testing.assert_allclose(compiled.gradient[name], wanted, rtol=1e-9, atol=1e-12, err_msg=name)


def test_row_12_of_the_references():
    """h = tanh(W h + U x), L = ½ (v · h₃ − .3)²."""
    net = RNN(1, 2, bias=False)
    net.load_state_dict({"weight_ih_l0": [[1.0], [-1.0]], "weight_hh_l0": [[0.5, -0.3], [0.2, 0.4]]})
    readout = Linear(2, 1, bias=False).load_state_dict({"weight": [[1.0, -1.0]]})
    target = np.array([[np.nan], [np.nan], [0.3]])
    m = bptt(net, np.array([[1.0], [-0.5], [0.25]]), SquaredError(target, readout=readout))
    np.testing.assert_allclose(m.gradient["h0_l0"][0], [0.0001054171, 0.0002533021], atol=5e-11)
    dw = [[-0.0014038343, -0.0004834026], [0.0025334047, -0.0005838964]]
    np.testing.assert_allclose(m.parameters["weight_hh_l0"], dw, atol=5e-11)


def test_row_13_truncation_is_no_scaled_gradient():
    """h_{t+1} = w h_t, w = .2, h₀ = .9: a relu net that stays positive; ½ (h₃ + 1)² has slope h₃ + 1."""
    net = RNN(1, 1, nonlinearity="relu", bias=False)
    net.load_state_dict({"weight_ih_l0": [[0.0]], "weight_hh_l0": [[0.2]]})
    loss = SquaredError(np.array([[np.nan], [np.nan], [-1.0]]))
    slope = 0.9 * 0.2**3 + 1
    gradients = []
    for schedule in (None, Truncated(3, 3), Truncated(1, 1), Truncated(1, 2)):
        m = bptt(net, np.zeros((3, 1)), loss, schedule, h0=[[0.9]])
        gradients.append(m.parameters["weight_hh_l0"].item() / slope)
    # Each of the three steps adds w² h₀: a window of k steps keeps k of them, and never more.
    np.testing.assert_allclose(gradients, [0.108, 0.108, 0.036, 0.072], rtol=1e-12)


def test_truncation_against_the_clock_is_refused():
    net = RNN(1, 2, bidirectional=True, random_state=0)
    with pytest.raises(UnsupportedError, match="Truncated"):
        bptt(net, np.ones((5, 1)), SquaredError(np.ones((5, 4))), Truncated(2, 2))


def test_truncation_cuts_what_is_further_than_the_window(rng):
    net = RNN(2, 3, random_state=0)
    x, target = rng.normal(size=(6, 1, 2)), np.full((6, 1, 3), np.nan)
    target[-1] = 1
    reach = {k2: bptt(net, x, SquaredError(target), Truncated(6, k2)).gradient["h_l0"] for k2 in (2, 6)}
    assert not reach[2][:4].any()
    assert reach[6].all()
    np.testing.assert_allclose(reach[2][4:], reach[6][4:], rtol=1e-12)


def test_two_losses_of_one_name_have_graphs_of_their_own():
    """As when the cell of a notebook that defines a loss is run again, changed."""

    def weighted(by):
        class Weighted(SquaredError):
            curvature = None

            @staticmethod
            def function(output, target):
                return 0.5 * by * ((output - target) ** 2).sum(), (by * (output - target), None)

        return Weighted

    net, x, target = RNN(2, 3, random_state=0), np.ones((4, 1, 2)), np.zeros((4, 1, 3))
    one, three = (bptt(net, x, weighted(by)(target)).total for by in (1.0, 3.0))
    assert three == pytest.approx(3 * one)
