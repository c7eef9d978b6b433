"""From the user's axes to the graph's, (T, B, features), and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import ShapeError


@dataclass(frozen=True)
class Layout:
    """How one call lays out its arrays: (T, B, ·), with ``batch_first`` (B, T, ·), unbatched (T, ·)."""

    steps: int
    batch: int
    batched: bool
    batch_first: bool

    @classmethod
    def of(cls, x: np.ndarray, features: int, batch_first: bool) -> Layout:
        """Read the layout off an input array."""
        axes = "(B, T, I)" if batch_first else "(T, B, I)"
        if x.ndim not in (2, 3) or x.shape[-1] != features:
            raise ShapeError(
                f"x has shape {x.shape}, wanted {axes} or, unbatched, (T, I), with I = {features}"
            )
        if 0 in x.shape:
            raise ShapeError(f"x has shape {x.shape}: it needs at least one step and one sequence")
        if x.ndim == 2:
            return cls(len(x), 1, False, batch_first)
        steps, batch = x.shape[1::-1] if batch_first else x.shape[:2]
        return cls(steps, batch, True, batch_first)

    def outer(self, *features: int) -> tuple[int, ...]:
        """The user's shape of an array with one row a step and sequence."""
        if not self.batched:
            return (self.steps, *features)
        return (
            (self.batch, self.steps, *features) if self.batch_first else (self.steps, self.batch, *features)
        )

    def inward(self, what: str, array: np.ndarray, *features: int) -> np.ndarray:
        """An array of the user's as (T, B, *features)."""
        if array.shape != self.outer(*features):
            raise ShapeError(
                f"{what} has shape {array.shape}; with this x it should be {self.outer(*features)}"
            )
        if not self.batched:
            return array[:, None]
        return np.ascontiguousarray(array.swapaxes(0, 1)) if self.batch_first else array

    def outward(self, array: np.ndarray) -> np.ndarray:
        """A (T, B, …) array in the user's axes."""
        if not self.batched:
            return array[:, 0]
        return array.swapaxes(0, 1) if self.batch_first else array

    def states_inward(self, what: str, array: np.ndarray, rows: int, hidden: int) -> np.ndarray:
        """Initial states as (layers · directions, B, H); batch second whatever ``batch_first`` says."""
        wanted = (rows, self.batch, hidden) if self.batched else (rows, hidden)
        if array.shape != wanted:
            raise ShapeError(
                f"{what} has shape {array.shape}; wanted {wanted}: layers × directions, then the batch"
            )
        return array if self.batched else array[:, None]

    def states_outward(self, array: np.ndarray) -> np.ndarray:
        """(layers · directions, B, H) in the user's axes."""
        return array if self.batched else array[:, 0]
