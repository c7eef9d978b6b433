"""What a network needs to know of a cell, and how to add one.

A cell is a vectorised :class:`msgpass.Step` with the inputs (states before, x, w_ih, w_hh[, b_ih, b_hh])
and the states after as outputs, of shape (B, H) each. Its weights have ``gates`` · H rows. One new file
with such a step (its ``vjp``, ``jvp`` and ``hvp`` for speed), and a network class that names it, is a new
cell: stacking, directions, state dicts, losses and training come with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgpass import Step


@dataclass(frozen=True)
class Cell:
    """One recurrent step.

    Attributes
    ----------
    step : Step
        ``step(*states, x, w_ih, w_hh[, b_ih, b_hh])`` → the new states.
    gates : int
        Rows of the weights, in units of H.
    states : tuple of str
        Names of the states; the first is the output.
    """

    step: Step
    gates: int = 1
    states: tuple[str, ...] = ("h",)
