"""What is believed of a parameter before data are seen: a log density and its slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError

LogPrior = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""A value → (log density, gradient)."""


@dataclass(frozen=True, eq=False)
class Dirichlet:
    """A Dirichlet distribution of each distribution in a table.

    Parameters
    ----------
    concentration : float or array of the table's shape
        1 is flat; 1 + c is c pseudo-counts. Below one, the maximum may lie at zero probability.

    Notes
    -----
    log p = Σ (concentration − 1) θ over the log probabilities θ, without its constant; entries of
    probability zero are the model's structure and no part of it.

    Examples
    --------
    >>> prior = Dirichlet(3.0)
    >>> round(prior(np.log([0.5, 0.5]))[0], 6)
    -2.772589
    """

    concentration: Any = 1.0

    def __post_init__(self) -> None:
        array = np.asarray(self.concentration, np.float64)
        if not np.isfinite(array).all() or (array <= 0).any():
            raise DataError(f"Dirichlet: a concentration is above zero, got {self.concentration!r}")

    @property
    def pseudo_counts(self) -> np.ndarray:
        """Concentration − 1."""
        return np.asarray(self.concentration, np.float64) - 1.0

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise unless the concentration fits a table."""
        try:
            fits = np.broadcast_shapes(self.pseudo_counts.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                f"prior of {name!r}: the concentration has shape {self.pseudo_counts.shape}, wanted one "
                f"number, or an array that fits the table's {shape}"
            )

    def __call__(self, log_values: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density, and its gradient with respect to the log probabilities."""
        extra = np.where(np.isfinite(log_values), self.pseudo_counts, 0.0)
        return float(np.sum(extra * np.where(extra != 0, log_values, 0.0))), extra


@dataclass(frozen=True, eq=False)
class L2:
    """An independent normal distribution of every entry: log p = −½ strength Σ (θ − mean)², without its
    constant.

    Parameters
    ----------
    strength : float
        One over the variance.
    mean : float or array

    Examples
    --------
    >>> L2(2.0)(np.array([1.0, -1.0]))
    (-2.0, array([-2.,  2.]))
    """

    strength: float = 1.0
    mean: Any = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.strength) and self.strength >= 0):
            raise DataError(f"L2: a strength is a number ≥ 0, got {self.strength!r}")

    def __call__(self, value: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and its gradient; entries of −∞ are structure and no part of it."""
        gap = np.where(np.isfinite(value), value - np.asarray(self.mean, np.float64), 0.0)
        return -0.5 * self.strength * float(np.sum(gap * gap)), -self.strength * gap


def as_priors(prior, names) -> dict[str, LogPrior]:
    """One prior for all parameters, or a dict of them by name."""
    if prior is None:
        return {}
    if not isinstance(prior, dict):
        prior = dict.fromkeys(names, prior)
    found = {}
    for key, one in prior.items():
        name = getattr(key, "name", key)
        if name not in names:
            raise DataError(f"prior has {name!r}, which is not learned; what is: {', '.join(names)}")
        if not callable(one):
            raise DataError(
                f"prior of {name!r}: give Dirichlet(…), L2(…), or a function of the value that returns (log "
                f"density, gradient), got {one!r}"
            )
        found[name] = one
    return found
