"""A loss of one answer a sequence is the loss of the row that the steps make, and so are its gradients."""

import numpy as np
import pytest

from msgpass.errors import DataError, ShapeError
from rnn import (
    GRU,
    RNN,
    CrossEntropy,
    GaussianNLL,
    Linear,
    Pooled,
    Several,
    SquaredError,
    bptt,
    curvature,
    fit,
)
from rnn.losses.pooled import POOLINGS
from tests.rnn.differences import central

EACH_STEP = SquaredError(np.ones((4, 3, 2)))
LENGTHS = np.array([5, 1, 3])


def problem(pooling, bidirectional, ragged, batch_first=False):
    rng = np.random.default_rng(0)
    net = GRU(2, 3, bidirectional=bidirectional, batch_first=batch_first, random_state=0)
    x, directions = rng.normal(size=(5, 3, 2)), 1 + bidirectional
    x = x.swapaxes(0, 1) if batch_first else x
    inner = SquaredError(rng.normal(size=(3, 2)), "mean", Linear(net.output_size, 2, random_state=1))
    return net, x, Pooled(inner, pooling, directions), {"lengths": LENGTHS} if ragged else {}


def by_hand(net, x, pooled, data):
    """Each sequence alone, pooled in NumPy."""
    rows = []
    for b, n in enumerate(data.get("lengths", [5, 5, 5])):
        output, h_n = net(x[:n, b])
        last = np.concatenate(list(h_n))
        rows.append({"last": last, "mean": output.mean(axis=0), "max": output.max(axis=0)}[pooled.pooling])
    residual = pooled.readout(np.stack(rows)) - pooled.loss.target
    return 0.5 * (residual**2).sum() / residual.size


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_value_and_gradient(pooling, bidirectional, ragged):
    net, x, pooled, data = problem(pooling, bidirectional, ragged)
    m = bptt(net, x, pooled, **data)
    assert m.total == pytest.approx(by_hand(net, x, pooled, data), rel=1e-12)
    first, _, _, _ = problem(pooling, bidirectional, ragged, batch_first=True)
    again = bptt(first, x.swapaxes(0, 1), pooled, **data)
    assert again.total == pytest.approx(m.total, rel=1e-12)
    for key in ("weight_hh_l0", "bias_ih_l0"):

        def loss(value, key=key):
            net.load_state_dict({**net.weights, key: value})
            return by_hand(net, x, pooled, data)

        found = central(loss, net.weights[key].copy())
        np.testing.assert_allclose(m.parameters[key], found, rtol=1e-5, atol=1e-7)


def test_the_last_step_is_a_target_at_the_last_step():
    net, x, pooled, _ = problem("last", False, False)
    target = np.full((5, 3, 2), np.nan)
    target[-1] = pooled.loss.target
    left, right = bptt(net, x, pooled), bptt(net, x, SquaredError(target, "mean", pooled.readout))
    assert left.total == right.total
    for key, value in right.parameters.items():
        np.testing.assert_array_equal(left.parameters[key], value)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_second_order(pooling):
    net, x, pooled, data = problem(pooling, False, True)
    H = curvature(net, x, pooled, ["bias_hh_l0"], **data)
    net.load_state_dict(net.state_dict())
    base = net.state_dict()

    def slope(bias):
        net.load_state_dict({**base, "bias_hh_l0": bias})
        return bptt(net, x, pooled, **data).parameters["bias_hh_l0"]

    v = np.arange(9.0) - 4
    eps = 1e-5
    moved = (slope(base["bias_hh_l0"] + eps * v) - slope(base["bias_hh_l0"] - eps * v)) / (2 * eps)
    np.testing.assert_allclose(H @ v, moved, rtol=1e-5, atol=1e-8)


def test_batches_are_cut_by_sequence(rng):
    x = rng.normal(size=(6, 30, 1))
    labels = (x.mean(axis=(0, 2)) > 0).astype(int)
    net, readout = RNN(1, 4, random_state=0), Linear(4, 2, random_state=1)
    loss = Pooled(CrossEntropy(labels, "mean", readout), "mean")
    fit(net, x, loss, "adam", n_iter=80, lr=0.05, batch_size=10, tol=None)
    assert (readout(net(x)[0].mean(axis=0)).argmax(axis=-1) == labels).mean() > 0.9


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Pooled(3), DataError, "Pooled takes a loss"),
        (lambda: Pooled(SquaredError([0.0]), "sum"), DataError, "'last', 'mean', 'max'"),
        (lambda: Pooled(SquaredError([0.0]), "last", 3), DataError, "1 or 2"),
        (
            lambda: bptt(RNN(1, 2), np.ones((4, 3, 1)), Pooled(EACH_STEP)),
            ShapeError,
            "one row",
        ),
    ],
)
def test_what_does_not_fit(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_batches_take_the_variances_of_their_sequences():

    rng = np.random.default_rng(0)
    x, y, v = rng.normal(size=(5, 6, 2)), rng.normal(size=(6, 1)), rng.uniform(0.1, 2, size=(6, 1))
    whole = Pooled(GaussianNLL(y, v, readout=Linear(3, 1, random_state=1)))
    net = RNN(2, 3, random_state=0)
    rows = np.array([4, 1]), np.array([0, 2, 3, 5])
    parts = [bptt(net, x[:, r], whole.part(r, 5, False)).total for r in rows]
    np.testing.assert_allclose(sum(parts), bptt(net, x, whole).total)
    both = Pooled(Several(whole.loss, SquaredError(y, readout=Linear(3, 1, random_state=2), task="b")))
    parts = [bptt(net, x[:, r], both.part(r, 5, False)).total for r in rows]
    np.testing.assert_allclose(sum(parts), bptt(net, x, both).total)
    assert len(fit(net, x, both, "adam", n_iter=2, batch_size=4, tol=None).losses) == 2
