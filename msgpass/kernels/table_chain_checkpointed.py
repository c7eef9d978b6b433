"""Inference over chains of discrete tables with checkpoints: totals, counts and best paths without (T, K).

Short sequences are swept whole, some at a time. A long one with one transition and at most eight states goes
batch by batch through the segments that it is swept in anyway, with the same bits; any other long one
stretch by stretch, with ``slots`` messages kept. A scale that vanishes sends it to log space.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from msgpass.kernels.table_chain import best_path, expected_counts
from msgpass.kernels.table_chain_collected import Collected
from msgpass.kernels.table_chain_log_stretches import ImpossibleStepError, LogStretches
from msgpass.kernels.table_chain_stretches import LostScaleError, Stretches, cuts_of
from msgpass.kernels.table_chain_types import LN2, LOST, ChainProblem
from msgpass.kernels.table_chain_windows import ChainLogs, Windows

ENTRIES = 1 << 19
"""Entries T·K that are swept at a time: 4 MB an array, and hand-overs of threads that do not count."""

LONGER = 4
"""How much longer stretches are: where few are reversed, fewer steps are swept again."""

FULL_LANES = 16
"""Sequences that fill the lanes of two threads."""

MOST_IN_SEGMENTS, SHORTEST = 8, 1024
"""States up to which, and steps from which on, a sequence is cut into segments."""

LIGHT = 8192
"""Steps from which on the best path of at most four states is found in segments, with no message kept."""


class CheckpointedCounts(NamedTuple):
    """Expected statistics; all zero for impossible sequences.

    Attributes
    ----------
    log_z : ndarray, shape (N,)
    first : ndarray, shape (N, K)
        γ at the first step of every sequence.
    gamma : ndarray, shape (T, K), or None
    xi : ndarray, shape (K, K) or (P, K, K), or None
    row_counts : ndarray, shape (R, K), or None
    impossible : list of (sequence, first impossible step)
    """

    log_z: np.ndarray
    first: np.ndarray
    gamma: np.ndarray | None
    xi: np.ndarray | None
    row_counts: np.ndarray | None
    impossible: list[tuple[int, int]]


def _batches(offsets: np.ndarray, n_states: int) -> Iterator[tuple[int, int]]:
    """(first, last) of sequences that are swept together: some :data:`ENTRIES`, and while that is not too
    much, enough sequences for two threads of eight lanes.
    """
    n, n_sequences = 0, len(offsets) - 1
    while n < n_sequences:
        few, many = (
            int(np.searchsorted(offsets, offsets[n] + entries // n_states, "right")) - 1 - n
            for entries in (ENTRIES, LONGER * ENTRIES)
        )
        count = max(few, min(many, FULL_LANES), 1)
        if count < n_sequences - n:
            count -= count % FULL_LANES if count > FULL_LANES else 0
        yield n, min(n + count, n_sequences)
        n += count


def _in_segments(logs: ChainLogs, n: int) -> bool:
    """Whether a sequence, where it is long, goes through segments."""
    length = logs.offsets[n + 1] - logs.offsets[n]
    return logs.transition.ndim == 2 and 2 <= len(logs.init) <= MOST_IN_SEGMENTS and length >= SHORTEST


def _is_long(logs: ChainLogs, n: int) -> bool:
    """Too long to be swept whole."""
    length = int(logs.offsets[n + 1] - logs.offsets[n])
    most = LONGER * ENTRIES // (FULL_LANES if _in_segments(logs, n) else 1)
    return length > 1 and length * len(logs.init) > most


def _part(logs: ChainLogs, n: int, last: int) -> ChainLogs:
    """Sequences ``n:last`` alone."""
    a, b = int(logs.offsets[n]), int(logs.offsets[last])
    return ChainLogs(
        logs.init,
        logs.transition if logs.transition.ndim == 2 else logs.transition[a - n : b - last],
        logs.evidence[a:b] if logs.rows is None else logs.evidence,
        None if logs.rows is None else logs.rows[a:b],
        logs.offsets[n : last + 1] - a,
    )


def checkpointed_counts(logs: ChainLogs, slots: int, gamma: bool, pairs: bool) -> CheckpointedCounts:
    """Baum-Welch's E-step.

    Parameters
    ----------
    logs : ChainLogs
        float64 or float32; the computation is in float64.
    slots : int
        Messages kept where stretches are reversed.
    gamma, pairs : bool
        Whether to return γ, and ξ where every pair has its own transition.

    Examples
    --------
    >>> chains = ChainLogs(
    ...     np.zeros(2), np.zeros((2, 2)), np.log([[0.9, 0.2]]), np.zeros(3, int), np.array([0, 3])
    ... )
    >>> counts = checkpointed_counts(chains, 1, False, True)
    >>> counts.row_counts.round(3), np.isclose(counts.log_z, 3 * np.log(1.1))
    (array([[2.455, 0.545]]), array([ True]))
    """
    n_states, offsets, dtype = len(logs.init), logs.offsets, logs.evidence.dtype
    shape = len(offsets) - 1, int(offsets[-1]), n_states
    collected = Collected(shape, logs.rows, len(logs.evidence), dtype, gamma)
    shared = logs.transition.ndim == 2
    xi = None
    if shared or pairs:
        xi = np.zeros(logs.transition.shape, np.float64 if shared else dtype)
        xi = xi[None] if shared else xi
    # Windows of float32 cost nothing in float64, and are then exponentiated by the compiled kernel.
    batches = list(_batches(offsets, n_states))
    at_once = len(batches) == 1 and not _is_long(logs, 0)
    windows = Windows(logs) if at_once else Windows(logs, np.float64)
    run = _Run(logs, windows, slots, collected, xi)
    for n, last in batches:
        run.long(n) if last == n + 1 and _is_long(logs, n) else run.whole(n, last)
    log_z = run.log_scale + run.windows.removed()
    for n, value in run.in_logs.items():
        log_z[n] = value
    if xi is not None:
        xi = (xi[0] if shared else xi).astype(dtype, copy=False)
    rows = collected.row_counts()
    rows = None if rows is None else rows.astype(dtype, copy=False)
    first = collected.first.astype(dtype, copy=False)
    return CheckpointedCounts(log_z, first, collected.gamma, xi, rows, run.impossible)


class _Run:
    """One run over all sequences."""

    def __init__(self, logs: ChainLogs, windows: Windows, slots: int, collected: Collected, xi):
        self.logs, self.windows, self.slots = logs, windows, slots
        self.collected, self.xi = collected, xi
        self.lost = LOST[np.dtype(windows.dtype or logs.evidence.dtype)]
        self.log_scale = np.zeros(len(logs.offsets) - 1)
        self.in_logs: dict[int, float] = {}
        self.impossible: list[tuple[int, int]] = []

    def whole(self, n: int, last: int) -> None:
        """Sequences that are swept as without checkpoints; their γ is dropped."""
        part, w = _part(self.logs, n, last), self.windows
        a, b = int(self.logs.offsets[n]), int(self.logs.offsets[last])
        base, evidence, rows = w.evidence(a, b)
        evidence = evidence[a - base : b - base] if rows is None else evidence
        shared = w.transition is not None
        transition = w.transition if shared else w.pairs(a - n, b - last)
        tables = (part.init, part.transition, part.evidence)
        counts = expected_counts(ChainProblem(w.init, transition, evidence, part.rows, part.offsets, tables))
        self.log_scale[n:last] = counts.log_scale
        self.impossible += [(n + sequence, step) for sequence, step in counts.impossible]
        self.collected.first[n:last] = counts.gamma[part.offsets[:-1]]
        self.collected.add(a, 0, b - a, counts.gamma, counted=True)
        if counts.row_counts is not None:
            self.collected.by_row += counts.row_counts
        if self.xi is not None and shared:
            self.xi[0] += counts.xi
        elif self.xi is not None:
            self.xi[a - n : b - last] = counts.xi

    def long(self, n: int) -> None:
        """One long sequence, in log space where its scale vanishes."""
        start, stop = (int(t) for t in self.logs.offsets[n : n + 2])
        before = self.collected.counts()
        shared, n_states = self.windows.transition is not None, len(self.logs.init)
        pairs = np.zeros_like(self.xi) if shared else self.xi
        cuts = cuts_of(start, stop, n_states, self.slots, LONGER * ENTRIES)
        try:
            if _in_segments(self.logs, n):
                self._segments(n, start, stop, pairs)
            else:
                stretches = Stretches(self.windows, n, cuts, self.lost, self.collected, pairs)
                stretches.run(self.slots)
                self.log_scale[n] = stretches.log_scale
        except LostScaleError:
            self.collected.restore(before)
            if shared:
                pairs[:] = 0.0
            self._in_logs(n, cuts, pairs)
        if shared:
            self.xi += pairs

    def _segments(self, n: int, start: int, stop: int, pairs: np.ndarray) -> None:
        from msgpass.kernels import table_chain_checkpointed_segments as segments

        mantissa, exponent, xi, failed = segments.sweep(
            self.windows, n, start, stop, self.lost, self.collected, ENTRIES
        )
        if failed:
            raise LostScaleError
        self.log_scale[n] = np.log(mantissa) + exponent * LN2
        pairs[0] += xi * self.windows.float64[1]

    def _in_logs(self, n: int, cuts: np.ndarray, pairs: np.ndarray) -> None:
        collected = self.collected
        try:
            self.in_logs[n] = LogStretches(self.logs, n, cuts, False).counts(self.slots, collected, pairs)
        except ImpossibleStepError as found:
            self.in_logs[n] = -np.inf
            self.impossible.append((n, *found.args))


def checkpointed_path(logs: ChainLogs, slots: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Best score (N,) and best path (T,) of every sequence, as ``best_path``, and what is impossible."""
    n_states, offsets = len(logs.init), logs.offsets
    scores, path = np.empty(len(offsets) - 1), np.empty(offsets[-1], np.int64)
    impossible: list[tuple[int, int]] = []
    light = logs.transition.ndim == 2 and 2 <= n_states <= 4
    for n, last in _batches(offsets, n_states):
        start, stop = int(offsets[n]), int(offsets[last])
        cuts = cuts_of(start, stop, n_states, slots, LONGER * ENTRIES)
        if last == n + 1 and len(cuts) > 2 and not (light and stop - start >= LIGHT):
            try:
                scores[n] = LogStretches(logs, n, cuts, True).path(slots, path)
            except ImpossibleStepError as found:
                scores[n] = -np.inf
                path[start:stop] = 0
                impossible.append((n, *found.args))
            continue
        part = _part(logs, n, last)
        scores[n:last], path[start:stop] = best_path(*part)
        for m in n + np.flatnonzero(np.isneginf(scores[n:last])):
            impossible.append((int(m), first_impossible(logs, int(m))))
    return scores, path, impossible


def first_impossible(logs: ChainLogs, n: int) -> int:
    """The first step of an impossible sequence that no state explains."""
    cuts = np.array([logs.offsets[n], logs.offsets[n + 1] - 1])
    try:
        stretches = LogStretches(logs, n, cuts, True)
        stretches.advance(stretches.start, 0, 1)
    except ImpossibleStepError as found:
        return int(found.args[0])
    raise AssertionError("the sequence is possible")
