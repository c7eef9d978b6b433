"""``Visits``: features of the states that episodes went through, and λ and step size of each step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.credit.causal import state_lambda
from rnn.credit.rows import Rows, is_number, is_ragged, numbers, of_episode
from rnn.credit.values import following


@dataclass(frozen=True)
class Visits:
    """Episodes end to end.

    Attributes
    ----------
    rows : Rows
    x, y : (N, d) arrays
        Features of s_t and of s_{t+1}, zero behind the end of an episode.
    r, gamma, lam : (N,) arrays
    """

    rows: Rows
    x: np.ndarray
    y: np.ndarray
    r: np.ndarray
    gamma: np.ndarray
    lam: np.ndarray

    @classmethod
    def of(cls, features, rewards, discounts=1.0, lambda_=1.0, n_states: int | None = None) -> Visits:
        """Read what the user hands over.

        Raises
        ------
        ShapeError, DataError
            With the episode and the time.
        """
        rows, r = Rows.of(rewards)
        if rows.batch:
            raise ShapeError(
                f"rewards of one episode are (T,), got rows of shape {rows.batch}; give a list of episodes"
            )
        if rows.ragged and not (is_ragged(features) and len(features) == len(rows.lengths)):
            raise ShapeError(
                f"features must be a list of {len(rows.lengths)} arrays, one an episode, as rewards are"
            )
        given = list(features) if rows.ragged else [features]
        parts = [coded(part, n_states, k, rows.ragged) for k, part in enumerate(given)]
        width = parts[0].shape[1]
        here, end = [], np.zeros((len(parts), width))
        for k, (part, T) in enumerate(zip(parts, rows.lengths, strict=True)):
            where = of_episode(k, rows.ragged)
            if len(part) not in (T, T + 1):
                raise ShapeError(
                    f"features{where} have {len(part)} rows for {T} rewards; wanted {T} where the episode "
                    f"ended behind the last reward, or {T + 1}, with the state in which it was cut off"
                )
            if part.shape[1] != width:
                raise ShapeError(
                    f"features{where} have {part.shape[1]} columns, those of episode 0 have {width}"
                )
            here.append(part[:T])
            if len(part) > T:
                end[k] = part[T]
        x = np.concatenate(here)
        if callable(lambda_):
            lambda_ = [
                state_lambda(lambda_, part, T, k, rows.ragged)
                for k, (part, T) in enumerate(zip(given, rows.lengths, strict=True))
            ]
            lambda_ = lambda_ if rows.ragged else lambda_[0]
        lam = rows.steps_of("lambda_", lambda_, 0.0, 1.0)
        gamma = rows.steps_of("discounts", discounts, 0.0, 1.0)
        return cls(rows, x, following(rows, x, end), r, gamma, lam)

    @property
    def before(self) -> tuple[np.ndarray, np.ndarray]:
        """γ and λ of the step before, by which traces decay; γ is 0 where an episode starts."""
        gamma, lam = np.roll(self.gamma, 1), np.roll(self.lam, 1)
        gamma[self.rows.first] = 0.0
        return gamma, lam

    @property
    def decay(self) -> np.ndarray:
        """γλ of the step before."""
        gamma, lam = self.before
        return gamma * lam


def coded(states, n_states: int | None, k: int, ragged: bool) -> np.ndarray:
    """Features (n, d) as they are, or states (n,) one-hot."""
    array = numbers("features", states, k, ragged)
    where = of_episode(k, ragged)
    if n_states is None:
        if array.ndim != 2 or array.shape[1] == 0:
            raise ShapeError(
                f"features{where} have shape {array.shape}; wanted (T, d), or states (T,) with n_states="
            )
        return array
    if array.ndim != 1:
        raise ShapeError(f"states{where} have shape {array.shape}; with n_states= wanted (T,)")
    return one_hot(array, n_states, where)


def one_hot(states, n_states: int, where: str = "") -> np.ndarray:
    """Tabular features: a column a state.

    Examples
    --------
    >>> one_hot([1, 0], 2)
    array([[0., 1.],
           [1., 0.]])
    """
    array = np.asarray(states)
    wrong = (array != np.round(array)) | (array < 0) | (array >= n_states)
    if wrong.any():
        t = int(np.argmax(wrong))
        raise DataError(
            f"states must be whole numbers from 0 to {n_states - 1}, got {array[t]:g} at t={t}{where}"
        )
    return (array[:, None] == np.arange(n_states)).astype(float)


def step_sizes(rows: Rows, value) -> np.ndarray | float:
    """One α, or one a step."""
    array = rows.steps_of("step_size", value, 0.0, np.inf)
    if not np.isfinite(array).all():
        raise DataError("step_size must be finite")
    return array.flat[0] if is_number(value) else array
