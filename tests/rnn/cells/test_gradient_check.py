"""Every cell with every option through the public gradient checker."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import check_gradients
from rnn import GRU, LSTM, RNN, SquaredError
from tests.rnn.architectures import cases


@settings(max_examples=12)
@given(cases(kinds=("LSTM", "GRU")))
def test_random_architectures(case):
    width = case.net.output_size
    target = np.random.default_rng(0).normal(size=(*case.x.shape[:2], width))
    graph = case.net.graph(case.x, SquaredError(target), **case.data())
    names = [
        *case.net.weights,
        "x",
        *(n for n in graph.nodes if n.startswith(("h0", "c0")) and n not in case.net.weights),
    ]
    given_ = [n for n in names if n in graph.nodes and hasattr(graph[n], "value")]
    check_gradients(graph, given_, entries=0)


CELLS = {
    "tanh": lambda: RNN(2, 3, random_state=0),
    "norm tanh": lambda: RNN(2, 3, layer_norm=True, bidirectional=True, random_state=0),
    "lstm": lambda: LSTM(2, 3, num_layers=2, random_state=0),
    "lstm options": lambda: LSTM(2, 3, proj_size=2, peepholes=True, layer_norm=True, random_state=0),
    "gru": lambda: GRU(2, 3, bidirectional=True, initial="learned", random_state=0),
    "norm gru": lambda: GRU(2, 3, layer_norm=True, random_state=0),
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("gates", [False, True])
def test_second_derivatives(kind, gates, rng):
    net, x = CELLS[kind](), rng.normal(size=(4, 2, 2))
    loss = SquaredError(rng.normal(size=(4, 2, net.output_size)))
    check_gradients(net.graph(x, loss, lengths=[4, 2], gates=gates), hvp=True, entries=2)


def test_relu_away_from_its_bend(rng):
    net, x = RNN(2, 3, nonlinearity="relu", random_state=0), 1 + rng.random(size=(4, 2, 2))
    net.weights = {k: np.abs(w) for k, w in net.weights.items()}
    check_gradients(net.graph(x, SquaredError(rng.normal(size=(4, 2, 3)))), hvp=True, entries=2)
