"""Best paths of many chains, one sequence in each lane of a vector; no back-pointers.

    δ_t(j) = e_t(j) + max_i (δ_{t−1}(i) + T(i, j))

(Viterbi 1967), all in logarithms. δ of a group of eight sequences is kept for as long as the group lasts; the
way back takes the argmax again, at one state a lane instead of K. The lowest state wins a tie.
"""

import numpy as np

from msgpass.kernels.runtime import jit, run_pair, work_memory
from msgpass.kernels.simd import broadcast, load, maximum, select, splat, store
from msgpass.kernels.table_chain_gather import LANES, fetch, fetch_steps, gather, locate, rows_in_a_vector
from msgpass.kernels.table_chain_groups import groups
from msgpass.kernels.table_chain_lanes import padded, padded_width


@jit(forceinline=True, _nrt=False)
def _cross4(message, m, n_states, table, width, column, out, o):
    """``out[j] = max_i (message[i] + table[i, j])`` for four columns, each a vector."""
    a = load(message, m)
    c0, c1 = a + broadcast(table, column), a + broadcast(table, column + 1)
    c2, c3 = a + broadcast(table, column + 2), a + broadcast(table, column + 3)
    for i in range(1, n_states):
        a = load(message, m + LANES * i)
        p = i * width + column
        c0, c1 = maximum(a + broadcast(table, p), c0), maximum(a + broadcast(table, p + 1), c1)
        c2, c3 = maximum(a + broadcast(table, p + 2), c2), maximum(a + broadcast(table, p + 3), c3)
    store(out, o, c0), store(out, o + 8, c1), store(out, o + 16, c2), store(out, o + 24, c3)


@jit(forceinline=True, _nrt=False)
def cross(message, m, n_states, table, width, out, o):
    """A group's message through a table of ``width`` columns, 2 or a multiple of 4, in max-plus algebra."""
    if width == 2:
        a, b = load(message, m), load(message, m + LANES)
        store(out, o, maximum(b + broadcast(table, 2), a + broadcast(table, 0)))
        store(out, o + LANES, maximum(b + broadcast(table, 3), a + broadcast(table, 1)))
    else:
        for column in range(0, width, 4):
            _cross4(message, m, n_states, table, width, column, out, o + LANES * column)


