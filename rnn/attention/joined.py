"""Several vectors as one: y = act(W [a; b; …] + b) with act the identity or tanh.

    VJP   z̄ = act' ȳ;   [ā; b̄; …] = Wᵀ z̄,   W̄ = Σ z̄ [a; b; …]ᵀ,   b̄ = Σ z̄
    HVP   the VJP's tangent, with that of z̄ being −2 y (1 − y²) ż ȳ for tanh

The bridge from encoder to decoder, and Luong's output tanh(W [c; s]), are both this.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from msgpass import Step
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.beside import cut, side_by_side


@cache
def joined_step(tanh: bool) -> Step:
    """The vectorised step; inputs (a, b, …, weight, bias)."""

    def parts(inputs):
        *vectors, w, bias = inputs
        return side_by_side(*vectors), w, bias

    def join(*inputs):
        x, w, bias = parts(inputs)
        z = times(x, w) + bias
        return np.tanh(z) if tanh else z

    def at_z(inputs, cotangent):
        return cotangent * (1 - join(*inputs) ** 2) if tanh else cotangent

    def early(inputs, cotangent):
        z = at_z(inputs, cotangent)
        return (*cut(times_transposed(z, inputs[-2]), inputs[:-2]), None, None)

    def late(inputs, cotangent):
        z = at_z(inputs, cotangent)
        x = parts(inputs)[0]
        return (*(None for _ in inputs[:-2]), weight_cotangent(z, x), flat(z).sum(axis=0))

    def inward(inputs, tangents):
        (x, w, _), (x_dot, w_dot, bias_dot) = parts(inputs), parts(tangents)
        return times(x_dot, w) + times(x, w_dot) + bias_dot

    def jvp(inputs, tangents):
        z_dot = inward(inputs, tangents)
        return z_dot * (1 - join(*inputs) ** 2) if tanh else z_dot

    def hvp(inputs, cotangent, tangents):
        (x, w, _), (x_dot, w_dot, _) = parts(inputs), parts(tangents)
        z, y = at_z(inputs, cotangent), join(*inputs)
        at_x, at_w = times_transposed(z, w_dot), weight_cotangent(z, x_dot)
        if not tanh:
            return (*cut(at_x, inputs[:-2]), at_w, None)
        z_dot = -2 * cotangent * y * (1 - y * y) * inward(inputs, tangents)
        at_x = at_x + times_transposed(z_dot, w)
        return (*cut(at_x, inputs[:-2]), at_w + weight_cotangent(z_dot, x), flat(z_dot).sum(axis=0))

    return Step(join, jvp=jvp, vectorized=True, hvp=hvp, split=(early, late))
