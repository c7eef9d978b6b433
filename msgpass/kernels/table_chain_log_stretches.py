"""As :mod:`~msgpass.kernels.table_chain_stretches` in logarithms: best paths, and scales that vanished.

Sums are kept relative to their maximum, so that a long chain's log Z costs them no digits; maxima are kept as
they are, so that every comparison meets the bits it meets without checkpoints.
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels import chain_reference as reference
from msgpass.kernels.table_chain import best_path
from msgpass.kernels.table_chain_collected import Collected
from msgpass.kernels.table_chain_difficult import LARGE, log_messages, table_list
from msgpass.kernels.table_chain_windows import ChainLogs
from msgpass.schedule.checkpointed import reverse


class ImpossibleStepError(Exception):
    """No state explains the step (of the sequence) in ``args``."""


class _State(NamedTuple):
    """log α at a cut with its evidence, less ``scale``."""

    alpha: np.ndarray
    scale: float


class LogStretches:
    """Sweeps over the stretches of sequence ``n`` of the chains ``logs``, summed or maximised."""

    def __init__(self, logs: ChainLogs, n: int, cuts: np.ndarray, maximise: bool):
        self.logs, self.n, self.cuts, self.maximise = logs, n, cuts, maximise

    @property
    def start(self) -> _State:
        """State at the first step."""
        first = int(self.cuts[0])
        alpha = np.asarray(self.logs.init, np.float64) + self.logs.local(first, first + 1)[0]
        return self._state(alpha[None], 0.0, 0)

    def _state(self, alpha: np.ndarray, scale: float, s: int) -> _State:
        """State at the last step of a stretch of messages; an error where all states are ruled out."""
        peak = alpha[-1].max()
        if peak == -np.inf:
            dead = int(np.argmax(np.isneginf(alpha).all(axis=1)))
            raise ImpossibleStepError(int(self.cuts[s] - self.cuts[0]) + dead)
        return _State(alpha[-1].copy(), scale) if self.maximise else _State(alpha[-1] - peak, scale + peak)

    def stretch(self, state: _State, s: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """A stretch as a chain of its own: init, transitions, evidence, offsets."""
        first, last = int(self.cuts[s]), int(self.cuts[s + 1]) + 1
        local = self.logs.local(first, last)
        local[0] = 0.0
        tables = self.logs.tables(first - self.n, last - 1 - self.n)
        return state.alpha, tables, local, np.array([0, last - first], np.int64)

    def advance(self, state: _State, first: int, last: int) -> _State:
        """State before stretch ``last`` from that before stretch ``first``."""
        for s in range(first, last):
            init, tables, local, offsets = self.stretch(state, s)
            if self.maximise and len(tables) == 1 and local.size * len(init) >= LARGE:
                alpha = _best_messages(init, tables[0], local)
            else:
                alpha, _ = log_messages(init, tables, local, None, offsets, self.maximise, backward=False)
            state = self._state(alpha, state.scale, s)
        return state

    def path(self, slots: int, path: np.ndarray) -> float:
        """Best score; the path is written in place."""
        known, score = -1, -np.inf

        def back(state: _State, s: int) -> None:
            nonlocal known, score
            init, tables, local, offsets = self.stretch(state, s)
            if known >= 0:
                local[-1, np.arange(local.shape[1]) != known] = -np.inf
            transition = tables[0] if self.logs.transition.ndim == 2 else tables
            scores, own = best_path(init, transition, local, None, offsets)
            if known < 0:
                score = float(scores[0])
                if score == -np.inf:
                    self.advance(state, s, s + 1)  # says which step
            path[self.cuts[s] : self.cuts[s + 1] + 1] = own
            known = int(own[0])

        reverse(len(self.cuts) - 1, slots, self.start, self.advance, back)
        return score

    def counts(self, slots: int, collected: Collected, xi: np.ndarray | None) -> float:
        """log Z; γ goes to ``collected``, Σ ξ onto ``xi`` (of a sequence's own pairs: into it)."""
        ahead: np.ndarray | None = None
        log_z = -np.inf

        def back(state: _State, s: int) -> None:
            nonlocal ahead, log_z
            init, tables, local, offsets = self.stretch(state, s)
            if ahead is not None:
                local[-1] += ahead
            alpha, beta = log_messages(init, tables, local, None, offsets, False)
            assert beta is not None
            self._state(alpha, state.scale, s)  # says which step is impossible
            total, gamma, pairs = _log_counts(alpha, beta, tables, local, offsets)
            if ahead is None:
                log_z = total + state.scale
            ahead = beta[0] - beta[0].max(where=np.isfinite(alpha[0]), initial=-np.inf)
            first = int(self.cuts[s])
            if s == 0:
                collected.first[self.n] = gamma[0]
            collected.add(first, 0 if s == 0 else 1, len(gamma), gamma)
            if xi is not None and len(xi) == 1:
                xi[0] += pairs[0]
            elif xi is not None:
                xi[first - self.n : first + len(pairs) - self.n] = pairs

        reverse(len(self.cuts) - 1, slots, self.start, self.advance, back)
        return log_z


def _log_counts(alpha, beta, tables, local, offsets) -> tuple[float, np.ndarray, np.ndarray]:
    """log Z, γ and ξ, shaped as ``tables``, of one possible chain."""
    if alpha.size * alpha.shape[1] < LARGE:
        log_z, gamma, xi = reference.log_counts(alpha, beta, table_list(tables, len(alpha), 0), local)
        return log_z, gamma, xi.sum(axis=0, keepdims=True) if len(tables) == 1 else xi
    from msgpass.kernels.table_chain_log import log_counts

    log_z, gamma, xi = np.empty(1), np.zeros(alpha.shape), np.zeros(tables.shape)
    log_counts(alpha, beta, tables, local, np.empty(0, np.int64), offsets, log_z, gamma, xi)
    return float(log_z[0]), gamma, xi


def _best_messages(init: np.ndarray, table: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Viterbi's δ of a stretch with one transition, by the vectorised sweep, which has the same bits."""
    from msgpass.kernels.runtime import aligned_empty, compiling
    from msgpass.kernels.table_chain_viterbi_long import forward

    steps, n_states = local.shape
    width, depth = -(-n_states // 8) * 8, -(-n_states // 4) * 4
    opening, padded, y = aligned_empty(width), aligned_empty((depth, width)), aligned_empty(width)
    opening[:], padded[:], y[:] = -np.inf, -np.inf, 0.0
    opening[:n_states], padded[:n_states, :n_states] = init, table
    delta = aligned_empty((steps, width))
    with compiling("the best path of a long chain", forward):
        forward(
            opening,
            padded.ravel(),
            depth,
            width,
            n_states,
            local.ravel(),
            np.empty(0, np.int64),
            0,
            0,
            steps,
            delta.ravel(),
            y,
        )
    return delta[:, :n_states]
