"""Peepholes of the input and forget gates: z_i += w_ci ∘ c_{t−1}, z_f += w_cf ∘ c_{t−1}."""

from __future__ import annotations

import numpy as np

from msgpass import Step
from rnn.affine import flat
from rnn.cells.rules import plus, rules


def with_peepholes(inner: Step) -> Step:
    """``affine(h, c, x, …)`` with w_ci and w_cf as two further weights at the end."""
    affine = rules(inner)

    def peeped(z, c, w_ci, w_cf):
        H = c.shape[-1]
        z[..., :H] += c * w_ci
        z[..., H : 2 * H] += c * w_cf
        return z

    def f(*inputs):
        return peeped(affine.f(*inputs[:-2]), inputs[1], *inputs[-2:])

    def two(cotangent, c):
        H = c.shape[-1]
        return cotangent[..., :H], cotangent[..., H : 2 * H]

    def vjp(inputs, cotangent):
        c, (w_ci, w_cf) = inputs[1], inputs[-2:]
        i, f = two(cotangent, c)
        found = list(affine.vjp(inputs[:-2], cotangent))
        found[1] = plus(found[1], i * w_ci + f * w_cf)
        return *found, flat(i * c).sum(axis=0), flat(f * c).sum(axis=0)

    def jvp(inputs, tangents):
        z = np.array(affine.jvp(inputs[:-2], tangents[:-2]))
        peeped(z, tangents[1], *inputs[-2:])
        return peeped(z, inputs[1], *tangents[-2:])

    def hvp(inputs, cotangent, tangents):
        c, c_dot = inputs[1], tangents[1]
        i, f = two(cotangent, c)
        found = list(affine.hvp(inputs[:-2], cotangent, tangents[:-2]))
        found[1] = plus(found[1], i * tangents[-2] + f * tangents[-1])
        return *found, flat(i * c_dot).sum(axis=0), flat(f * c_dot).sum(axis=0)

    return Step(f, vjp=vjp, jvp=jvp, vectorized=True, hvp=hvp)
