"""A recurrent network as plain loops over time, the oracle of outputs; and random networks."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from rnn import RNN, CrossEntropy, Linear, SquaredError

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}


def layer(weights, suffix: str, x, h, act) -> np.ndarray:
    """States of one layer and direction over x (T, B, I)."""
    zero = np.zeros(len(weights[f"weight_hh{suffix}"]))
    bias = weights.get(f"bias_ih{suffix}", zero) + weights.get(f"bias_hh{suffix}", zero)
    states = np.zeros((*x.shape[:2], len(zero)))
    times = range(len(x))
    for t in reversed(times) if suffix.endswith("_reverse") else times:
        for b in range(x.shape[1]):
            h[b] = act(weights[f"weight_ih{suffix}"] @ x[t, b] + weights[f"weight_hh{suffix}"] @ h[b] + bias)
            states[t, b] = h[b]
    return states


def forward(net: RNN, x: np.ndarray, h0: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Output and last states of a net on x (T, B, I)."""
    act, last = ACTIVATIONS[net.nonlinearity], []
    h0 = np.zeros((len(net.suffixes), x.shape[1], net.hidden_size)) if h0 is None else h0
    for k in range(net.num_layers):
        outputs = []
        for suffix in net.suffixes[k * (1 + net.bidirectional) : (k + 1) * (1 + net.bidirectional)]:
            h = h0[len(last)].copy()
            outputs.append(layer(net.weights, suffix, x, h, act))
            last.append(h)
        x = np.concatenate(outputs, axis=-1)
    return x, np.stack(last)


def value(net: RNN, x, loss, h0=None) -> float:
    """A loss by its definition, over x (T, B, I)."""
    output, _ = forward(net, x, h0)
    if loss.readout is not None:
        output = output @ loss.readout.weights["weight"].T + loss.readout.weights.get("bias", 0)
    total, count = 0.0, 0
    for t in range(x.shape[0]):
        for b in range(x.shape[1]):
            if isinstance(loss, CrossEntropy):
                if loss.labels[t, b] >= 0:
                    total += np.logaddexp.reduce(output[t, b]) - output[t, b, loss.labels[t, b]]
                    count += 1
                continue
            for o, y in zip(output[t, b], loss.target[t, b], strict=True):
                if not np.isnan(y):
                    total += 0.5 * (o - y) ** 2
                    count += 1
    return total / max(count, 1) if loss.reduction == "mean" else total


@st.composite
def networks(draw, nonlinearities=("tanh", "relu")) -> tuple[RNN, np.ndarray, np.ndarray]:
    """A small net, inputs (T, B, I) and initial states."""
    sizes = st.integers(1, 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    net = RNN(
        draw(sizes),
        draw(st.integers(1, 4)),
        draw(sizes),
        draw(st.sampled_from(nonlinearities)),
        bias=draw(st.booleans()),
        bidirectional=draw(st.booleans()),
        random_state=rng,
    )
    batch = draw(sizes)
    x = rng.normal(size=(draw(st.integers(1, 6)), batch, net.input_size))
    return net, x, rng.normal(size=(len(net.suffixes), batch, net.hidden_size))


@st.composite
def problems(draw, nonlinearities=("tanh", "relu")):
    """A net with data, and a loss of random kind with some data missing."""
    net, x, h0 = draw(networks(nonlinearities))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = draw(st.integers(1, 3))
    readout = (
        Linear(net.output_size, width, draw(st.booleans()), random_state=rng) if draw(st.booleans()) else None
    )
    width = width if readout else net.output_size
    missing = draw(st.sampled_from([0.0, 0.3, 1.0]))
    reduction = draw(st.sampled_from(["sum", "mean"]))
    if draw(st.booleans()):
        labels = rng.integers(width, size=x.shape[:2])
        labels[rng.random(labels.shape) < missing] = -1
        return net, x, h0, CrossEntropy(labels, reduction, readout)
    target = rng.normal(size=(*x.shape[:2], width))
    target[rng.random(target.shape) < missing] = np.nan
    return net, x, h0, SquaredError(target, reduction, readout)
