"""Long short-term memory as a compiled sweep: ``Step(kernel="lstm")`` with the outputs h and c."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.kernels.lstm_reference import sigmoid
from msgpass.sweeps.recurrence_formula import Formula, Found


class Lstm(Formula):
    """Weights W_ih (4 H, I), W_hh (4 H, H) and up to two biases (4 H,); rows i, f, g, o."""

    kernel = "lstm"
    text = "(h, c) ← (o tanh(c), f c + i g), (i, f, g, o) = (σ, σ, tanh, σ)(W h + U x + b)"
    states, gates, masked = 2, 4, True

    def weights(self, count, inputs, hidden):
        """(W_ih, W_hh, biases)."""
        if not 2 <= count <= 4:
            return None
        return ((4 * hidden, inputs), (4 * hidden, hidden), *((4 * hidden,),) * (count - 2))

    def step(self, states, x, weights):
        """In NumPy."""
        (h, c), (w_ih, w_hh, *biases) = states, weights
        i, f, g, o = np.split(h @ w_hh.T + x @ w_ih.T + sum(biases), 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def forward(self, x, weights, starts, mask, *, reverse, keep):
        """By `msgpass.kernels.lstm.forward`; the gates are kept."""
        from msgpass.kernels import lstm

        w_ih, w_hh, *biases = weights
        bias = sum(biases[1:], biases[0]) if biases else np.zeros(len(w_hh), x.dtype)
        h0, c0 = starts
        h, c, gates = lstm.forward(x, w_ih, w_hh, bias, h0, c0, mask, reverse=reverse, keep=keep)
        return (h, c), gates

    def backward(self, cotangents, x, states, weights, starts, mask, kept, *, reverse, inputs, carried):
        """By `msgpass.kernels.lstm.backward`."""
        from msgpass.kernels import lstm

        w_ih, w_hh, *biases = weights
        (at_h, at_c), (h, c), (h0, c0) = cotangents, states, starts
        asked: Any = {"reverse": reverse, "inputs": inputs, "carried": carried}
        found = lstm.backward(at_h, at_c, x, h, c, kept, h0, c0, w_ih, w_hh, mask, **asked)
        heard: Any = (found.carried_h, found.carried_c) if carried else None
        weight_gradients = found.w_ih, found.w_hh, *(found.bias for _ in biases)
        return Found(weight_gradients, (found.h0, found.c0), found.x, heard)


FORMULAS = {"lstm": Lstm()}
