"""What the states of episodes are worth, and what the state behind the last step is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import ShapeError
from rnn.credit.rows import Rows, fitted, is_ragged, numbers, of_episode


@dataclass(frozen=True)
class Values:
    """V(s_t) at every step, and V(s_T) of each episode.

    Attributes
    ----------
    here : (steps, *batch) array
    end : (episodes, *batch) array
    """

    here: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, rows: Rows, values, bootstrap=None) -> Values:
        """Of (T + 1,) values whose last is V(s_T), or of (T,) values and ``bootstrap``.

        Raises
        ------
        ShapeError, DataError
            With the episode and the time.
        """
        ragged, count = rows.ragged, len(rows.lengths)
        if ragged and not (is_ragged(values) and len(values) == count):
            raise ShapeError(f"values must be a list of {count} arrays, one an episode, as rewards are")
        parts = list(values) if ragged else [values]
        here, last = [], []
        for k, (part, T) in enumerate(zip(parts, rows.lengths, strict=True)):
            array, where = numbers("values", part, k, ragged), of_episode(k, ragged)
            found = len(array) if array.ndim else 0
            if found not in (T, T + 1):
                raise ShapeError(
                    f"values{where} has {found} rows for {T} rewards; wanted {T}, those of the states that "
                    f"the steps leave, or {T + 1}, with the value of the state behind the last step"
                )
            array = fitted("values", array, (found, *rows.batch), k, ragged)
            if found > T and bootstrap is not None:
                raise ShapeError(
                    f"values{where} has {T + 1} rows, whose last is V(s_T), and bootstrap= is that value, "
                    "too; give one of them"
                )
            here.append(array[:T])
            last.append(array[T:])
        ends = _ends(rows, bootstrap)
        for k, row in enumerate(last):
            if len(row):
                ends[k] = row[0]
        return cls(np.concatenate(here), ends)

    def next(self, rows: Rows) -> np.ndarray:
        """V(s_{t+1}) at every step."""
        return following(rows, self.here, self.end)


def following(rows: Rows, here: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Each row's successor; behind the last of an episode stands ``end``."""
    after = np.empty_like(here)
    after[:-1] = here[1:]
    after[rows.last] = end
    return after


def _ends(rows: Rows, bootstrap) -> np.ndarray:
    shape = (len(rows.lengths), *rows.batch)
    array = numbers("bootstrap", 0.0 if bootstrap is None else bootstrap, 0, False)
    if not rows.ragged and array.ndim and array.shape == rows.batch:
        array = array[None]
    try:
        return np.broadcast_to(array, shape).copy()
    except ValueError:
        wanted = f"({len(rows.lengths)},), one an episode" if rows.ragged else f"{rows.batch}"
        raise ShapeError(f"bootstrap has shape {array.shape}; wanted one number, or {wanted}") from None
