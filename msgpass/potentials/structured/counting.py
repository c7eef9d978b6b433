"""``AtMostOne``, ``ExactlyOne`` and ``Pool``: choices."""

from __future__ import annotations

import numpy as np

from msgpass.potentials.structured.base import Parts, Structured, log
from msgpass.potentials.structured.logic import binary_links

_COUNT = np.array([[[1, 0], [0, 1]], [[0, 1], [0, 0]]])  # hidden: how many were on, 0 or 1


class AtMostOne(Structured):
    """No two variables are on.

    Examples
    --------
    >>> np.exp(AtMostOne().log_partition(np.zeros((1, 5, 2)))).round(6).tolist()  # none, or one of five
    [6.0]
    """

    least = 1

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: whether one was on."""
        return binary_links(arity, _COUNT, [[1, 1], [1, 0]])

    def log_weight(self, states, parts) -> np.ndarray:
        """0 where at most one is on, else −∞."""
        return log(states.sum(axis=-1) <= 1)


class ExactlyOne(Structured):
    """One variable is on, and no other.

    Examples
    --------
    >>> m = np.log([[[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]]])
    >>> np.exp(ExactlyOne().log_messages(m)[0, 0]).round(2).tolist()
    [0.5, 0.45]
    """

    least = 1

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: whether one was on."""
        return binary_links(arity, _COUNT, [[0, 1], [1, 0]])

    def log_weight(self, states, parts) -> np.ndarray:
        """0 where one is on, else −∞."""
        return log(states.sum(axis=-1) == 1)


class Pool(Structured):
    """x_1, …, x_d, out: where the last variable is off, so are all others; where it is on, one of them is.

    Max-pooling of a sparse layer (PGMax's PoolFactor, indicator last).

    Examples
    --------
    >>> np.exp(Pool().log_partition(np.zeros((1, 4, 2)))).round(6).tolist()  # all off, or one of three
    [4.0]
    """

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: whether one was on."""
        return binary_links(arity, _COUNT, np.eye(2))

    def log_weight(self, states, parts) -> np.ndarray:
        """0 where as many choices are on as the indicator says, else −∞."""
        return log(states[..., :-1].sum(axis=-1) == states[..., -1])
