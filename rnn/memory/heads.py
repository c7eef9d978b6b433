"""What a controller tells its heads: one affine map of its state, a row of numbers for each head."""

from __future__ import annotations

from functools import cache

from msgpass import Step
from rnn.affine import flat, times, times_transposed, weight_cotangent


@cache
def instruct(heads: int) -> Step:
    """``instruct(h (…, H), W (heads · P, H), b (heads · P,))`` → rows (…, heads, P)."""

    def rows(z):
        return z.reshape(*z.shape[:-1], heads, -1)

    def instruct(h, w, b):
        return rows(times(h, w) + b)

    def vjp(inputs, cotangent):
        h, w, _ = inputs
        z = cotangent.reshape(*cotangent.shape[:-2], -1)
        return times_transposed(z, w), weight_cotangent(z, h), flat(z).sum(axis=0)

    def jvp(inputs, tangents):
        (h, w, _), (h_dot, w_dot, b_dot) = inputs, tangents
        return rows(times(h_dot, w) + times(h, w_dot) + b_dot)

    def hvp(inputs, cotangent, tangents):
        z = cotangent.reshape(*cotangent.shape[:-2], -1)
        return times_transposed(z, tangents[1]), weight_cotangent(z, tangents[0]), None

    return Step(instruct, vjp, jvp, vectorized=True, hvp=hvp)
