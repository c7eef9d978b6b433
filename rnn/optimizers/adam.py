"""Adam (Kingma & Ba 2015), with decoupled weight decay AdamW (Loshchilov & Hutter 2019).

m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
θ ← (1 − η λ) θ − η (m / (1 − β₁ᵏ)) / (√(v / (1 − β₂ᵏ)) + ε)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn.optimizers.base import Optimizer
from rnn.validation import fraction, not_negative, positive


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps along the mean gradient, over the root of its mean square.

    Parameters
    ----------
    beta1, beta2 : float in [0, 1)
        How slowly both means forget.
    eps : float
        Added to the root.
    weight_decay : float
        λ; above 0 this is AdamW.

    Examples
    --------
    >>> import numpy as np
    >>> adam = Adam()
    >>> state = adam.start(np.array([1.0, -1.0]))
    >>> new = {name: np.empty(2) for name in state}
    >>> adam.step(state, np.array([3.0, -0.2]), 0.1, 1, new)
    >>> new["weights"].round(6)
    array([ 0.9, -0.9])
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        fraction("beta1", self.beta1), fraction("beta2", self.beta2)
        positive("eps", self.eps), not_negative("weight_decay", self.weight_decay)

    @property
    def memory(self) -> tuple[str, ...]:
        """What it remembers."""
        return ("mean", "square")

    def move(self, old, gradient, rate, count, new) -> None:
        """One update."""
        mean, square, weights = new["mean"], new["square"], new["weights"]
        np.multiply(old["mean"], self.beta1, out=mean)
        mean += (1 - self.beta1) * gradient
        np.multiply(old["square"], self.beta2, out=square)
        change = gradient * gradient
        change *= 1 - self.beta2
        square += change
        np.divide(square, 1 - self.beta2**count, out=change)
        np.sqrt(change, out=change)
        change += self.eps
        np.divide(mean, change, out=change)
        change *= rate / (1 - self.beta1**count)
        np.multiply(old["weights"], 1 - rate * self.weight_decay, out=weights)
        weights -= change
