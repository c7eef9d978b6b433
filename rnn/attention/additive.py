"""Additive attention (Bahdanau, Cho & Bengio 2015): score = vᵀ tanh(W q + U m (+ b)).

    z = tanh(W q + k),   e = scale · vᵀ z,   a = weights_of(e)
    VJP   ē = scale · softmax'(a) ā,   ū = ē v (1 − z²);   q̄ = Wᵀ Σ_s ū,  k̄ = Σ_n ū,  v̄ = Σ ē z,  W̄ = Σ ū qᵀ

tanh over (n, S, B, A) is what costs, so that its VJP is taken in one piece and over a few steps at a time.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from msgpass import Step
from rnn.affine import flat, times, times_transposed, weight_cotangent
from rnn.attention.base import Score, Shapes
from rnn.attention.weights import weights_of
from rnn.softmax import through_softmax

CHUNK = 1 << 17
"""Numbers of z at once: 1 MB, which stays in the second cache."""


def _pieces(query: np.ndarray, keys: np.ndarray) -> list[slice]:
    """Stretches of decoder steps."""
    width = max(1, CHUNK // keys.size)
    return [slice(k, k + width) for k in range(0, len(query), width)]


@cache
def additive_step(scale: float, masked: bool) -> Step:
    """The vectorised step; inputs (query, keys[, mask], weight_query, v)."""

    def parts(inputs):
        query, keys, *rest = inputs
        return query, keys, rest[0] if masked else None, *rest[-2:]

    def hidden(moved, keys):
        return np.tanh(moved[:, None] + keys)

    def scores(z, v):
        return scale * np.swapaxes(np.reshape(flat(z) @ v, z.shape[:-1]), 1, 2)

    def attend(*inputs):
        query, keys, mask, w, v = parts(inputs)
        moved = times(query, w)
        found = [weights_of(scores(hidden(moved[s], keys), v), mask) for s in _pieces(query, keys)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def vjp(inputs, cotangent):
        query, keys, mask, w, v = parts(inputs)
        moved = times(query, w)
        at_moved, at_keys, at_v = [], 0, 0
        for s in _pieces(query, keys):
            z = hidden(moved[s], keys)
            e = scale * through_softmax(weights_of(scores(z, v), mask), cotangent[s])
            e = np.swapaxes(e, 1, 2)
            at_v = at_v + e.reshape(-1) @ flat(z)
            u = e[..., None] * (v * (1 - z * z))
            at_moved.append(u.sum(axis=1))
            at_keys = at_keys + (u[0] if len(u) == 1 else u.sum(axis=0))
        u = at_moved[0] if len(at_moved) == 1 else np.concatenate(at_moved)
        head = (times_transposed(u, w), at_keys, None) if masked else (times_transposed(u, w), at_keys)
        return (*head, weight_cotangent(u, query), at_v)

    def jvp(inputs, tangents):
        query, keys, mask, w, v = parts(inputs)
        query_dot, keys_dot, _, w_dot, v_dot = parts(tangents)
        moved, moved_dot = times(query, w), times(query_dot, w) + times(query, w_dot)
        found = []
        for s in _pieces(query, keys):
            z = hidden(moved[s], keys)
            e_dot = scores((1 - z * z) * (moved_dot[s][:, None] + keys_dot), v) + scores(z, v_dot)
            found.append(through_softmax(weights_of(scores(z, v), mask), e_dot))
        return np.concatenate(found)

    return Step(attend, vjp=vjp, jvp=jvp, vectorized=True)


def _shapes(query: int, memory: int, size: int | None, bias: bool) -> Shapes:
    assert size is not None
    shapes: Shapes = {"weight_memory": (size, memory)}
    if bias:
        shapes["bias"] = (size,)
    return shapes | {"weight_query": (size, query), "v": (size,)}


ADDITIVE = Score(additive_step, _shapes, ("weight_memory", "bias"), sized=True)
