"""``Rows``: how one episode, a batch of equally long ones, or ragged ones lie in the engine: steps first, end
to end.

A list or tuple of arrays is ragged episodes; an array is one episode (T,) or a batch (T, B, …). Step t is the
transition from s_t to s_{t+1}: ``rewards[t]`` and ``discounts[t]`` are what it pays and the γ behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True)
class Rows:
    """Steps of episodes end to end.

    Attributes
    ----------
    lengths : tuple of int
        Steps of each episode.
    batch : tuple of int
        Shape of one step.
    ragged : bool
        Whether the user gave a list, and gets one.

    Examples
    --------
    >>> rows, rewards = Rows.of([[0.0, 1.0], [1.0]])
    >>> rows.lengths, rewards
    ((2, 1), array([0., 1., 1.]))
    """

    lengths: tuple[int, ...]
    batch: tuple[int, ...]
    ragged: bool

    @classmethod
    def of(cls, rewards) -> tuple[Rows, np.ndarray]:
        """The layout of rewards, and they themselves."""
        ragged = is_ragged(rewards)
        parts = [numbers("rewards", part, k, ragged) for k, part in enumerate(episodes(rewards))]
        for k, part in enumerate(parts):
            if part.ndim == 0 or len(part) == 0:
                raise ShapeError(
                    f"rewards{of_episode(k, ragged)} have shape {part.shape}; wanted (T,), or (T, B) for a "
                    "batch, with T ≥ 1 steps, or a list of arrays for episodes of several lengths"
                )
            if part.shape[1:] != parts[0].shape[1:]:
                raise ShapeError(
                    f"rewards of episode {k} have rows of shape {part.shape[1:]}, those of episode 0 have "
                    f"{parts[0].shape[1:]}"
                )
        rows = cls(tuple(len(part) for part in parts), parts[0].shape[1:], ragged)
        return rows, np.concatenate(parts)

    @property
    def steps(self) -> int:
        """Of all episodes together."""
        return sum(self.lengths)

    @property
    def length(self):
        """What a sequence of the graph takes as its ``length``."""
        return list(self.lengths) if self.ragged else self.lengths[0]

    @property
    def first(self) -> np.ndarray:
        """Row of each episode's first step."""
        return np.cumsum((0, *self.lengths[:-1]))

    @property
    def last(self) -> np.ndarray:
        """Row of each episode's last step."""
        return np.cumsum(self.lengths) - 1

    def split(self, array: np.ndarray):
        """As the user gave it: one array, or a list with one an episode."""
        if not self.ragged:
            return array
        return np.split(array, self.last[:-1] + 1)

    def place(self, row: int) -> str:
        """Where a row is, in the user's counting."""
        k = int(np.searchsorted(self.last, row))
        return f"t={row - self.first[k]}{of_episode(k, self.ragged)}"

    def steps_of(self, name: str, value, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
        """One number, or one a step (and a member of the batch), as (steps, *batch).

        Raises
        ------
        ShapeError, DataError
            With the episode and the time.
        """
        shape = (self.steps, *self.batch)
        array = numbers(name, value, 0, False) if is_number(value) else self._joined(name, value)
        array = np.broadcast_to(array, shape)
        wrong = ~((array >= low) & (array <= high))
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise DataError(
                f"{name} must be from {low:g} to {high:g}, got {array[wrong][0]:g} at {self.place(row)}"
            )
        return array

    def _joined(self, name: str, value) -> np.ndarray:
        given = list(value) if self.ragged and is_ragged(value) else None
        if given is None and self.ragged:
            raise ShapeError(f"{name} must be one number or a list with an array an episode, as rewards are")
        parts = [value] if given is None else given
        if len(parts) != len(self.lengths):
            raise ShapeError(f"{name} has {len(parts)} episodes, rewards have {len(self.lengths)}")
        arrays = []
        for k, (part, T) in enumerate(zip(parts, self.lengths, strict=True)):
            array = numbers(name, part, k, self.ragged)
            if array.ndim and len(array) != T:
                ahead = f"; that of t={T} would look ahead" if len(array) > T else ""
                raise ShapeError(
                    f"{name}{of_episode(k, self.ragged)} has {len(array)} steps, rewards have {T}: one "
                    f"number a transition, t=0 to t={T - 1}{ahead}"
                )
            arrays.append(fitted(name, array, (T, *self.batch), k, self.ragged))
        return np.concatenate(arrays)


def fitted(name: str, array: np.ndarray, shape: tuple[int, ...], k: int, ragged: bool) -> np.ndarray:
    """(T,) or (T, B, …) as ``shape``: axes that are missing on the right are those of the batch."""
    if array.ndim < len(shape):
        array = array.reshape(array.shape + (1,) * (len(shape) - array.ndim))
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ShapeError(
            f"{name}{of_episode(k, ragged)} has shape {array.shape}, which does not fit rewards of {shape}"
        ) from None


def is_number(value) -> bool:
    """One number for all steps."""
    return isinstance(value, int | float | np.number) or (isinstance(value, np.ndarray) and value.ndim == 0)


def is_ragged(value) -> bool:
    """A list or tuple of episodes."""
    return (
        isinstance(value, list | tuple) and len(value) > 0 and all(hasattr(part, "__len__") for part in value)
    )


def episodes(value) -> list:
    """One an episode."""
    return list(value) if is_ragged(value) else [value]


def of_episode(k: int, ragged: bool) -> str:
    """'' or ' of episode k'."""
    return f" of episode {k}" if ragged else ""


def numbers(name: str, value, k: int, ragged: bool) -> np.ndarray:
    """Finite real numbers as float64; the first that is not finite is named by its time."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{name}{of_episode(k, ragged)} is not an array of numbers: {problem}") from None
    if array.dtype.kind not in "iubf":
        raise DataError(f"{name}{of_episode(k, ragged)} must hold real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        where = np.argwhere(bad)[0]
        at = f" at t={where[0]}" if len(where) else ""
        raise DataError(
            f"{name} must be finite, got {array[bad].flat[0]}{at}{of_episode(k, ragged)}; leave such steps "
            "out, or end the episode before them"
        )
    return array
