"""Transported Jacobians P_k = ∂s_T/∂s_{T−k} of a whole state, from the last step of a run.

    P_0 = 1,   P_k = P_{k−1} J_{T−k+1}

A product over many steps leaves the range of numbers, so that each is kept with a scale, P = exp(scale) ·
part.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError, UnsupportedError
from rnn.diagnose.state import State

MOST_BYTES = 2**30


class Transport(NamedTuple):
    """Transported Jacobians by lag.

    Attributes
    ----------
    scales : array (K, B)
    parts : array (K, B, n, n)
    steps : array (T, B, n, n) or None
        Jacobians of single steps in the order in which they are run, where a time step is one factor.
    """

    scales: np.ndarray
    parts: np.ndarray
    steps: np.ndarray | None


def transported(m: Messages, state: State, lags: np.ndarray) -> Transport:
    """P at the given lags, which increase from 0."""
    T, B = m.gradient[state.names[0]].shape[:2]
    need = 8 * B * state.size**2 * (T + len(lags))
    if need > MOST_BYTES:
        raise DataError(
            f"Jacobians of {T} steps, {B} sequences and {state.size} numbers of state take "
            f"{need / 2**30:.1f} GiB; diagnose fewer sequences (a few are enough) or fewer steps"
        )
    try:
        steps = m.step_jacobians(*state.names)
    except UnsupportedError:
        return _by_sweeps(m, state, lags)
    steps = steps[::-1] if state.reverse else steps
    parts, scales = np.empty((len(lags), B, state.size, state.size)), np.empty((len(lags), B))
    part, scale = np.broadcast_to(np.eye(state.size), steps.shape[1:]), np.zeros(B)
    place = 0
    for lag in range(int(lags[-1]) + 1):
        if lag == lags[place]:
            parts[place], scales[place], place = part, scale, place + 1
        part, scale = scaled(part @ steps[T - 1 - lag], scale)
    return Transport(scales, parts, steps)


def scaled(part: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest entry about 1, by powers of two; all zeros stay, with a scale of −∞."""
    largest = np.abs(part).max(axis=(-2, -1))
    with np.errstate(divide="ignore"):
        exponent = np.where(largest > 0, np.floor(np.log2(largest)), 0)
        moved = np.where(largest > 0, scale + exponent * np.log(2), -np.inf)
    return np.ldexp(part, -exponent.astype(int)[..., None, None]), moved


def _by_sweeps(m: Messages, state: State, lags: np.ndarray) -> Transport:
    """Where a time step is several factors: unit cotangents pulled through all of them."""
    T, B = m.gradient[state.names[0]].shape[:2]
    last = 0 if state.reverse else T - 1
    at = lags if state.reverse else T - 1 - lags
    whole = np.empty((len(lags), B, state.size, state.size))
    for a, rows in state.slices.items():
        for b, columns in state.slices.items():
            found = m.jacobian((a, last), b)[at]
            size = rows.stop - rows.start, columns.stop - columns.start
            whole[:, :, rows, columns] = found.reshape(len(lags), B, *size)
    parts, scales = scaled(whole, np.zeros(whole.shape[:2]))
    return Transport(scales, parts, None)
