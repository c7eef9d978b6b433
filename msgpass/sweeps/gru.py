"""The gated recurrent unit as a compiled sweep: ``Step(kernel="gru")``."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module

import numpy as np

from msgpass.kernels import gru_reference
from msgpass.sweeps.recurrence_formula import Formula, Found


class Gru(Formula):
    """Weights W_ih (3 H, I), W_hh (3 H, H) and both biases (3 H,) or none, in torch's order r, z, n."""

    kernel = "gru"
    text = (
        "r = σ(W_ir x + b_ir + W_hr h + b_hr), z alike, n = tanh(W_in x + b_in + r (W_hn h + b_hn)), "
        "h ← (1 − z) n + z h"
    )
    gates = 3
    masked = True

    @cached_property
    def kernels(self):
        """Their module, which loads Numba."""
        return import_module("msgpass.kernels.gru")

    def weights(self, count, inputs, hidden):
        """(W_ih, W_hh) or (W_ih, W_hh, b_ih, b_hh)."""
        rows = 3 * hidden
        return ((rows, inputs), (rows, hidden), *((rows,),) * (count - 2)) if count in (2, 4) else None

    def step(self, states, x, weights):
        """In NumPy."""
        (h,) = states
        _, z, n, _ = gru_reference.gates(x, h, *_with_biases(weights))
        return ((1 - z) * n + z * h,)

    def forward(self, x, weights, starts, mask, *, reverse, keep):
        """By `msgpass.kernels.gru.forward`, whose gates are kept."""
        h, kept = self.kernels.forward(x, *_with_biases(weights), starts[0], mask, reverse=reverse, keep=keep)
        return (h,), kept

    def backward(self, cotangents, x, states, weights, starts, mask, kept, *, reverse, inputs, carried):
        """By `msgpass.kernels.gru.backward`."""
        found = self.kernels.backward(
            cotangents[0],
            x,
            states[0],
            starts[0],
            *_with_biases(weights),
            kept,
            mask,
            reverse=reverse,
            want_inputs=inputs,
            want_carried=carried,
        )
        biases = (found.b_ih, found.b_hh) if len(weights) == 4 else ()
        told = None if found.carried is None else (found.carried,)
        return Found((found.w_ih, found.w_hh, *biases), (found.h0,), found.inputs, told)


def _with_biases(weights) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All four weights: zero biases where there are none."""
    w_ih, w_hh, *biases = weights
    b_ih, b_hh = biases or (np.zeros(len(w_ih), w_ih.dtype),) * 2
    return w_ih, w_hh, b_ih, b_hh


FORMULAS = {"gru": Gru()}
