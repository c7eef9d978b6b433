"""What a period costs, with slopes: of stock at its end, and of orders.

stock    h y⁺ + b (−y)⁺ + ½ q (y − target)², and b for each unit lost
orders   c x + ½ q x² + K [x > 0]               (K has slope 0)
"""

from __future__ import annotations

import numpy as np

from rnn.systems.inventory.network import Network
from rnn.systems.kinks import Kink

ROUNDING = 1e-9
"""A policy's order that is smaller is what sums leave of 0, and pays no fixed cost."""


def _column(things, field) -> np.ndarray:
    return np.array([getattr(t, field) for t in things], float)


class Costs:
    """Values and slopes over (…, columns) arrays."""

    def __init__(self, network: Network, kink: Kink, smooth: bool):
        self.network, self.kink, self.smooth = network, kink, smooth
        f, s = network.facilities, network.supplies
        self.holding, self.backlog = _column(f, "holding"), _column(f, "backlog")
        self.curve, self.target = _column(f, "quadratic"), _column(f, "target")
        self.unit, self.bend, self.fixed = _column(s, "cost"), _column(s, "quadratic"), _column(s, "fixed")

    def stock(self, state, width=None):
        """Holding, shortage and quadratic cost of each facility, each (…, F)."""
        y, positive = state[..., : len(self.holding)], self.kink.positive
        held, short = self.holding * positive(y, width), self.backlog * positive(-y, width)
        for i, column in self.network.lost.items():
            short[..., i] = self.backlog[i] * state[..., column]
        return held, short, 0.5 * self.curve * (y - self.target) ** 2

    def stock_slope(self, state, width=None) -> np.ndarray:
        """Of all three, with respect to the state."""
        F = len(self.holding)
        y, slope, found = state[..., :F], self.kink.slope, np.zeros_like(state)
        short = self.backlog * slope(-y, width)
        for i, column in self.network.lost.items():
            short[..., i], found[..., column] = 0.0, self.backlog[i]
        found[..., :F] = self.holding * slope(y, width) - short + self.curve * (y - self.target)
        return found

    def orders(self, placed):
        """Of each arc, (…, A)."""
        return self.unit * placed + 0.5 * self.bend * placed**2 + self.fixed * (placed > ROUNDING)

    def stock_loss(self, state, weight, width=None):
        """Summed value and gradients, for a ``Loss``."""
        w = weight[..., None, None]
        value = sum(float(np.sum(w * part)) for part in self.stock(state, width))
        return value, (w * self.stock_slope(state, width), None, None)[: 2 + self.smooth]

    def order_loss(self, placed, weight):
        """Summed value and gradients, for a ``Loss``."""
        w = weight[..., None, None]
        return float(np.sum(w * self.orders(placed))), (w * (self.unit + self.bend * placed), None)
