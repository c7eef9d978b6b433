"""``Discounted``: γ^t times a cost, what comes later counting for less."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError
from rnn.systems.control.checks import positive
from rnn.systems.control.costs.base import Cost, Expansion
from rnn.systems.control.parameters import replaced


class Discounted(Cost):
    """A cost of a step, or of the end, times γ^t.

    Parameters
    ----------
    cost : Cost
        A sum is discounted as a whole.
    factor : float
        γ > 0, 1 for no discount.

    Examples
    --------
    >>> from rnn.systems.control import Energy
    >>> Discounted(Energy(), 0.5).value(np.zeros((3, 1)), np.ones((3, 1)), np.arange(3))
    array([0.5  , 0.25 , 0.125])
    """

    def __init__(self, cost: Cost, factor: float):
        if not isinstance(cost, Cost):
            raise DataError(f"cost must be a Cost, such as SmoothCost(f), got {type(cost).__name__}")
        self.cost, self.factor = cost, np.asarray(positive("factor", factor))

    @property
    def parameters(self):  # type: ignore[override]
        """The factor, and those of the cost."""
        return {"factor": self.factor, **self.cost.parameters}

    def with_parameters(self, others):
        """Some of them exchanged."""
        own = replaced("Discounted", self.parameters, others)
        rest = {name: v for name, v in others.items() if name != "factor"}
        return Discounted(self.cost.with_parameters(rest) if rest else self.cost, float(own["factor"]))

    def check(self, name, states, inputs):
        """Of the cost."""
        self.cost.check(name, states, inputs)

    def _powers(self, t) -> np.ndarray:
        return self.factor ** np.asarray(t, float)

    def value(self, x, u, t):
        """γ^t times its value."""
        return self._powers(t) * self.cost.value(x, u, t)

    def gradient(self, x, u, t):
        """γ^t times its gradient."""
        at_x, at_u = self.cost.gradient(x, u, t)
        power = self._powers(t)[:, None]
        return power * at_x, power * at_u

    def parameter_gradient(self, x, u, t, weights=1.0):
        """Σ t γ^{t−1} cost, and γ^t times those of the cost."""
        weights, steps = np.broadcast_to(weights, len(x)), np.asarray(t, float)
        slope = steps * self.factor ** (steps - 1)
        found = {"factor": np.asarray((weights * slope * self.cost.value(x, u, t)).sum())}
        return found | self.cost.parameter_gradient(x, u, t, weights * self._powers(t))

    def expansion(self, x, u, t):
        """γ^t times its expansion."""
        power = self._powers(t)
        parts = self.cost.expansion(x, u, t)
        return Expansion(*(power.reshape(-1, *[1] * (a.ndim - 1)) * a for a in parts))
