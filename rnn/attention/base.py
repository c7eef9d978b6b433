"""What :class:`~rnn.attention.Attention` needs to know of a score, and how to add one.

A score says how well a query q, a row of the decoder, matches a memory row m of the source:

    keys[s] = U m[s] (+ b)         once for every row of the source, or the rows themselves
    attention = softmax over s of scale · score(q, keys[s])

A new one is a file with such a step and a line in ``SCORES``. Rows are (n, B, features) of n decoder steps;
keys and mask are whole sources, (S, B, features) and (S, B, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgpass import Step

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Score:
    """One way to compare a query with the rows of a source.

    Attributes
    ----------
    step : callable
        ``step(scale, masked)`` → the vectorised Step ``(query, keys[, mask], *weights)`` → weights (n, B, S).
    shapes : callable
        ``shapes(query, memory, size, bias)`` → shapes of the weights by key.
    key_weights : tuple of str
        Those, of what ``shapes`` names, that make keys from memory; the step reads the others in order.
    scale : callable
        ``scale(query, size)`` → the factor of the scores where none is given.
    sized : bool
        Has a number of features of its own, ``size``.
    """

    step: Callable[[float, bool], Step]
    shapes: Callable[[int, int, int | None, bool], Shapes]
    key_weights: tuple[str, ...] = ()
    scale: Callable[[int, int | None], float] = lambda query, size: 1.0
    sized: bool = False
