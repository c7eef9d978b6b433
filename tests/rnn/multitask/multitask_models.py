"""Networks with several tasks."""

import numpy as np

from rnn import GRU, LSTM, RNN, CrossEntropy, Linear, PoissonNLL, Several, SquaredError

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def problem(rng, cell="rnn", T=7, B=3, hidden=5, tasks=2, **more):
    """(net, x, losses): a level, a kind and a count."""
    net = CELLS[cell](2, hidden, random_state=0, **more)
    x = rng.normal(size=(T, B, 2))
    losses = [
        SquaredError(rng.normal(size=(T, B, 2)), readout=Linear(hidden, 2, random_state=1), task="level"),
        CrossEntropy(rng.integers(0, 3, size=(T, B)), readout=Linear(hidden, 3, random_state=2), task="kind"),
        PoissonNLL(rng.poisson(2.0, size=(T, B, 1)), readout=Linear(hidden, 1, random_state=3), task="count"),
    ]
    return net, x, losses[:tasks]


def opposed(T=12, B=6, seed=0, hidden=6):
    """(net, x, loss) of two tasks that want the state to be each other's opposite, of different size."""
    rng = np.random.default_rng(seed)
    net, x = RNN(1, hidden, random_state=1), rng.normal(size=(T, B, 1))
    y = np.cumsum(x, axis=0) / 3
    loss = Several(
        SquaredError(y, readout=Linear(hidden, 1, random_state=2), task="a", reduction="mean"),
        SquaredError(-3 * y, readout=Linear(hidden, 1, random_state=2), task="b", reduction="mean"),
    )
    return net, x, loss
