"""``Parity``: how many variables are on, modulo two."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from msgpass.errors import DataError
from msgpass.kernels.structured import parity_messages
from msgpass.potentials.structured.base import Parts, Structured, check_shape, log, part_of
from msgpass.potentials.structured.logic import binary_links


class Parity(Structured):
    """x_1 ⊕ … ⊕ x_a = target: a parity check (XOR).

    Parameters
    ----------
    target : 0, 1, or array of them, one an instance
        0: an even number of ones. A target that is observed is one more variable: ``Parity()`` over
        ``x[0], x[1], syndrome[0]``.

    Examples
    --------
    Two noisy bits say what the third must be:

    >>> m = np.log([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]])
    >>> np.exp(Parity().log_messages(m)[0, 2]).round(2).tolist()  # .9·.2 + .1·.8, .9·.8 + .1·.2
    [0.26, 0.74]
    """

    least = 1
    axes: ClassVar = {"target": 0}

    def __init__(self, target=0):
        part = part_of("parities", target)
        value = part if isinstance(part, np.ndarray) else np.nan
        if not np.isin(value, (0, 1)).all():
            raise DataError(
                f"Parity: a target is 0 (even) or 1 (odd), got {target!r}; observed targets are variables"
            )
        self.parts = {"target": np.asarray(part)} if np.any(value) else {}

    def check_parts(self, factor) -> None:
        """One target, or one an instance."""
        if self.parts:
            check_shape(factor, "target", self.parts["target"], ())

    def links(self, arity: int, parts: Parts, states: int = 2) -> list[np.ndarray]:
        """Hidden: the parity so far."""
        middle = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]])
        chain = binary_links(arity, middle, np.eye(2))
        if not self.parts:
            return chain
        odd = parts["target"].astype(bool)[:, None, None, None]
        return [*chain[:-1], np.where(odd, chain[-1][:, :, ::-1], chain[-1])]

    def compiled_messages(self, incoming, maximise, parts) -> np.ndarray:
        """By log-ratios."""
        odd = parts["target"].astype(bool) if self.parts else np.zeros(1, bool)
        return parity_messages(incoming, odd, self.links(incoming.shape[1], parts), maximise)

    def log_weight(self, states, parts) -> np.ndarray:
        """0 where the parity is right, else −∞."""
        target = parts["target"].astype(int)[:, None] if self.parts else 0
        return log(states.sum(axis=-1) % 2 == target)
