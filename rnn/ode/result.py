"""``OdeGradient``: what arrives at the start, the parameters and the save times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from msgpass import Messages
from rnn.ode.solution import Solution

Reader = tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]
"""∂L/∂(save times) and λ, made when they are asked for: a checkpointed run goes again for them."""


@dataclass(frozen=True)
class OdeGradient:
    """What :func:`odeint_gradient` returns.

    Attributes
    ----------
    loss : float
    y0 : ndarray, like y0
        ∂L/∂y0.
    params : as ``params``
        ∂L/∂params: an array, a dict of arrays, or None.
    t : ndarray (S,)
        ∂L/∂t of every save time, the steps between two of them moving in proportion.
    costates : ndarray (N + 1, *shape)
        λ = ∂L/∂(state) at ``times``, what is saved there included.
    times : ndarray (N + 1,)
        Where the costates are: ends of steps (discrete), save times (adjoint).
    solution : Solution
    messages : Messages, or None
        Of the discrete gradient: ``messages.gradient["y"]``, ``["h"]``, ``messages.parameters``. Under
        schedules other than Sequential the run's total is Σ ∂L/∂y · y.
    evaluations : int
        Of the adjoint's right-hand side, each with one VJP of f.
    """

    loss: float
    y0: np.ndarray
    params: Any
    times: np.ndarray = field(repr=False)
    solution: Solution
    read: Reader = field(repr=False)
    messages: Messages | None = field(default=None, repr=False)
    evaluations: int = 0

    @cached_property
    def t(self) -> np.ndarray:
        """∂L/∂(save times)."""
        return self.read[0]()

    @cached_property
    def costates(self) -> np.ndarray:
        """λ."""
        return self.read[1]()
