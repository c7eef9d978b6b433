"""``TagChain``: scores of first, of neighbouring and of last tags, and the chain of tables that they make.

    score(z) = start[z_0] + Σ_t output[t, z_t] + Σ_t transition[z_{t−1}, z_t] + end[z_{T−1}]

A batch is one aligned batch of chains. Where sequences are ragged, one state more stands for "ended": it is
entered from the last tag at the price of ``end``, never left, and the only one that padded steps allow. The
graph is then the same for all lengths, and log Z of each sequence is that of its own steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from msgpass import FactorGraph, Step, Table
from msgpass.errors import DataError, ShapeError
from rnn.validation import float_dtype, generator, whole
from rnn.weights import checked, draw

INITIAL = 0.1
"""Scores are drawn uniform on (−0.1, 0.1), so that the network's own scores count first."""


def padded_rows(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(…, K) → (…, K + 1): the scores and −∞ where a sequence runs, −∞ and 0 where it has ended."""
    running = mask != 0
    ended = np.where(running, -np.inf, 0.0).astype(scores.dtype)
    return np.concatenate([np.where(running, scores, -np.inf), ended], axis=-1)


def _padded_rows_vjp(inputs, cotangent):
    return np.where(inputs[1] != 0, cotangent[..., :-1], 0), None


PADDED = Step(
    padded_rows,
    vjp=_padded_rows_vjp,
    jvp=lambda inputs, tangents: np.concatenate(
        [np.where(inputs[1] != 0, tangents[0], 0), np.zeros_like(tangents[0][..., :1])], axis=-1
    ),
    hvp=lambda *_: (None, None),
    vectorized=True,
)


def closed(transition: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(K, K) and (K,) → (K + 1, K + 1): tags may end, what has ended stays so."""
    K = len(end)
    table = np.full((K + 1, K + 1), -np.inf, transition.dtype)
    table[:K, :K], table[:K, K], table[K, K] = transition, end, 0
    return table


def _closed_jvp(inputs, tangents):
    table = np.zeros((len(tangents[1]) + 1,) * 2, inputs[0].dtype)
    table[:-1, :-1], table[:-1, -1] = tangents
    return table


CLOSED = Step(
    closed,
    vjp=lambda _, c: (c[:-1, :-1], c[:-1, -1]),
    jvp=_closed_jvp,
    hvp=lambda *_: (None, None),
)


def _with(value: float) -> Step:
    """A row (K,) and one entry more."""
    return Step(
        lambda row: np.append(row, np.asarray(value, row.dtype)),
        vjp=lambda _, c: (c[:-1],),
        jvp=lambda _, tangents: np.append(tangents[0], np.zeros((), tangents[0].dtype)),
        hvp=lambda *_: (None,),
    )


FIRST, LAST = _with(-np.inf), _with(0.0)


class TagChain:
    """Scores of tags beside each other; give it to a :class:`~rnn.CRF`, which trains it with the network.

    Parameters
    ----------
    classes : int
        Tags K.
    allowed : array of bool (K, K), optional
        Which tag may follow which (row = from); the others have score −∞, whatever is learned.
    dtype : {"float64", "float32"} or dtype
        That of the network.
    random_state : int, Generator or None
        Scores are drawn uniform on (−0.1, 0.1).

    Attributes
    ----------
    weights : dict
        ``start`` (K,), ``transition`` (K, K) with row = from, ``end`` (K,); in a graph ``crf.start``, ….

    Examples
    --------
    >>> TagChain(3, random_state=0).state_dict()["transition"].shape
    (3, 3)
    """

    def __init__(self, classes: int, *, allowed=None, dtype=np.float64, random_state=None):
        self.classes, self.dtype = whole("classes", classes), float_dtype(dtype)
        self.shapes = {"start": (classes,), "transition": (classes, classes), "end": (classes,)}
        self.allowed = None if allowed is None else _mask(allowed, classes)
        self.weights: dict[str, np.ndarray] = {}
        self.reset(random_state)

    def reset(self, random_state=None) -> TagChain:
        """Draw all scores anew."""
        self.weights = draw(self.shapes, INITIAL, self.dtype, generator(random_state))
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the scores."""
        return {key: value.copy() for key, value in self.weights.items()}

    def load_state_dict(self, state: Mapping) -> TagChain:
        """Take in scores; a DataError names missing and unknown keys, a ShapeError a wrong shape."""
        self.weights = checked(state, self.shapes, self.dtype, repr(self))
        return self

    def attach(self, graph: FactorGraph, scores, steps: int, batch: int, names: Mapping, mask=None):
        """Add the chain over the sequence ``scores`` (B, K) to a graph; returns its sequence of tags.

        ``names`` has those of the sequence ("tags") and of the weights ("crf"); ``mask`` is an observation
        (T, B, 1) of 0 where a sequence has ended.
        """
        own, K = names["crf"], self.classes
        start, transition, end = (graph.parameter(f"{own}.{k}", w) for k, w in self.weights.items())
        z = graph.sequence(names["tags"], steps, states=K + (mask is not None), shape=(batch,))
        rows: Any = scores
        first: Any = start
        link: Any = transition
        last: Any = end
        if mask is not None:
            rows = graph.sequence(f"{own}.scores", steps, shape=(batch, K + 1))
            first, last = (graph.variable(f"{own}.{n}", shape=(K + 1,)) for n in ("first", "last"))
            link = graph.variable(f"{own}.link", shape=(K + 1, K + 1))
            graph.factor(PADDED, scores[:], mask[:], out=rows[:], name=f"{own} padding")
            graph.factor(FIRST, start, out=first, name=f"{own} starting")
            graph.factor(CLOSED, transition, end, out=link, name=f"{own} ending")
            graph.factor(LAST, end, out=last, name=f"{own} closing")
        graph.factor(Table(rows[:]), z[:], name=f"{own} evidence")
        graph.factor(Table(first), z[0], name=f"{own} start")
        graph.factor(Table(last), z[-1], name=f"{own} end")
        if steps > 1:
            graph.factor(Table(link), z[:-1], z[1:], name=f"{own} transition")
            if self.allowed is not None:
                forbidden = _forbidden(self.allowed, z.states, self.dtype)
                graph.factor(Table(forbidden), z[:-1], z[1:], name=f"{own} allowed")
        return z

    def __repr__(self) -> str:
        return f"TagChain({self.classes}{'' if self.allowed is None else ', allowed=…'})"


def _forbidden(allowed: np.ndarray, states: int, dtype) -> np.ndarray:
    """0 where a step may go, −∞ where not; what has ended is not spoken of."""
    table, K = np.zeros((states, states), dtype), len(allowed)
    table[:K, :K][~allowed] = -np.inf
    return table


def _mask(allowed, classes: int) -> np.ndarray:
    mask = np.asarray(allowed)
    if mask.dtype != np.bool_:
        raise DataError(f"allowed is an array of True and False, got dtype {mask.dtype}")
    if mask.shape != (classes, classes):
        raise ShapeError(f"allowed has shape {mask.shape}, wanted ({classes}, {classes}): from, to")
    return mask.copy()
