"""Networks of every kind that goes forward in one direction, with data; and truncation by its definition."""

import numpy as np
from hypothesis import strategies as st

from msgpass import FixedLag, Truncated
from rnn import GRU, LSTM, RNN, CrossEntropy, Linear, Recurrence, SquaredError, bptt

WINDOWS = st.builds(Truncated, st.integers(1, 6), st.integers(1, 8)) | st.builds(FixedLag, st.integers(0, 5))


def leaky(h, m, x, W, U):
    """Two states of different widths."""
    slow = 0.7 * m + 0.3 * np.tanh(x @ U.T)
    return np.tanh(h @ W.T) + slow[..., :1], slow


def recurrence(**k):
    """A function of one's own, stepped one by one."""
    rule = {"W": (3, 3), "U": (2, 2)}
    return Recurrence(leaky, rule, 2, {"h": 3, "m": 2}, vectorized=True, **k)


KINDS = {
    "recurrence": recurrence,
    "tanh": lambda **k: RNN(2, 3, 2, **k),
    "relu": lambda **k: RNN(2, 3, 1, "relu", **k),
    "lstm": lambda **k: LSTM(2, 3, 2, **k),
    "projected lstm": lambda **k: LSTM(2, 3, 1, proj_size=2, **k),
    "gru": lambda **k: GRU(2, 3, 2, **k),
    "learned start": lambda **k: GRU(2, 3, 1, initial="learned", **k),
}


def problem(kind: str, steps: int, batch: int, seed: int):
    """A net, x, targets with some missing, and what makes a loss of targets."""
    rng = np.random.default_rng(seed)
    net = KINDS[kind](random_state=rng)
    readout = Linear(net.output_size, 3, random_state=rng)
    x = rng.normal(size=(steps, batch, 2))
    if seed % 2:
        labels = rng.integers(-1, 3, size=(steps, batch))
        return net, x, labels, lambda y: CrossEntropy(y, readout=readout)
    target = rng.normal(size=(steps, batch, 3))
    target[rng.random(target.shape) < 0.2] = np.nan
    return net, x, target, lambda y: SquaredError(y, readout=readout)


def windows(steps: int, schedule):
    """(first loss, first factor, end) of every window."""
    for end in sorted({*range(schedule.k1, steps + 1, schedule.k1), steps}):
        yield (end - 1) // schedule.k1 * schedule.k1, max(0, end - schedule.k2), end


def by_definition(net, x, target, loss, schedule, h0=None) -> dict:
    """Each window is back-propagation over its own rows, from the state before them, of its own losses."""
    sums: dict = {name: np.zeros_like(w) for name, w in net.weights.items()}
    for first, low, end in windows(len(x), schedule):
        start = h0
        if low:
            _, states = net(x[:low], h0)
            start = states
        own = target[low:end].copy()
        # The losses of a window narrower than its stride begin within it.
        own[: max(0, first - low)] = np.nan if own.dtype.kind == "f" else -1
        m = bptt(net, x[low:end], loss(own), h0=start)
        for name, gradient in m.parameters.items():
            known = name.startswith(("h0", "c0")) and low > 0
            sums[name] = sums.get(name, 0) + (0 if known else gradient)
    return sums


def assert_equal_gradients(found, wanted, rtol=1e-9, atol=1e-12):
    """By name, to rounding."""
    assert set(found) == set(wanted)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=rtol, atol=atol, err_msg=name)
