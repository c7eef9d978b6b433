"""``Tableau``: a Runge-Kutta method as numbers.

    k_i = f(t + c_i h, y + h Σ_j a_ij k_j)
    y(t + h) ≈ y + h Σ b_i k_i,      error = h Σ e_i k_i,      y(t + θh) ≈ y + h Σ b_i(θ) k_i

Explicit where a_ij = 0 for j ≥ i; diagonally implicit where a_ij = 0 for j > i. Hairer, Nørsett & Wanner,
*Solving Ordinary Differential Equations I*, II.1 and II.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Tableau:
    """One method.

    Parameters
    ----------
    name : str
    order : int
        Of the result that is carried on (local extrapolation).
    a : tuple of tuples
        Row i has the coefficients of stages 0 … i − 1, and of stage i itself where the stage is implicit.
    b, c : tuples
    error : tuple, optional
        b − b̂, the weights of the embedded error estimate; without it steps are fixed.
    error_order : int
        Order of the embedded result; a step's error is O(h^(error_order + 1)).
    dense : tuple of tuples
        b_i(θ) = Σ_m dense[i][m] θ^(m+1).
    dense_order : int
        The interpolant's global order.

    Examples
    --------
    >>> Tableau("euler", 1, ((),), (1.0,), (0.0,), dense=((1.0,),), dense_order=1).stages
    1
    """

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    error: tuple[float, ...] | None = None
    error_order: int = 0
    dense: tuple[tuple[float, ...], ...] = ()
    dense_order: int = 1
    source: str = ""
    used: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "used", tuple(i for i in range(self.stages) if self._reaches(i)))

    def _reaches(self, i: int) -> bool:
        """Stage i enters y(t + h), itself or through later stages."""
        later = range(i + 1, self.stages)
        return bool(self.b[i]) or any(i < len(self.a[j]) and self.a[j][i] and self._reaches(j) for j in later)

    @property
    def stages(self) -> int:
        """Their number."""
        return len(self.b)

    @property
    def implicit(self) -> bool:
        """Some stage is the solution of an equation."""
        return any(len(row) > i and row[i] for i, row in enumerate(self.a))

    @property
    def adaptive(self) -> bool:
        """Has an error estimate."""
        return self.error is not None

    @property
    def last_is_next(self) -> bool:
        """The last stage is f at the end of the step (FSAL), and so the first stage of the next one."""
        row = self.a[-1]
        padded = row + (0.0,) * (self.stages - len(row))
        return self.stages > 1 and self.c[-1] == 1.0 and padded == self.b and self.starts_explicit

    @property
    def starts_explicit(self) -> bool:
        """The first stage is f at the start of the step."""
        return self.c[0] == 0.0 and not any(self.a[0])

    def matrix(self) -> np.ndarray:
        """a_ij as a square array."""
        found = np.zeros((self.stages, self.stages))
        for i, row in enumerate(self.a):
            found[i, : len(row)] = row
        return found

    def weights(self, theta):
        """b_i(θ), one a stage; θ a number or an array."""
        powers = [theta]
        for _ in range(max(len(row) for row in self.dense) - 1):
            powers.append(powers[-1] * theta)
        return [combination(row, powers) if any(row) else 0.0 for row in self.dense]

    def speeds(self, theta):
        """b_i′(θ)."""
        powers = [1.0, theta]
        for _ in range(max(len(row) for row in self.dense) - 2):
            powers.append(powers[-1] * theta)
        rows = [tuple((m + 1) * w for m, w in enumerate(row)) for row in self.dense]
        return [combination(row, powers) if any(row) else 0.0 for row in rows]


def combination(coefficients, arrays):
    """Σ a_j x_j over the coefficients that are not zero; None where all are."""
    total = None
    for a, x in zip(coefficients, arrays, strict=False):
        if a == 0.0:
            continue
        term = x if a == 1.0 else a * x
        total = term if total is None else total + term
    return total


def hermite(b: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Dense output by the cubic through y and f at both ends, for methods whose first stage is f at the start
    and whose last is f at the end: order 3."""
    rows = []
    for i, weight in enumerate(b):
        linear, square, cube = 0.0, 3.0 * weight, -2.0 * weight
        if i == 0:
            linear, square, cube = linear + 1.0, square - 2.0, cube + 1.0
        if i == len(b) - 1:
            square, cube = square - 1.0, cube + 1.0
        rows.append((linear, square, cube))
    return tuple(rows)
