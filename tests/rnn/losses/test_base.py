"""What all losses share: values by definition, reductions, axes, missing data, what they refuse."""

import numpy as np
import pytest
from hypothesis import given

from msgpass.errors import DataError, ShapeError
from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt
from tests.rnn.loops import problems, value


@given(problems())
def test_value_is_the_definition(problem):
    net, x, h0, loss = problem
    assert bptt(net, x, loss, h0=h0).total == pytest.approx(value(net, x, loss, h0), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("make", [SquaredError, CrossEntropy])
def test_mean_is_the_sum_over_what_is_observed(make, rng):
    net, x = RNN(2, 4, random_state=0), rng.normal(size=(5, 3, 2))
    if make is SquaredError:
        data = rng.normal(size=(5, 3, 4))
        data[rng.random(data.shape) < 0.5] = np.nan
        observed = np.isfinite(data).sum()
    else:
        data = rng.integers(-1, 4, size=(5, 3))
        observed = (data >= 0).sum()
    total, mean = bptt(net, x, make(data)), bptt(net, x, make(data, "mean"))
    assert mean.total == pytest.approx(total.total / observed)
    for key in net.weights:
        np.testing.assert_allclose(
            mean.parameters[key], total.parameters[key] / observed, rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_nothing_observed_says_nothing(reduction):
    net, x = RNN(1, 2, random_state=0), np.ones((3, 1))
    for loss in (SquaredError(np.full((3, 2), np.nan), reduction), CrossEntropy([-1, -1, -1], reduction)):
        m = bptt(net, x, loss)
        assert m.total == 0
        assert not any(m.parameters[key].any() for key in net.weights)


def test_data_follow_the_axes_of_x(rng):
    x, target, labels = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3, 5)), rng.integers(5, size=(4, 3))
    net = RNN(2, 5, random_state=0)
    turned = RNN(2, 5, batch_first=True).load_state_dict(net.weights)
    for make, data in ((SquaredError, target), (CrossEntropy, labels)):
        wanted = bptt(net, x, make(data)).total
        assert bptt(turned, x.swapaxes(0, 1), make(data.swapaxes(0, 1))).total == pytest.approx(
            wanted, rel=1e-13
        )
        each = [bptt(net, x[:, b], make(data[:, b])).total for b in range(3)]
        assert sum(each) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: SquaredError(np.zeros((3, 1, 2)), "max"), DataError, "reduction.*'sum', 'mean'"),
        (lambda: SquaredError(0, readout=np.eye(2)), DataError, "readout must be a Linear"),
        (lambda: SquaredError(np.zeros((3, 2))), ShapeError, r"target has shape \(3, 2\).*\(3, 1, 2\)"),
        (lambda: SquaredError("abc"), DataError, "target must hold real numbers"),
        (lambda: SquaredError(np.full((3, 1, 2), np.inf)), DataError, "target.*infinite"),
        (
            lambda: SquaredError(np.zeros((3, 1, 1)), readout=Linear(3, 1)),
            ShapeError,
            "reads 3 features.*2 outputs",
        ),
        (
            lambda: SquaredError(np.zeros((3, 1, 1)), readout=Linear(2, 1, dtype="float32")),
            DataError,
            "float32.*float64",
        ),
        (
            lambda: CrossEntropy([[0], [2], [1]]),
            DataError,
            r"labels hold 2 at \(1, 0\); there are 2 classes, from 0 to 1",
        ),
        (lambda: CrossEntropy([[0], [-2], [1]]), DataError, "labels hold -2"),
        (lambda: CrossEntropy([[0], [0.5], [1]]), DataError, "whole numbers"),
        (lambda: CrossEntropy([["a"], ["b"], ["c"]]), DataError, "whole numbers"),
        (lambda: CrossEntropy([0, 1, 1]), ShapeError, r"labels has shape \(3,\)|labels have shape \(3,\)"),
        (lambda: None, DataError, "needs a loss"),
        (lambda: "mse", DataError, "loss must be SquaredError"),
    ],
)
def test_wrong_losses(make, error, words):
    with pytest.raises(error, match=words):
        bptt(RNN(1, 2), np.zeros((3, 1, 1)), make())


def test_bptt_takes_a_network():
    with pytest.raises(DataError, match="takes a network"):
        bptt(Linear(1, 1), np.zeros((3, 1)), SquaredError(np.zeros((3, 1))))
