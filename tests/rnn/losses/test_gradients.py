"""Every public loss through the public gradient checker: gradients and Hessian-vector products, sums and
means, with missing data and without."""

import numpy as np
import pytest

from msgpass import check_gradients
from rnn import RNN, BinaryCrossEntropy, CrossEntropy, GaussianNLL, Linear, PoissonNLL, Several, SquaredError

T, B, W = 5, 3, 2


def gaps(rng, array):
    array = np.array(array, float)
    array[rng.random(array.shape) < 0.3] = np.nan
    return array


def readout(width):
    return Linear(4, width, random_state=1)


LOSSES = {
    "squared": lambda r, **k: SquaredError(gaps(r, r.normal(size=(T, B, W))), readout=readout(W), **k),
    "cross": lambda r, **k: CrossEntropy(r.integers(-1, 3, (T, B)), readout=readout(3), **k),
    "weighted cross": lambda r, **k: CrossEntropy(
        r.integers(-1, 3, (T, B)), readout=readout(3), class_weight=[0.5, 2.0, 1.5], **k
    ),
    "poisson": lambda r, **k: PoissonNLL(gaps(r, r.poisson(2.0, (T, B, W))), readout=readout(W), **k),
    "binary": lambda r, **k: BinaryCrossEntropy(gaps(r, r.random((T, B, W)) < 0.5), readout=readout(W), **k),
    "weighted binary": lambda r, **k: BinaryCrossEntropy(
        gaps(r, r.random((T, B, W))), readout=readout(W), pos_weight=3.0, **k
    ),
    "gaussian": lambda r, **k: GaussianNLL(gaps(r, r.normal(size=(T, B, W))), readout=readout(2 * W), **k),
    "gaussian given": lambda r, **k: GaussianNLL(
        gaps(r, r.normal(size=(T, B, W))), 0.5 + r.random((B, W)), readout=readout(W), full=True, **k
    ),
    "several": lambda r, **k: Several(
        LOSSES["squared"](r, task="level", **k),
        LOSSES["cross"](r, task="kind", **k),
        LOSSES["poisson"](r, **k),
    ),
}


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradients_are_differences(kind, reduction, rng):
    net = RNN(2, 4, random_state=0)
    graph = net.graph(rng.normal(size=(T, B, 2)), LOSSES[kind](rng, reduction=reduction))
    check_gradients(graph, hvp=True, entries=3)


def test_rates_need_not_be_logarithms(rng):
    net, x = RNN(2, 4, nonlinearity="relu", random_state=0), 1 + rng.random((T, B, 2))
    graph = net.graph(x, PoissonNLL(rng.poisson(1.0, (T, B, 4)), log_input=False, eps=0.1))
    check_gradients(graph, hvp=True, entries=3)


@pytest.mark.parametrize("kind", ["poisson", "weighted binary", "gaussian", "gaussian given"])
def test_gradients_move_with_the_targets(kind, rng):
    """What hvp says of a target is the change of every other gradient with it."""
    net = RNN(2, 4, random_state=0)
    graph = net.graph(rng.normal(size=(T, B, 2)), LOSSES[kind](rng))
    from msgpass import Tangent, run

    value = graph["target"].value
    direction = np.where(np.isnan(value), 0, rng.normal(size=value.shape))
    if kind == "weighted binary":
        direction *= 0.1
    m = run(graph, Tangent({"target": direction}, over={}))
    h = 1e-5
    if kind == "poisson":  # counts must not fall below 0
        value = value + 1
        m = run(graph, Tangent({"target": direction}, over={}), values={"target": value})
    ahead, behind = (run(graph, values={"target": value + s * direction}) for s in (h, -h))
    for name in m.parameters:
        difference = (ahead.parameters[name] - behind.parameters[name]) / (2 * h)
        np.testing.assert_allclose(m.parameters[name].tangent, difference, rtol=1e-6, atol=1e-7)
