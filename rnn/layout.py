"""From the user's axes to the graph's, (T, B, features), and back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True)
class Layout:
    """How one call lays out its arrays: (T, B, ·), with ``batch_first`` (B, T, ·), unbatched (T, ·)."""

    steps: int
    batch: int
    batched: bool
    batch_first: bool
    lengths: np.ndarray | None = field(default=None, compare=False)

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

    def with_lengths(self, lengths) -> Layout:
        """The same for sequences that end before the last row; None is as it was.

        Raises
        ------
        ShapeError, DataError
            Unless there is one whole number from 1 to T a sequence.
        """
        if lengths is None:
            return self
        try:
            given = np.asarray(lengths)
        except (TypeError, ValueError) as problem:
            raise DataError(f"lengths are not an array of whole numbers: {problem}") from None
        if given.dtype.kind not in "iu":
            raise DataError(f"lengths must be whole numbers, one a sequence, got dtype {given.dtype}")
        if given.shape != (self.batch,) and (self.batched or given.shape != ()):
            raise ShapeError(
                f"lengths has shape {given.shape}; there are {self.batch} sequences, so it should be "
                f"({self.batch},)"
            )
        given = given.reshape(self.batch).astype(np.int64)
        bad = np.flatnonzero((given < 1) | (given > self.steps))
        if bad.size:
            raise DataError(
                f"lengths[{bad[0]}] is {given[bad[0]]}; x has {self.steps} steps, so that lengths run from "
                f"1 to {self.steps}"
            )
        return replace(self, lengths=given)

    @property
    def present(self) -> np.ndarray | None:
        """(T, B), True where a sequence still runs; None where all run to the end."""
        return None if self.lengths is None else np.arange(self.steps)[:, None] < self.lengths

    def hidden(self, array: np.ndarray, missing) -> np.ndarray:
        """A (T, B, …) array with ``missing`` on padded steps: NaN or −1 for a loss, 0 for inputs."""
        present = self.present
        if present is None:
            return array
        there = present.reshape(*present.shape, *(1,) * (array.ndim - 2))
        return np.where(there, array, np.asarray(missing, array.dtype))

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
