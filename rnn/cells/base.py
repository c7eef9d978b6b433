"""What a network needs to know of a cell.

A cell is one vectorised :class:`msgpass.Step`, the names and widths of its states, and its weights by role.
Stacking, directions, ragged batches, state dicts, losses and training come with the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgpass import Step
from msgpass.errors import UnsupportedError

Shapes = Mapping[str, tuple[int, ...]]


def equal_widths(states: int) -> Callable[[int], tuple[int, ...]]:
    """All states have H numbers."""
    return lambda hidden: (hidden,) * states


def gate_shapes(gates: int, bias: bool = True) -> Callable[[int, int], Shapes]:
    """Torch's weights of a cell with ``gates`` · H rows and an H-dimensional output."""

    def shapes(inputs: int, hidden: int) -> Shapes:
        rows = gates * hidden
        weights = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden)}
        return weights | ({"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {})

    return shapes


@dataclass(frozen=True)
class Cell:
    """One recurrent step.

    Attributes
    ----------
    step : Step
        ``step(*states, x, *weights)`` → the new states; rows are (n, B, features), n instances.
    shapes : callable
        ``shapes(inputs, hidden)`` → ordered dict from role to shape, in the order of the step's weights. A
        role becomes a key by the ending of its layer and direction: ``weight_ih_l0_reverse``.
    states : tuple of str
        Names of the states; the first is the output.
    widths : callable, optional
        ``widths(hidden)`` → numbers of each state; all have H by default.
    affine, combine : Step, optional
        The two halves, for graphs with ``gates=True``: ``affine(*states, x, *early)`` → pre-activations, and
        ``combine(gates, *states, *late)`` → the new states.
    late : tuple of str
        Roles that ``combine`` reads; ``affine`` reads the others.
    gates : int
        Pre-activations in units of H.
    """

    step: Step
    shapes: Callable[[int, int], Shapes]
    states: tuple[str, ...] = ("h",)
    widths: Callable[[int], tuple[int, ...]] | None = None
    affine: Step | None = None
    combine: Step | None = None
    late: tuple[str, ...] = ()
    gates: int = 1

    def sizes(self, hidden: int) -> tuple[int, ...]:
        """Numbers of each state."""
        return (self.widths or equal_widths(len(self.states)))(hidden)

    def halves(self) -> tuple[Step, Step]:
        """``affine`` and ``combine``."""
        if self.affine is None or self.combine is None:
            raise UnsupportedError(
                "this cell is one step and has no pre-activations of its own; gates=True needs a Cell with "
                "affine= and combine="
            )
        return self.affine, self.combine
