"""The law of mass action: v_r = k_r Π_j c_j^{o_rj}, dc/dt = N v, with first derivatives.

``forward`` is straight-line NumPy over single numbers, to be traced; ``parts`` and the Jacobians are
vectorised over leading axes.
"""

from __future__ import annotations

import numpy as np


class MassAction:
    """Of orders (R, S) and a stoichiometric matrix N (S, R)."""

    def __init__(self, orders: np.ndarray, stoichiometry: np.ndarray):
        self.orders, self.stoichiometry = orders, stoichiometry
        R, S = orders.shape
        self.factors = [[(j, float(orders[r, j])) for j in range(S) if orders[r, j]] for r in range(R)]
        self.changes = [
            [(r, float(stoichiometry[i, r])) for r in range(R) if stoichiometry[i, r]] for i in range(S)
        ]
        # Factors padded to one width: a padding is the species 0 to the power 0.
        width = max((len(f) for f in self.factors), default=0) or 1
        self.species = np.zeros((R, width), int)
        self.powers = np.zeros((R, width))
        for r, factors in enumerate(self.factors):
            for q, (j, order) in enumerate(factors):
                self.species[r, q], self.powers[r, q] = j, order
        self.scatter = np.zeros((R, width, S))
        np.put_along_axis(self.scatter, self.species[..., None], 1.0, axis=2)

    def forward(self, c, k):
        """dc/dt of c (…, S) from k, R numbers."""
        rates = []
        for r, factors in enumerate(self.factors):
            rate = k[r]
            for j, order in factors:
                rate = rate * power(c[..., j], order)
            rates.append(rate)
        return np.stack(
            [self._change(i, changes, c, rates) for i, changes in enumerate(self.changes)], axis=-1
        )

    def _change(self, i, changes, c, rates):
        total = 0.0 * c[..., i]  # of c's batch, where a source is the only change
        for r, n in changes:
            rate = rates[r]
            total = total + (rate if n == 1.0 else -rate if n == -1.0 else n * rate)
        return total

    def monomials(self, c: np.ndarray) -> np.ndarray:
        """Π_j c_j^{o_rj}, (…, R)."""
        return np.prod(self._powers(c), axis=-1)

    def _powers(self, c: np.ndarray) -> np.ndarray:
        # A power of 0 is a padding, whatever c is there.
        return c[..., self.species] ** self.powers

    def slopes(self, c: np.ndarray) -> np.ndarray:
        """∂monomials/∂c, (…, R, S)."""
        values = self._powers(c)
        inner = np.where(self.powers == 0, 1.0, self.powers - 1)
        own = np.where(self.powers == 0, 0.0, self.powers * c[..., self.species] ** inner)
        width = values.shape[-1]
        parts = []
        for q in range(width):
            rest = own[..., q]
            for p in range(width):
                if p != q:
                    rest = rest * values[..., p]
            parts.append(rest)
        return np.einsum("...rq,rqs->...rs", np.stack(parts, axis=-1), self.scatter)

    def jacobian(self, c: np.ndarray, k: np.ndarray) -> np.ndarray:
        """∂(N v)/∂c, (…, S, S)."""
        return self.stoichiometry @ (k[:, None] * self.slopes(c))


def power(x, order: float):
    """x^order, small whole orders as products."""
    if order == 1.0:
        return x
    if order == 2.0:
        return x * x
    if order == 3.0:
        return x * x * x
    return x**order
