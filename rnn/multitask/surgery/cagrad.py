"""Conflict-averse gradients (Liu et al. 2021): as good for the worst task as a ball around the mean allows.

    d = argmax min_k g_k·d  within ‖d − g₀‖ ≤ c ‖g₀‖,      g₀ the mean of the g_k

Its dual is min_w g_w·g₀ + c ‖g₀‖ ‖g_w‖ over the simplex, g_w = Σ w_k g_k, and d = g₀ + c ‖g₀‖ g_w / ‖g_w‖.
With ‖g_w‖ = min_τ ½ (‖g_w‖²/τ + τ) that is a search for one number τ, each of whose trials is the point of
the hull nearest to −τ g₀, found exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import NumericalError
from rnn.multitask.surgery.hull import TOLERANCE, nearest
from rnn.training.surgery import Surgery
from rnn.validation import not_negative

SMALLEST = 1e-7
"""The least τ that is tried: below, the hull holds the origin up to rounding."""


@dataclass(frozen=True)
class CAGrad(Surgery):
    """Near the mean gradient, and best for the worst-off task.

    Parameters
    ----------
    c : float ≥ 0
        Radius of the ball, relative to the mean. 0 is the mean gradient; a large one goes in MGDA's
        direction.

    Examples
    --------
    >>> CAGrad(0.0)([[2.0, 0.0], [0.0, 1.0]]).direction
    array([1. , 0.5])
    """

    c: float = 0.5

    def __post_init__(self) -> None:
        not_negative("c", self.c)

    def weights(self, gradients: np.ndarray, count: int) -> np.ndarray:
        """1/K + w_k / τ."""
        mean = np.full(len(gradients), 1 / len(gradients))
        g0 = gradients.mean(axis=0)
        radius = self.c * float(np.linalg.norm(g0))
        if not radius:
            return mean
        found, dual = self._search(gradients, g0, radius)
        found = mean + found
        d = found @ gradients
        misses = max(dual - float((gradients @ d).min()), float(np.linalg.norm(d - g0)) - radius)
        if misses > 1e3 * TOLERANCE * max(1.0, radius):
            raise NumericalError(f"CAGrad's direction was not found: it misses the optimum by {misses:.1e}")
        return found

    def _search(self, G: np.ndarray, g0: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
        """(w / τ at the τ where ‖g_w‖ = τ · radius, value of the dual at w), which no direction exceeds.

        Gradients come in units in which the longest is 1.
        """
        from scipy.optimize import brentq

        def scaled(tau: float) -> np.ndarray:
            return nearest(G, -tau * g0) / tau

        def excess(log_tau: float) -> float:
            return float(np.linalg.norm(scaled(np.exp(log_tau)) @ G)) - radius

        shortest = float(np.linalg.norm(nearest(G) @ G))
        low, high = np.log(max(0.5 * shortest / radius, SMALLEST)), np.log(2 * max(1 / radius, 1.0))
        if (
            excess(low) <= 0
        ):  # the hull holds the origin: nothing is above 0, and the ball holds some d that is not below
            within = scaled(np.exp(low)) @ G
            return np.linalg.lstsq(G.T, within, rcond=1e-10)[0], 0.0  # without multiples that cancel
        found = scaled(np.exp(brentq(excess, low, high, xtol=1e-14, rtol=8.9e-16)))
        g_w = found @ G / found.sum()
        return found, float(g_w @ g0 + radius * np.linalg.norm(g_w))
