"""Coefficients of a stationary autoregression, by partial autocorrelations r_k = tanh u_k.

Levinson's and Durbin's recursion makes coefficients of them, for k = 1 … p

    φ⁽ᵏ⁾_k = r_k,    φ⁽ᵏ⁾_j = φ⁽ᵏ⁻¹⁾_j − r_k φ⁽ᵏ⁻¹⁾_{k−j},  j < k,

and an autoregression is stationary exactly if all |r_k| < 1 (Barndorff-Nielsen & Schou 1973, Monahan 1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.coordinates.base import Domain
from hmm.coordinates.numbers import AT_END


def from_partial(r: np.ndarray) -> np.ndarray:
    """Coefficients φ (p,) from partial autocorrelations (p,).

    >>> from_partial(np.array([0.5, 0.2])).round(3)
    array([0.4, 0.2])
    """
    phi = r[:0]
    for own in r:
        phi = np.append(phi - own * phi[::-1], own)
    return phi


def to_partial(phi: np.ndarray) -> np.ndarray:
    """Partial autocorrelations (p,) of a stationary autoregression; at least one |r| ≥ 1 if it is not."""
    r = np.empty(len(phi))
    for k in range(len(phi) - 1, -1, -1):
        r[k] = phi[k]
        if not abs(r[k]) < 1:
            return np.full(len(r), r[k])
        phi = (phi[:k] + r[k] * phi[:k][::-1]) / (1 - r[k] ** 2)
    return r


def partial_pullback(r: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """∂f/∂r from ∂f/∂φ: the recursion backwards."""
    found = np.empty(len(r))
    for k in range(len(r) - 1, -1, -1):
        earlier = from_partial(r[:k])
        found[k] = slope[k] - slope[:k] @ earlier[::-1]
        slope = slope[:k] - r[k] * slope[:k][::-1]
    return found


@dataclass(frozen=True, eq=False)
class Stationary(Domain):
    """Coefficients (p,) for which 1 − φ_1 z − … − φ_p zᵖ has all its roots outside the unit circle.

    Held coefficients are held together: where one is, all are.

    Parameters
    ----------
    sign : {1, −1}
        −1 for moving averages, which are invertible if 1 + θ_1 z + … + θ_q z^q has its roots there.

    Examples
    --------
    >>> phi, held = np.array([0.4, 0.2]), np.zeros(2, bool)
    >>> np.tanh(Stationary().outward(phi, phi, held)).round(3)
    array([0.5, 0.2])
    """

    sign: int = 1
    by_state = False

    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        return np.full(like.shape, not held.any())

    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        if held.any():
            return np.zeros(value.shape)
        return np.arctanh(to_partial(self.sign * value))

    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        return like if held.any() else self.sign * from_partial(np.tanh(coordinates))

    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        if held.any():
            return np.zeros(value.shape)
        r = to_partial(self.sign * value)
        return self.sign * partial_pullback(r, slope) * (1 - r**2)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return np.full(value.shape, bool(np.abs(to_partial(self.sign * value)).max(initial=0.0) > 1 - AT_END))
