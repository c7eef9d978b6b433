"""Best path of one long chain with few states: cut into segments, which are the lanes of a vector.

As in :mod:`~msgpass.kernels.table_chain_segments`, with transfer matrices in the max-plus algebra: they give
δ at every cut and a best state there; each segment then finds its own path from its last state. Where two
segments disagree about the state at their cut (a tie), the path is not used.
"""

import numpy as np

from msgpass.kernels import table_chain_viterbi as viterbi
from msgpass.kernels.runtime import aligned_empty, jit, run_pair
from msgpass.kernels.simd import load, select, splat, store
from msgpass.kernels.table_chain_gather import LANES, fetch, fetch_steps, locate, rows_in_a_vector
from msgpass.kernels.table_chain_lanes import padded, padded_width
from msgpass.kernels.table_chain_segments import in_lanes, segments_of


@jit
def transfers(table, n_states, width, log_evidence, rows, starts, lengths, part, matrices, local):
    """Max-plus transfer matrices (groups, K, width, 8) of the groups ``part``, ``part + 2``, …"""
    row, block = LANES * width, rows_in_a_vector(n_states)
    at, first_row, last_row = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    length_of, fresh = np.empty(LANES), np.empty(row)
    for g in range(part * LANES, lengths.size, 2 * LANES):
        m = (g // LANES) * n_states * row
        longest, shortest = lengths[g], lengths[g]
        for lane in range(LANES):
            longest, shortest = max(longest, lengths[g + lane]), min(shortest, lengths[g + lane])
            length_of[lane] = lengths[g + lane]
            first_row[lane] = starts[g + lane]
            last_row[lane] = starts[g + lane] + lengths[g + lane] - 1
        ends = load(length_of, 0)
        whole = 1 + (shortest - 1) // block * block if block > 1 else 0
        for i in range(n_states):
            for j in range(width):
                store(matrices, m + i * row + LANES * j, splat(0.0) if i == j else splat(-np.inf))
        for t in range(1, longest):
            slot = 0
            if t >= whole:
                locate(at, first_row, last_row, t, rows, n_states)
                fetch(log_evidence, at, n_states, local, 0)
            else:
                slot = (t - 1) % block * row
                if slot == 0:
                    fetch_steps(log_evidence, rows, first_row, t, n_states, local)
            running = splat(float(t)) < ends
            for i in range(n_states):
                p = m + i * row
                viterbi.cross(matrices, p, n_states, table, width, fresh, 0)
                for k in range(n_states):
                    value = load(fresh, LANES * k) + load(local, slot + LANES * k)
                    store(matrices, p + LANES * k, select(running, value, load(matrices, p + LANES * k)))


@jit
def boundaries(matrices, n_states, width, segments, delta, states):
    """δ at every cut from ``delta[0]``, and the best state at every cut."""
    row = LANES * width
    for s in range(segments):
        m = (s // LANES) * n_states * row + s % LANES
        for j in range(n_states):
            best = -np.inf
            for i in range(n_states):
                best = max(best, delta[s, i] + matrices[m + i * row + LANES * j])
            delta[s + 1, j] = best
    state = 0
    for k in range(1, n_states):
        if delta[segments, k] > delta[segments, state]:
            state = k
    states[segments] = state
    for s in range(segments - 1, -1, -1):
        m = (s // LANES) * n_states * row + s % LANES
        before = 0
        best = delta[s, 0] + matrices[m + LANES * state]
        for i in range(1, n_states):
            value = delta[s, i] + matrices[m + i * row + LANES * state]
            if value > best:
                best, before = value, i
        state = before
        states[s] = state


def one(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    path: np.ndarray,
    threaded: bool,
) -> tuple[float, bool]:
    """Best score of ``start:stop``, its path written in place, and whether the segments agreed."""
    n_states = len(log_init)
    width = padded_width(n_states)
    starts, lengths = segments_of(start, stop, width)
    segments = len(starts)
    table = padded(log_transition, width)
    matrices = aligned_empty(segments * n_states * width)

    def arguments(part: int) -> tuple:
        local = aligned_empty(max(width, LANES) * LANES)
        return (table, n_states, width, log_evidence.ravel(), rows, starts, lengths, part, matrices, local)

    if threaded:
        run_pair(transfers, arguments(0), transfers, arguments(1))
    else:
        transfers(*arguments(0))
        transfers(*arguments(1))
    delta, states = np.empty((segments + 1, n_states)), np.empty(segments + 1, np.int64)
    delta[0] = log_init + log_evidence[rows[start] if rows.size else start]
    boundaries(matrices, n_states, width, segments, delta, states)
    _, firsts = viterbi.run(
        in_lanes(delta[:-1]),
        True,
        log_transition,
        log_evidence,
        rows,
        starts,
        lengths,
        n_states + 1 + states[1:],
        path,
        threaded,
    )
    path[start] = firsts[0]
    return float(delta[segments].max()), np.array_equal(firsts, states[:-1])
