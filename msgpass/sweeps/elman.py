"""Elman's recurrence h_t = act(W_ih x_t + b + W_hh h_{t−1}) as a compiled sweep: ``Step(kernel="tanh" |
"relu")``.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np

from msgpass.kernels.elman_reference import ACTIVATIONS
from msgpass.sweeps.recurrence import outside_tangents, zero_tangents
from msgpass.sweeps.recurrence_formula import Formula, Found
from msgpass.sweeps.rows import read


class Elman(Formula):
    """With the activation ``kernel``; weights W_ih (H, I), W_hh (H, H) and up to two biases (H,)."""

    masked = True
    resumes = True

    def __init__(self, kernel: str):
        self.kernel = kernel
        self.text = f"h ← {kernel}(W h + U x + b)"
        self._act, self._slope = ACTIVATIONS[kernel]

    @cached_property
    def kernels(self):
        """Their module, which loads Numba."""
        return import_module("msgpass.kernels.elman")

    def weights(self, count, inputs, hidden):
        """(W_ih, W_hh, biases)."""
        return ((hidden, inputs), (hidden, hidden), *((hidden,),) * (count - 2)) if 2 <= count <= 4 else None

    def step(self, states, x, weights):
        """In NumPy."""
        w_ih, w_hh, *biases = weights
        act: Any = self._act
        return (act(states[0] @ w_hh.T + x @ w_ih.T + sum(biases)),)

    def forward(self, x, weights, starts, mask, *, reverse, keep):
        """By `msgpass.kernels.elman.forward`; h is all that has to be kept."""
        w_ih, w_hh, *biases = weights
        bias = sum(biases[1:], biases[0]) if biases else np.zeros(len(w_hh), x.dtype)
        return (
            self.kernels.forward(x, w_ih, w_hh, bias, starts[0], self.kernel, mask, reverse=reverse),
        ), None

    def backward(self, cotangents, x, states, weights, starts, mask, kept, *, reverse, inputs, carried):
        """By `msgpass.kernels.elman.backward`."""
        w_ih, w_hh, *biases = weights
        found = self.kernels.backward(
            cotangents[0],
            x,
            states[0],
            starts[0],
            w_ih,
            w_hh,
            self.kernel,
            mask,
            want_inputs=inputs,
            want_carried=carried,
            reverse=reverse,
        )
        told = None if found.carried is None else (found.carried,)
        return Found((found.w_ih, found.w_hh, *(found.bias for _ in biases)), (found.h0,), found.inputs, told)

    def tangent(self, sweep, tangents) -> None:
        """ḣ_t = u_t + act'(h_t) W_hh ḣ_{t−1}, with one stacked JVP for what comes from outside, u."""
        zero_tangents(sweep.block, tangents)
        inputs = [read(sweep.family, a, sweep.values) for a in sweep.family.args]
        (outside,) = outside_tangents(sweep.family, inputs, tangents)
        w_hh, out = sweep.weights()[1], sweep.roles.outs[0].name
        slope: Any = self._slope
        moved = np.array(outside)
        for rows, _ in sweep.pieces():
            h, part = sweep.values[out][rows], moved[rows]
            carry = slope(h)
            order = range(len(part) - 2, -1, -1) if sweep.reverse else range(1, len(part))
            for t in order:
                part[t] += carry[t] * (part[t + 1 if sweep.reverse else t - 1] @ w_hh.T)
        tangents[out] = moved


FORMULAS = {kernel: Elman(kernel) for kernel in ACTIVATIONS}
