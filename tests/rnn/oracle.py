"""Every cell with every option as a loop over sequences and steps, the oracle of networks."""

from __future__ import annotations

import numpy as np

from rnn import GRU, LSTM
from tests.rnn.architectures import Case


def sigmoid(z):
    """The definition."""
    return 1 / (1 + np.exp(-z))


def norm(u):
    """Mean 0 and variance 1, up to ε."""
    return (u - u.mean()) / np.sqrt(u.var() + 1e-5)


def step(net, w: dict, x: np.ndarray, h: np.ndarray, c: np.ndarray | None):
    """One step of one sequence; w by role."""
    a, b = w["weight_ih"] @ x, w["weight_hh"] @ h
    if net.layer_norm:
        a, b = norm(a) * w["norm_ih"], norm(b) * w["norm_hh"]
    a, b = a + w.get("bias_ih", 0), b + w.get("bias_hh", 0)
    if isinstance(net, GRU):
        (xr, xz, xn), (hr, hz, hn) = np.split(a, 3), np.split(b, 3)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        return (1 - z) * np.tanh(xn + r * hn) + z * h, None
    if not isinstance(net, LSTM):
        return (np.tanh(a + b) if net.nonlinearity == "tanh" else np.maximum(a + b, 0)), None
    i, f, g, o = np.split(a + b, 4)
    i, f = i + w.get("weight_ci", 0) * c, f + w.get("weight_cf", 0) * c
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    m = sigmoid(o + w.get("weight_co", 0) * new) * np.tanh(new)
    return (w["weight_hr"] @ m if net.proj_size else m), new


def direction(net, suffix: str, below: np.ndarray, starts, lengths):
    """States of one layer and direction over ``below`` (T, B, I); the last ones."""
    w = {k.removesuffix(suffix): v for k, v in net.weights.items() if k.endswith(suffix)}
    steps, batch = below.shape[:2]
    out = np.zeros((steps, batch, len(starts[0][0])))
    last = [[], []]
    for b in range(batch):
        h, c = starts[0][b], starts[1][b] if len(starts) > 1 else None
        times = range(lengths[b])
        for t in reversed(times) if suffix.endswith("_reverse") else times:
            h, c = step(net, w, below[t, b], h, c)
            out[t, b] = h
        last[0].append(h)
        last[1].append(c)
    return out, [np.array(v) for v in last[: len(starts)]]


def forward(case: Case, h0=None, masks=None):
    """Output (T, B, ·), 0 beyond the ends, and the last states; ``h0`` None is what the net starts from."""
    net = case.net
    x = case.x.swapaxes(0, 1) if net.batch_first else case.x
    steps, batch = x.shape[:2]
    lengths = np.full(batch, steps) if case.lengths is None else case.lengths
    states: list[list[np.ndarray]] = [[] for _ in net.cell.states]
    for layer in range(net.num_layers):
        outputs = []
        for d in range(1 + net.bidirectional):
            k = layer * (1 + net.bidirectional) + d
            suffix = net.suffixes[k]
            starts = []
            for s, (state, n) in enumerate(
                zip(net.cell.states, net.cell.sizes(net.hidden_size), strict=True)
            ):
                row = net.weights.get(f"{state}0{suffix}", np.zeros(n))
                starts.append(np.tile(row, (batch, 1)) if h0 is None else h0[s][k])
            out, last = direction(net, suffix, x, starts, lengths)
            outputs.append(out)
            for kept, v in zip(states, last, strict=True):
                kept.append(v)
        x = np.concatenate(outputs, axis=-1)
        if masks is not None and layer < net.num_layers - 1:
            x = x * masks[layer]
    return x, [np.stack(v) for v in states]
