"""Times of a batch: one for all sequences, or each sequence's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.layout import Layout
from rnn.validation import real_array

ROUND = 1e-9  # part of a step that a fixed step may be longer, so that 0.3 / 0.1 are three steps


def read_times(t, layout: Layout) -> tuple[np.ndarray, bool]:
    """(times (S, B), whether they are each sequence's own), checked.

    Beyond a sequence's length its last time is repeated, so that nothing moves there.

    Parameters
    ----------
    t : array (S,), or (S, B) in the user's axes
    layout : Layout

    Raises
    ------
    ShapeError, DataError
        They name the time, and the sequence, that does not fit.
    """
    if t is None:
        raise DataError("t is missing: give the times, net(x, t) or bptt(net, x, loss, t=t)")
    given = real_array("t", t, np.dtype(float))
    own = given.ndim == 2
    if own:
        times = layout.inward("t", given)
    elif given.shape == (layout.steps,):
        times = np.repeat(given[:, None], layout.batch, axis=1)
    else:
        raise ShapeError(
            f"t has shape {given.shape}; wanted ({layout.steps},) for all sequences, or {layout.outer()} "
            "with each one's own"
        )
    times = np.array(times)
    ends = np.full(layout.batch, layout.steps) if layout.lengths is None else layout.lengths
    beyond = np.arange(layout.steps)[:, None] >= ends
    times[beyond] = np.broadcast_to(times[ends - 1, np.arange(layout.batch)], times.shape)[beyond]
    if not np.isfinite(times).all():
        k, b = np.argwhere(~np.isfinite(times))[0]
        raise DataError(f"t is {times[k, b]} at step {k}{_of(b, own)}; times are finite numbers")
    gaps = np.diff(times, axis=0)
    bad = np.argwhere((gaps <= 0) & ~beyond[1:])
    if len(bad):
        k, b = bad[0]
        raise DataError(
            f"times must increase, but t[{k}] = {times[k, b]:g} is followed by t[{k + 1}] = "
            f"{times[k + 1, b]:g}{_of(b, own)}; sort them and take each once"
        )
    return times, own or layout.lengths is not None


def cut_times(layout: Layout, t, rows: np.ndarray, steps: int | None) -> np.ndarray:
    """Of some sequences, and their first steps."""
    array = np.asarray(t)
    if array.ndim == 1:
        return array[:steps]
    return array[rows, :steps] if layout.batch_first else array[:steps, rows]


def _of(sequence: int, own: bool) -> str:
    return f" in sequence {sequence}" if own else ""


@dataclass(frozen=True)
class Steps:
    """Solver steps between times (S, B): their starts ``t`` and sizes ``h`` (N, B), and the step ``at`` (S,)
    after which each time is reached."""

    t: np.ndarray
    h: np.ndarray
    at: np.ndarray

    @classmethod
    def between(cls, times: np.ndarray, steps: int, step: float | None) -> Steps:
        """``steps`` equal ones between two times; with ``step`` as many as make the longest no longer."""
        gaps = np.diff(times, axis=0)
        counts = np.full(len(gaps), steps)
        if step is not None:
            counts = np.maximum(1, np.ceil(gaps.max(axis=1) / step * (1 - ROUND)).astype(int))
        ends = [times[:1]]
        for k, n in enumerate(counts):
            ends.append(times[k] + gaps[k] * (np.arange(1, n + 1) / n)[:, None])
            ends[-1][-1] = times[k + 1]
        every = np.concatenate(ends)
        return cls(every[:-1], np.diff(every, axis=0), np.concatenate([[0], np.cumsum(counts)]))
