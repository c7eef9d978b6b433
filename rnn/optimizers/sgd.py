"""Stochastic gradient descent with momentum (Polyak 1964), or Nesterov's (Sutskever et al. 2013).

b ← μ b + g,      θ ← θ − η b,      with Nesterov's    θ ← θ − η (g + μ b)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError
from rnn.optimizers.base import Optimizer
from rnn.validation import flag, fraction, not_negative


@dataclass(frozen=True)
class SGD(Optimizer):
    """Steps along the gradient, with a velocity.

    Parameters
    ----------
    momentum : float in [0, 1)
    nesterov : bool
        Take the gradient's step ahead of the velocity's; needs momentum.
    weight_decay : float
        λ of a penalty ½ λ θ² in the gradient.
    """

    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        fraction("momentum", self.momentum), not_negative("weight_decay", self.weight_decay)
        if flag("nesterov", self.nesterov) and not self.momentum:
            raise DataError("nesterov=True needs momentum above 0, such as 0.9")

    @property
    def memory(self) -> tuple[str, ...]:
        """What it remembers."""
        return ("velocity",) if self.momentum else ()

    def move(self, old, gradient, rate, count, new) -> None:
        """One update."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * old["weights"]
        change, weights = gradient, new["weights"]
        if self.momentum:
            velocity = new["velocity"]
            np.multiply(old["velocity"], self.momentum, out=velocity)
            velocity += gradient
            change = gradient + self.momentum * velocity if self.nesterov else velocity
        np.multiply(change, -rate, out=weights)
        weights += old["weights"]
