"""λ as a function of the states, which may look back and not ahead."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.credit.rows import numbers, of_episode

PREFIXES = 8
"""Prefixes of an episode on which a function of λ is tried."""


def state_lambda(function: Callable, states, steps: int, k: int, ragged: bool) -> np.ndarray:
    """λ_t of every step from ``function(states)``, one λ a state visited: that of s_{t+1} is the step's.

    A trace at time t is made of what was seen up to t. So the function is called again with the first n
    states alone, and must say the same of them.

    Raises
    ------
    DataError
        Where λ(s_t) changes with later states, with the episode and the time.
    """
    where = of_episode(k, ragged)
    states = np.asarray(states)
    full = _called(function, states, where)
    sizes = np.unique(np.linspace(1, len(states), PREFIXES + 1).astype(int))[:-1]
    for n in sizes[::-1]:
        alone = _called(function, states[:n], where)
        moved = ~np.isclose(alone, full[:n], rtol=1e-9, atol=1e-12)
        if moved.any():
            t = int(np.argmax(moved))
            raise DataError(
                f"lambda_ is not causal: λ of the state at t={t}{where} is {full[t]:g} with the whole "
                f"episode, and {alone[t]:g} when the states behind t={n - 1} are not there yet. A trace "
                "cannot know what comes; compute λ from the state, or from what lies before it"
            )
    found = np.ones(steps)
    found[: len(full) - 1] = full[1 : steps + 1]
    return found


def _called(function: Callable, states: np.ndarray, where: str) -> np.ndarray:
    found = numbers(f"lambda_(states){where}", function(states), 0, False)
    if found.shape != (len(states),):
        raise ShapeError(
            f"lambda_(states){where} has shape {found.shape} for {len(states)} states; wanted "
            f"{(len(states),)}, one λ a state: one more would look ahead"
        )
    return found
