"""``Controller``: from the errors of the last steps to the next step size.

    h ← h · clip(safety · ε_n^(−(p + i + d)/k) ε_{n−1}^((p + 2d)/k) ε_{n−2}^(−d/k)),    k = error order + 1

with ε the error in units of the tolerance. Söderlind, *Digital filters in adaptive time-stepping*, 2003.
With p = 0.2, i = 0.65 these are Hairer & Wanner's α = 0.85/k, β = 0.2/k (II, IV.2); i = 1 alone is the
elementary controller.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgpass.errors import DataError

TINY = 1e-10  # errors below count as this


@dataclass(frozen=True)
class Controller:
    """A PID controller of the step size.

    Parameters
    ----------
    p, i, d : float
        Proportional, integral and derivative coefficients.
    safety : float
    min_factor, max_factor : float
        Bounds of one change.

    Examples
    --------
    >>> Controller(p=0, i=1).factor(4, (0.5, 1.0, 1.0)) > 1
    True
    """

    p: float = 0.2
    i: float = 0.65
    d: float = 0.0
    safety: float = 0.9
    min_factor: float = 0.2
    max_factor: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.safety <= 1 or not 0 < self.min_factor <= 1 <= self.max_factor:
            raise DataError(
                "Controller: wanted 0 < safety ≤ 1 and 0 < min_factor ≤ 1 ≤ max_factor, got "
                f"{self.safety}, {self.min_factor}, {self.max_factor}"
            )
        if self.p + self.i + self.d <= 0:
            raise DataError("Controller: p + i + d must be positive, or errors would not reduce the step")

    def exponents(self, error_order: int) -> tuple[float, float, float]:
        """Of the last three errors."""
        k = error_order + 1
        return -(self.p + self.i + self.d) / k, (self.p + 2 * self.d) / k, -self.d / k

    def factor(self, error_order: int, errors: tuple[float, float, float]) -> float:
        """Of the step after one that was accepted; errors from the last back."""
        change = self.safety
        for exponent, error in zip(self.exponents(error_order), errors, strict=True):
            if exponent:
                change *= max(error, TINY) ** exponent
        return min(max(change, self.min_factor), self.max_factor)

    def shrink(self, error_order: int, error: float) -> float:
        """After a step that was rejected."""
        return min(max(self.safety * error ** (-1 / (error_order + 1)), self.min_factor), 0.9)
