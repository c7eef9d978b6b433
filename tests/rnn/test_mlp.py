"""Feedforward layers: values by hand, gradients, padded steps."""

import numpy as np
import pytest

from msgpass import check_gradients
from msgpass.errors import ShapeError
from rnn import MLP, CrossEntropy, SquaredError, bptt, fit


def test_values(rng):
    net, x = MLP(3, [4, 2], random_state=0), rng.normal(size=(5, 2, 3))
    w = net.state_dict()
    h = np.tanh(x @ w["weight_0"].T + w["bias_0"])
    wanted = np.tanh(h @ w["weight_1"].T + w["bias_1"])
    np.testing.assert_allclose(net(x), wanted, rtol=1e-12)
    ragged = net(x, lengths=[5, 2])
    assert (ragged[2:, 1] == 0).all()
    np.testing.assert_allclose(ragged[:2, 1], wanted[:2, 1])
    np.testing.assert_array_equal(MLP(3)(x), x)


@pytest.mark.parametrize("lengths", [None, [4, 1]])
def test_gradients(lengths, rng):
    net, x = MLP(3, [4, 2], random_state=0), rng.normal(size=(4, 2, 3))
    graph = net.graph(x, SquaredError(rng.normal(size=(4, 2, 2))), lengths=lengths)
    check_gradients(graph, [*net.weights, "x"], hvp=True)


def test_it_trains(rng):
    x = rng.normal(size=(60, 1, 2))
    labels = (x[..., 0] * x[..., 1] > 0).astype(int)
    net = MLP(2, [8, 2], random_state=0)
    history = fit(net, x, CrossEntropy(labels), n_iter=60, tol=None)
    assert history.best < 0.75 * history.losses[0]
    assert bptt(net, x, CrossEntropy(labels)).total == pytest.approx(history.best, rel=1e-9)
    with pytest.raises(ShapeError):
        net(x[..., :1])
