"""RMSprop (Hinton 2012; centred, Graves 2013), as torch has it.

v ← α v + (1 − α) g²,   a ← α a + (1 − α) g   (a = 0 unless centred)
b ← μ b + g / (√(v − a²) + ε),    θ ← θ − η b
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn.optimizers.base import Optimizer
from rnn.validation import flag, fraction, not_negative, positive


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps along the gradient over the root of its mean square.

    Parameters
    ----------
    alpha : float in [0, 1)
        How slowly the mean square forgets.
    eps : float
    momentum : float in [0, 1)
    centered : bool
        Divide by the gradient's standard deviation instead.
    weight_decay : float
        λ of a penalty ½ λ θ² in the gradient.
    """

    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        fraction("alpha", self.alpha), fraction("momentum", self.momentum), flag("centered", self.centered)
        positive("eps", self.eps), not_negative("weight_decay", self.weight_decay)

    @property
    def memory(self) -> tuple[str, ...]:
        """What it remembers."""
        return ("square", *(("mean",) if self.centered else ()), *(("velocity",) if self.momentum else ()))

    def move(self, old, gradient, rate, count, new) -> None:
        """One update."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * old["weights"]
        square, weights = new["square"], new["weights"]
        change = gradient * gradient
        change *= 1 - self.alpha
        np.multiply(old["square"], self.alpha, out=square)
        square += change
        if self.centered:
            mean = new["mean"]
            np.multiply(old["mean"], self.alpha, out=mean)
            mean += (1 - self.alpha) * gradient
            np.subtract(square, mean * mean, out=change)
            np.maximum(change, 0, out=change)  # rounding may leave it below
            np.sqrt(change, out=change)
        else:
            np.sqrt(square, out=change)
        change += self.eps
        np.divide(gradient, change, out=change)
        if self.momentum:
            change += self.momentum * old["velocity"]
            new["velocity"][...] = change
        np.multiply(change, -rate, out=weights)
        weights += old["weights"]
