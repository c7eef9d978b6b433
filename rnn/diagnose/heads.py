"""How a read head spreads a gradient over the slots that it looks at.

r = w M, so that what arrives at the slots is w ⊗ ∂L/∂r: its length is |w| |∂L/∂r|, and the largest share that
goes to one slot is max w. A head on one slot passes all of it; one that spreads over N slots passes 1/√N, and
1/N to each: a signal that is dispersed rather than one that has vanished through time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class Focus:
    """How sharp weightings are, step by step.

    Attributes
    ----------
    effective_slots : array (T, B, …)
        1 / Σ w², from 1 (one slot) to N (all alike).
    passed : array (T, B, …)
        |w|, the share of a gradient's length that reaches the slots, from 1 to 1/√N.
    largest : array (T, B, …)
        max w, the share that reaches the slot looked at most.
    """

    effective_slots: np.ndarray
    passed: np.ndarray
    largest: np.ndarray

    def __repr__(self) -> str:
        slots, share = self.effective_slots.mean(), self.largest.mean()
        return f"<Focus: looks at {slots:.3g} slots, the first of which hears {share:.0%} of a gradient>"


def focus(weightings) -> Focus:
    """Focus of weightings, the last axis being the slots or positions that are looked at.

    Parameters
    ----------
    weightings : array (T, B, …, N)
        ``m.forward["w_read"]`` of a :class:`rnn.Memory`, or attention weights.

    Examples
    --------
    >>> focus(np.full((1, 1, 4), 0.25))
    <Focus: looks at 4 slots, the first of which hears 25% of a gradient>
    """
    w = np.asarray(weightings)
    if w.ndim == 0 or w.dtype.kind != "f" or (w < 0).any() or not np.allclose(w.sum(axis=-1), 1, atol=1e-5):
        raise DataError(
            "focus takes weightings: numbers ≥ 0 that sum to one over the last axis, such as "
            'm.forward["w_read"] of a memory'
        )
    squares = (w * w).sum(axis=-1)
    return Focus(1 / squares, np.sqrt(squares), w.max(axis=-1))


def read_focus(m: Messages, name: str = "w_read") -> Focus:
    """Focus of the read heads of a run of a :class:`rnn.Memory`."""
    return focus(m.forward[name])
