"""Steps from a network's numbers to log tables: rows of a transition, log densities of an emission."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from msgpass import Step
from rnn import softmax
from rnn.neural_hmm.emissions import Emission


def _square(x: np.ndarray) -> np.ndarray:
    """(…, K²) → (…, K, K)."""
    K = round(x.shape[-1] ** 0.5)
    return x.reshape(*x.shape[:-1], K, K)


LOG_ROW = Step(
    softmax.log_softmax,
    vjp=lambda inputs, c: (softmax.pull(inputs[0], c),),
    jvp=lambda inputs, t: softmax.push(inputs[0], t[0]),
    hvp=lambda inputs, c, t: (softmax.bend(inputs[0], c, t[0]),),
    vectorized=True,
)
"""Scores (…, K) → log probabilities."""

LOG_ROWS = Step(
    lambda x: softmax.log_softmax(_square(x)),
    vjp=lambda inputs, c: (softmax.pull(_square(inputs[0]), c).reshape(inputs[0].shape),),
    jvp=lambda inputs, t: softmax.push(_square(inputs[0]), _square(t[0])),
    hvp=lambda inputs, c, t: (softmax.bend(_square(inputs[0]), c, _square(t[0])).reshape(inputs[0].shape),),
    vectorized=True,
)
"""Scores (…, K²) → log probabilities (…, K, K), row = from."""


def _held(table: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The table where a sequence runs; where it has ended, every state stays what it is."""
    stay = np.where(np.eye(table.shape[-1], dtype=bool), 0.0, -np.inf).astype(table.dtype)
    return np.where(mask[..., None] != 0, table, stay)


def _running(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None] != 0, array, 0)


HELD = Step(
    _held,
    vjp=lambda inputs, c: (_onto(inputs[0], _running(c, inputs[1])), None),
    jvp=lambda inputs, t: _running(
        np.broadcast_to(t[0], np.broadcast_shapes(t[0].shape, inputs[1][..., None].shape)), inputs[1]
    ),
    hvp=lambda *_: (None, None),
    vectorized=True,
)
"""Tables (n, B, K, K), or one that all share, and a mask (n, B, 1): identities on padded steps."""


def _onto(like: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
    """Summed over instances where they share the table."""
    return (
        cotangent
        if cotangent.ndim == like.ndim
        else cotangent.sum(axis=tuple(range(cotangent.ndim - like.ndim)))
    )


@lru_cache(maxsize=32)
def density(emission: Emission, states: int) -> Step:
    """Numbers (n, B, K · size) or (K · size,), data and what of them is seen → log densities (n, B, K)."""
    size = emission.size

    def spread(n):
        return n.reshape(*n.shape[:-1], states, size)

    def f(n, y, seen):
        return emission.terms(spread(n), y, seen)[0]

    def vjp(inputs, cotangent):
        n, y, seen = inputs
        slope = emission.terms(spread(n), y, seen)[1] * cotangent[..., None]
        return _onto(n, slope.reshape(*slope.shape[:-2], -1)), None, None

    def jvp(inputs, tangents):
        n, y, seen = inputs
        return (emission.terms(spread(n), y, seen)[1] * spread(tangents[0])).sum(axis=-1)

    def hvp(inputs, cotangent, tangents):
        n, y, seen = inputs
        moved = emission.bend(spread(n), y, seen, spread(tangents[0])) * cotangent[..., None]
        moved = np.broadcast_to(moved, (*cotangent.shape, size))
        return _onto(n, moved.reshape(*moved.shape[:-2], -1)), None, None

    return Step(f, vjp=vjp, jvp=jvp, hvp=hvp, vectorized=True)