@jit
def best_paths(
    start,
    start_step,
    absorbed,
    table,
    choices,
    n_states,
    width,
    log_evidence,
    rows,
    starts,
    lengths,
    ends,
    part,
    scores,
    firsts,
    path,
    delta,
    local,
):
    """Paths of the groups ``part``, ``part + 2``, … of eight sequences.

    Parameters
    ----------
    start : (groups or 1, K, 8) flat
        First message of each lane; ``start_step`` is 0 when all groups share one. With ``absorbed`` it
        contains its evidence already, and no state is written for it.
    table : (K, width) flat
        Log transition, padded.
    choices : (2K + 1, K) flat
        What is added to δ before its argmax is taken: given state j after it, row j, the transposed
        transition; at the end of a sequence, row K, zeros; at an end known to be state k, row K + 1 + k, −∞
        but for k.
    ends : (8 · groups,)
        The row of ``choices`` that each lane ends with.
    scores, firsts : (8 · groups,)
        Out: best score and first state of each lane.
    delta : (longest, width, 8) flat
    local : (max(width, 8), 8) flat
    """
    step = LANES * width
    at, first_row, last_row = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    states, last_of = np.empty(LANES), np.empty(LANES)
    opening, block = 1 if absorbed else 0, rows_in_a_vector(n_states)
    for g in range(part * LANES, lengths.size, 2 * LANES):
        longest, shortest = lengths[g], lengths[g]
        for lane in range(LANES):
            longest, shortest = max(longest, lengths[g + lane]), min(shortest, lengths[g + lane])
            first_row[lane] = starts[g + lane]
            last_row[lane] = starts[g + lane] + max(lengths[g + lane] - 1, 0)
            last_of[lane] = lengths[g + lane] - 1
        first = (g // LANES) * start_step
        whole = opening + max(shortest - opening, 0) // block * block if block > 1 else 0
        for t in range(longest):
            now = t * step
            if t == 0:
                for k in range(n_states):
                    store(delta, LANES * k, load(start, first + LANES * k))
            else:
                cross(delta, now - step, n_states, table, width, delta, now)
            if t > 0 or not absorbed:
                slot = 0
                if t >= whole:
                    locate(at, first_row, last_row, t, rows, n_states)
                    fetch(log_evidence, at, n_states, local, 0)
                else:
                    slot = (t - opening) % block * step
                    if slot == 0:
                        fetch_steps(log_evidence, rows, first_row, t, n_states, local)
                for k in range(n_states):
                    p = now + LANES * k
                    store(delta, p, load(delta, p) + load(local, slot + LANES * k))

        last, score = load(last_of, 0), splat(0.0)
        for lane in range(LANES):
            at[lane] = ends[g + lane] * n_states
        for t in range(longest - 1, -1, -1):
            now = t * step
            best = load(delta, now) + gather(choices, at, 0)
            state = splat(0.0)
            for k in range(1, n_states):
                value = load(delta, now + LANES * k) + gather(choices, at, k)
                state = select(value > best, splat(float(k)), state)
                best = maximum(value, best)
            store(states, 0, state)
            if t >= shortest - 1:
                score = select(splat(float(t)) == last, best, score)
            for lane in range(LANES):
                if t < lengths[g + lane]:
                    k = np.int64(states[lane])
                    at[lane] = k * n_states
                    if t > 0 or not absorbed:
                        path[first_row[lane] + t] = k
        store(scores, g, score)
        for lane in range(LANES):
            firsts[g + lane] = at[lane] // n_states


def choice_table(log_transition: np.ndarray) -> np.ndarray:
    """The ``choices`` of :func:`best_paths`."""
    n_states = len(log_transition)
    known = np.where(np.eye(n_states, dtype=bool), 0.0, -np.inf)
    return np.ascontiguousarray(np.concatenate((log_transition.T, np.zeros((1, n_states)), known))).ravel()


def run(
    start: np.ndarray,
    absorbed: bool,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    ends: np.ndarray,
    path: np.ndarray,
    threaded: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`best_paths` over all groups in two fixed parts; returns (scores, first states) by lane."""
    n_states = len(log_transition)
    width = padded_width(n_states)
    scores, firsts = np.empty(len(lengths)), np.empty(len(lengths), np.int64)
    table, choices = padded(log_transition, width), choice_table(log_transition)
    step = n_states * LANES if len(start) > 1 else 0

    def arguments(part: int, *work: np.ndarray) -> tuple:
        return (
            start.ravel(),
            step,
            absorbed,
            table,
            choices,
            n_states,
            width,
            log_evidence.ravel(),
            rows,
            starts,
            lengths,
            ends,
            part,
            scores,
            firsts,
            path,
            *work,
        )

    sizes = int(lengths.max()) * width * LANES, max(width, 8) * LANES
    with work_memory(*sizes, *sizes) as work:
        both = arguments(0, *work[:2]), arguments(1, *work[2:])
        if threaded:
            run_pair(best_paths, both[0], best_paths, both[1])
        else:
            best_paths(*both[0])
            best_paths(*both[1])
    return scores, firsts


def many(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    path: np.ndarray,
    threaded: bool,
) -> np.ndarray:
    """Best scores (N,) of many sequences with one transition (K, K); their ``path`` is written in place."""
    _, place, starts, lengths = groups(starts, lengths)
    start = np.repeat(log_init[None, :, None], LANES, axis=2)
    ends = np.full(len(lengths), len(log_init))
    by_lane, _ = run(start, False, log_transition, log_evidence, rows, starts, lengths, ends, path, threaded)
    return by_lane[place]
