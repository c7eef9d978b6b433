"""``Scale``: columns brought to mean 0 and standard deviation 1, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scale:
    """x ↦ (x − mean) / deviation, column by column.

    Examples
    --------
    >>> scale = Scale.of(np.array([[0.0, 5.0], [2.0, 5.0]]))
    >>> scale.there(np.array([[2.0, 6.0]]))
    array([[1., 1.]])
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Scale:
        """Of rows (n, D) that may miss cells; a column that does not vary keeps its unit."""
        seen = np.maximum((~np.isnan(rows)).sum(axis=0), 1)
        mean = np.nansum(rows, axis=0) / seen
        deviation = np.sqrt(np.nansum((rows - mean) ** 2, axis=0) / seen)
        flat = ~(deviation > 1e-12 * np.maximum(np.abs(mean), 1))
        return cls(mean, np.where(flat, 1.0, deviation))

    @classmethod
    def none(cls, columns: int) -> Scale:
        """As they are."""
        return cls(np.zeros(columns), np.ones(columns))

    def there(self, x: np.ndarray) -> np.ndarray:
        """Into mean 0 and deviation 1."""
        return (x - self.mean) / self.deviation

    def back(self, x: np.ndarray) -> np.ndarray:
        """Into the user's units."""
        return x * self.deviation + self.mean
