"""Dot-product attention: score = q · k (Luong, Pham & Manning 2015), with k = m, or k = W m ("general").

    e = scale · q · k,   a = weights_of(e)
    VJP   ē = scale · softmax'(a) ā;   q̄ = Σ_s ē k,   k̄ = Σ_n ē q

Scaled (Vaswani et al. 2017): scale = 1/√d for vectors of d numbers, and with ``size=d`` both are projected
first, q ← W_q q and k = W_k m.
"""

from __future__ import annotations

from functools import cache

from msgpass import Step
from rnn.affine import times, times_transposed, weight_cotangent
from rnn.attention.base import Score, Shapes
from rnn.attention.products import match, mix, spread
from rnn.attention.weights import weights_of
from rnn.softmax import through_softmax


@cache
def dot_step(scale: float, masked: bool, projected: bool = False) -> Step:
    """The vectorised step; inputs (query, keys[, mask][, weight_query])."""

    def parts(inputs):
        query, keys, *rest = inputs
        return query, keys, rest[0] if masked else None, rest[-1] if projected else None

    def rotated(query, w):
        return query if w is None else times(query, w)

    def attend(*inputs):
        query, keys, mask, w = parts(inputs)
        return weights_of(scale * match(rotated(query, w), keys), mask)

    def at_scores(query, keys, mask, w, cotangent):
        weights = weights_of(scale * match(rotated(query, w), keys), mask)
        return scale * through_softmax(weights, cotangent)

    def early(inputs, cotangent):
        query, keys, mask, w = parts(inputs)
        found = mix(at_scores(query, keys, mask, w, cotangent), keys)
        at_query = found if w is None else times_transposed(found, w)
        return (at_query, *(None for _ in inputs[1:]))

    def late(inputs, cotangent):
        query, keys, mask, w = parts(inputs)
        e = at_scores(query, keys, mask, w, cotangent)
        rest = (None,) if masked else ()
        if w is not None:
            rest = (*rest, weight_cotangent(mix(e, keys), query))
        return (None, spread(e, rotated(query, w)), *rest)

    def jvp(inputs, tangents):
        query, keys, mask, w = parts(inputs)
        query_dot, keys_dot, _, w_dot = parts(tangents)
        moved = rotated(query, w)
        moved_dot = query_dot if w is None else times(query_dot, w) + times(query, w_dot)
        e_dot = match(moved_dot, keys) + match(moved, keys_dot)
        return scale * through_softmax(weights_of(scale * match(moved, keys), mask), e_dot)

    return Step(attend, jvp=jvp, vectorized=True, split=(early, late))


def _no_weights(query: int, memory: int, size: int | None, bias: bool) -> Shapes:
    return {}


def _general(query: int, memory: int, size: int | None, bias: bool) -> Shapes:
    return {"weight_memory": (query, memory)}


def _projected(query: int, memory: int, size: int | None, bias: bool) -> Shapes:
    if size is None:
        return {}
    return {"weight_memory": (size, memory), "weight_query": (size, query)}


def scaled_step(scale: float, masked: bool) -> Step:
    """With both projected."""
    return dot_step(scale, masked, projected=True)


DOT = Score(dot_step, _no_weights)
GENERAL = Score(dot_step, _general, ("weight_memory",))
SCALED = Score(dot_step, _no_weights, scale=lambda query, size: query**-0.5)
PROJECTED = Score(
    scaled_step, _projected, ("weight_memory",), lambda query, size: (size or query) ** -0.5, sized=True
)
