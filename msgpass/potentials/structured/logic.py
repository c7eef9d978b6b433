"""``Or`` and ``And``: the last variable is what the others amount to."""

from __future__ import annotations

import numpy as np

from msgpass.potentials.structured.base import Parts, Structured, log


class Or(Structured):
    """out = x_1 ∨ … ∨ x_d, the last variable being the outcome.

    Examples
    --------
    >>> Or().log_partition(np.zeros((1, 3, 2))).round(6).tolist()  # one value of out for each x
    [1.386294]
    """

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: whether one was on."""
        middle = np.array([[[1, 0], [0, 1]], [[0, 1], [0, 1]]])
        return binary_links(arity, middle, np.eye(2))

    def log_weight(self, states, parts) -> np.ndarray:
        """0 where the outcome is right, else −∞."""
        return log(states[..., :-1].any(axis=-1) == states[..., -1])


class And(Structured):
    """out = x_1 ∧ … ∧ x_d, the last variable being the outcome.

    Examples
    --------
    >>> np.exp(And().log_messages(np.log([[[0.5, 0.5], [0.1, 0.9], [1, 1]]]))[0, 2]).round(2).tolist()
    [0.55, 0.45]
    """

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: whether all were on."""
        middle = np.array([[[1, 0], [1, 0]], [[1, 0], [0, 1]]])
        return binary_links(arity, middle, np.eye(2), start=1)

    def log_weight(self, states, parts) -> np.ndarray:
        """0 where the outcome is right, else −∞."""
        return log(states[..., :-1].all(axis=-1) == states[..., -1])


def binary_links(arity: int, middle, last, start: int = 0) -> list[np.ndarray]:
    """Chain of one 0/1 table ``middle[h, x, h']`` for all but the last variable, ``last[h, x]`` for it."""
    table = log(np.asarray(middle, float))[None]
    final = log(np.asarray(last, float))[None, :, :, None]
    if arity == 1:
        return [final[:, start : start + 1]]
    return [table[:, start : start + 1], *[table] * (arity - 2), final]
