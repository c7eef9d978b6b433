"""Small problems that the tests of training share."""

import numpy as np

from rnn import LSTM, RNN, CrossEntropy, Linear, SquaredError


def batch(n=12, steps=7, *, dropout=0.0, dtype="float64", ragged=False, kind=RNN):
    """(net, x, loss, data): the running mean of noise, as regression."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(steps, n, 2))
    y = np.cumsum(x.sum(axis=-1, keepdims=True), axis=0) / 3
    net = kind(2, 4, 2 if dropout else 1, dropout=dropout, dtype=dtype, random_state=0)
    loss = SquaredError(y, "mean", Linear(4, 1, dtype=dtype, random_state=1))
    return net, x, loss, {"lengths": rng.integers(1, steps + 1, n)} if ragged else {}


def signs(n=12, steps=7):
    """(net, x, loss): one label a step."""
    x = np.random.default_rng(4).normal(size=(steps, n, 1))
    return LSTM(1, 3, random_state=0), x, CrossEntropy((x[..., 0] > 0).astype(int), "mean", Linear(3, 2))


def everything(net, loss, history):
    """All that a fit leaves, to be compared bit by bit."""
    arrays = {**net.state_dict(), **loss.weights}
    course = history.losses, history.validation, history.rates, history.best, history.best_epoch
    return {k: v.tobytes() for k, v in arrays.items()}, course, history.updates
