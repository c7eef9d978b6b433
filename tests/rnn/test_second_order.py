"""Hessian-vector products of networks: against differences of gradients, and with the compiled sweep."""

import numpy as np
import pytest

from msgpass import Adjoint, Tangent, run
from msgpass.errors import DataError
from msgpass.sweeps.compiled_recurrence import CompiledSweep
from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt, curvature

STEP = 1e-5
NETS = [
    {"nonlinearity": "tanh"},
    {"nonlinearity": "relu"},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False},
]


def make(rng, net, loss, reduction, readout):
    """A network's messages on data with gaps."""
    T, B, width = 6, 3, 4 * (1 + net.bidirectional)
    head = Linear(width, 3, random_state=1) if readout else None
    width = 3 if readout else width
    if loss == "squared":
        target = rng.normal(size=(T, B, width))
        target[rng.random(target.shape) < 0.3] = np.nan
        evidence = SquaredError(target, reduction, head)
    else:
        evidence = CrossEntropy(rng.integers(-1, width, (T, B)), reduction, head)
    return bptt(net, rng.normal(size=(T, B, 2)), evidence)


@pytest.mark.parametrize("settings", NETS, ids=str)
@pytest.mark.parametrize("loss", ["squared", "cross"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("readout", [False, True])
def test_products_are_differences_of_gradients(rng, settings, loss, reduction, readout):
    first = make(rng, RNN(2, 4, random_state=0, **settings), loss, reduction, readout)
    graph = first.graph
    values = {n: v for n, v in first._x.values.items() if n not in graph.plan().owner}
    directions = {n: rng.normal(size=values[n].shape) for n in [*first.parameters, "x", "h0_l0"]}

    def moved(step):
        return {**values, **{n: values[n] + step * d for n, d in directions.items()}}

    m = run(graph, Tangent(directions, over=Adjoint()), values=values)
    ahead, behind = (run(graph, values=moved(s)) for s in (STEP, -STEP))
    assert m.total.value == first.total
    np.testing.assert_allclose(m.total.tangent, (ahead.total - behind.total) / (2 * STEP), rtol=1e-6)
    for name in [*first.parameters, "x", "h0_l0", "h_l0"]:
        difference = (ahead.gradient[name] - behind.gradient[name]) / (2 * STEP)
        np.testing.assert_allclose(m.gradient[name].value, first.gradient[name], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(m.gradient[name].tangent, difference, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("settings", NETS[:3], ids=str)
def test_the_compiled_sweep_carries_second_derivatives(rng, settings, monkeypatch):
    """The same products as by the cell's own functions, which the reference sweep runs."""
    T = 900
    net = RNN(2, 4, random_state=0, **settings)
    x, width = rng.normal(size=(T, 1, 2)), 4 * (1 + net.bidirectional)
    loss = SquaredError(rng.normal(size=(T, 1, width)), "mean")
    graph = bptt(net, x, loss).graph
    values = {n: v for n, v in bptt(net, x, loss)._x.values.items() if n not in graph.plan().owner}
    directions = {
        n: rng.normal(size=v.shape) for n, v in values.items() if n.startswith(("w", "b", "h0", "x"))
    }
    fast = run(graph, Tangent(directions, over=Adjoint()), values=values)
    assert any(isinstance(s, CompiledSweep) for s in fast._x.sweeps.values())
    monkeypatch.setattr("msgpass.kernels.registry.recurrence_sweep", lambda *_: None)
    slow = run(graph, Tangent(directions, over=Adjoint()), values=values)
    assert all(type(s).__name__ == "Sweep" for s in slow._x.sweeps.values())
    for name in directions:
        np.testing.assert_allclose(
            fast.gradient[name].tangent, slow.gradient[name].tangent, rtol=1e-8, atol=1e-10, err_msg=name
        )


def test_bptt_along_a_direction_and_the_hessian_of_a_network(rng):
    net, x = RNN(2, 3, random_state=0), rng.normal(size=(5, 2, 2))
    loss = SquaredError(rng.normal(size=(5, 2, 1)), readout=Linear(3, 1, random_state=1))
    H = curvature(net, x, loss)
    vector = rng.normal(size=H.size)
    direction = {n: vector[where].reshape(H.values[n].shape) for n, where in H.slices.items()}
    m = bptt(net, x, loss, direction=direction)
    found = np.concatenate([m.parameters[n].tangent.ravel() for n in H.names])
    np.testing.assert_allclose(H @ vector, found, rtol=1e-12)
    np.testing.assert_allclose(H.dense() @ vector, found, rtol=1e-9, atol=1e-12)
    assert m.total.value == bptt(net, x, loss).total == H.total
    part = curvature(net, x, loss, ["readout.weight"])
    np.testing.assert_allclose(
        part.dense(), H.dense()[H.slices["readout.weight"], H.slices["readout.weight"]]
    )
    with pytest.raises(DataError, match="curvature takes a network"):
        curvature(None, x, loss)
    with pytest.raises(DataError, match="needs a loss"):
        curvature(net, x, None)


def test_single_precision(rng):
    net = RNN(2, 3, random_state=0, dtype="float32")
    x, loss = rng.normal(size=(5, 2, 2)), SquaredError(rng.normal(size=(5, 2, 3)).astype(np.float32))
    d = {"weight_hh_l0": rng.normal(size=(3, 3))}
    m = bptt(net, x.astype(np.float32), loss, direction=d)
    wide = RNN(2, 3, random_state=0)
    wide.load_state_dict({k: v.astype(float) for k, v in net.state_dict().items()})
    wanted = bptt(wide, x, loss, direction=d)
    assert m.parameters["weight_hh_l0"].tangent.dtype == np.float32
    for name in net.weights:
        np.testing.assert_allclose(
            m.parameters[name].tangent, wanted.parameters[name].tangent, rtol=1e-4, atol=1e-4
        )
