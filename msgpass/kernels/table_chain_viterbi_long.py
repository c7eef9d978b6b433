"""Best path of one long chain with many states: from both ends at once, meeting in the middle, and no
back-pointers.

    δ_t(j) = e_t(j) + max_i (δ_{t−1}(i) + T(i, j)),    ω_t(i) = e_t(i) + max_j (T(i, j) + ω_{t+1}(j))

One thread goes forward to the middle with δ, the other backward to it with ω; the best state there is known,
and from it each half is walked with the argmax taken again at one state a step. Walking back through δ breaks
ties as one sweep from end to end does. Walking on through ω would not, so that where a choice there is as
close as rounding the second half is swept forward after all; the score is added up along the path, in the
order in which δ is, and has the same bits.
"""

from collections.abc import Callable

import numpy as np

from msgpass.kernels.runtime import aligned_empty, jit, run_pair, work_memory
from msgpass.kernels.simd import (
    broadcast,
    first,
    horizontal_max,
    horizontal_sum,
    load,
    maximum,
    select,
    splat,
    store,
)

ROOM = 32
"""Numbers between what one thread writes and the other reads, two pairs of cache lines."""

CLOSE = 1e-12
"""Choices closer than this, relative to the score, are ties: rounding over some thousand steps."""


@jit(forceinline=True, _nrt=False)
def _through(x, p, depth, table, width, out):
    """``out[j] = max_i (x[p + i] + table[i, j])``; ``depth`` a multiple of 4, ``width`` of 8."""
    low = splat(-np.inf)
    column = 0
    while column + 32 <= width:
        c0, c1, c2, c3, c4, c5, c6, c7 = low, low, low, low, low, low, low, low
        for i in range(0, depth, 2):
            q = i * width + column
            b = broadcast(x, p + i)
            c0, c1 = maximum(b + load(table, q), c0), maximum(b + load(table, q + 8), c1)
            c2, c3 = maximum(b + load(table, q + 16), c2), maximum(b + load(table, q + 24), c3)
            b = broadcast(x, p + i + 1)
            q += width
            c4, c5 = maximum(b + load(table, q), c4), maximum(b + load(table, q + 8), c5)
            c6, c7 = maximum(b + load(table, q + 16), c6), maximum(b + load(table, q + 24), c7)
        store(out, column, maximum(c4, c0)), store(out, column + 8, maximum(c5, c1))
        store(out, column + 16, maximum(c6, c2)), store(out, column + 24, maximum(c7, c3))
        column += 32
    while column < width:
        c0, c1, c2, c3 = low, low, low, low
        for i in range(0, depth, 4):
            q = i * width + column
            c0 = maximum(broadcast(x, p + i) + load(table, q), c0)
            c1 = maximum(broadcast(x, p + i + 1) + load(table, q + width), c1)
            c2 = maximum(broadcast(x, p + i + 2) + load(table, q + 2 * width), c2)
            c3 = maximum(broadcast(x, p + i + 3) + load(table, q + 3 * width), c3)
        store(out, column, maximum(maximum(c3, c2), maximum(c1, c0)))
        column += 8


@jit(forceinline=True, _nrt=False)
def _row(rows, t, n_states):
    return (rows[t] if rows.size else t) * n_states


@jit(forceinline=True, _nrt=False)
def _add_evidence(y, log_evidence, e, n_states, width, out, d):
    """``out[d:] = y + log_evidence[e:]``, padded with −∞."""
    whole = n_states - n_states % 8
    for k in range(0, whole, 8):
        store(out, d + k, load(y, k) + load(log_evidence, e + k))
    for k in range(whole, width):
        out[d + k] = y[k] + log_evidence[e + k] if k < n_states else -np.inf


@jit
def forward(opening, table, depth, width, n_states, log_evidence, rows, start, begin, end, delta, y):
    """δ of steps ``begin:end`` of the sequence that starts at ``start``, rows of ``delta``."""
    for t in range(begin, end):
        d = (t - start) * width
        if t > start:
            _through(delta, d - width, depth, table, width, y)
        else:
            for k in range(0, width, 8):
                store(y, k, load(opening, k))
        _add_evidence(y, log_evidence, _row(rows, t, n_states), n_states, width, delta, d)


@jit
def backward(transposed, depth, width, n_states, log_evidence, rows, start, begin, end, delta, y):
    """ω of steps ``end − 1`` down to ``begin``; what ω says of the step before is left in ``y``."""
    y[:] = 0.0
    for t in range(end - 1, begin - 1, -1):
        d = (t - start) * width
        _add_evidence(y, log_evidence, _row(rows, t, n_states), n_states, width, delta, d)
        _through(delta, d, depth, transposed, width, y)


@jit(forceinline=True, _nrt=False)
def _best(x, p, y, q, width):
    """(lowest state, value) of the largest entry of ``x[p:] + y[q:]``."""
    peak = load(x, p) + load(y, q)
    for k in range(8, width, 8):
        peak = maximum(load(x, p + k) + load(y, q + k), peak)
    best = horizontal_max(peak)
    state = 0
    for k in range(0, width, 8):
        lane = first(load(x, p + k) + load(y, q + k) == splat(best))
        if lane < 8:
            state = k + lane
            break
    return state, best


@jit(forceinline=True, _nrt=False)
def _rivals(x, p, y, q, width, low):
    """Number of entries of ``x[p:] + y[q:]`` that are not below ``low``."""
    count, one, zero = splat(0.0), splat(1.0), splat(0.0)
    floor = splat(low)
    for k in range(0, width, 8):
        count = count + select(load(x, p + k) + load(y, q + k) >= floor, one, zero)
    return horizontal_sum(count)


@jit
def choose(x, p, y, width, close):
    """(lowest state, value, whether alone) of the largest entry of ``x[p:] + y``."""
    state, best = _best(x, p, y, 0, width)
    alone = best > -np.inf and _rivals(x, p, y, 0, width, best - close * abs(best)) == 1.0
    return state, best, alone


@jit
def walk_back(transposed, width, start, begin, end, delta, state, path):
    """The path of ``begin:end`` that goes on in ``state``, a row of ``transposed``; the score at its end."""
    score = -np.inf
    for t in range(end - 1, begin - 1, -1):
        state, best = _best(delta, (t - start) * width, transposed, state * width, width)
        path[t] = state
        if t == end - 1:
            score = best
    return score


@jit
def walk_on(table, width, n_states, log_evidence, rows, start, begin, end, delta, state, score, gap, path):
    """The path of ``begin:end`` after ``state`` with its score, and whether no choice was within ``gap``."""
    for t in range(begin, end):
        d, r, before = (t - start) * width, state * width, state
        state, best = _best(delta, d, table, r, width)
        if _rivals(delta, d, table, r, width, best - gap) != 1.0:
            return score, False
        path[t] = state
        score = (score + table[before * width + state]) + log_evidence[_row(rows, t, n_states) + state]
    return score, True


def _one_after_the_other(f: Callable, args_f: tuple, g: Callable, args_g: tuple) -> tuple:
    return f(*args_f), g(*args_g)


def one(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    path: np.ndarray,
    threaded: bool,
) -> float:
    """Best score of sequence ``start:stop``, with its path written in place."""
    n_states, both_ways = len(log_init), run_pair if threaded else _one_after_the_other
    width, depth = -(-n_states // 8) * 8, -(-n_states // 4) * 4
    opening = aligned_empty(width)
    # Transition and transpose; then a row of zeros, which ends a path, the message of a thread, and room.
    # Lines are fetched in pairs: a message beside what the other thread reads went to and fro between the
    # cores at half the speed, or not, as memory happened to lie.
    both = aligned_empty((2, depth + 2 + -(-ROOM // width), width))
    ys = both[0, depth + 1], both[1, depth + 1]
    opening[:], both[:], both[:, depth:] = -np.inf, -np.inf, 0.0
    opening[:n_states] = log_init
    both[0, :n_states, :n_states], both[1, :n_states, :n_states] = log_transition, log_transition.T
    table, transposed = both[0].ravel(), both[1].ravel()
    middle = (start + stop + 1) // 2
    local = (n_states, log_evidence.ravel(), rows, start)
    with work_memory(int(stop - start) * width) as (delta,):
        both_ways(
            forward,
            (opening, table, depth, width, *local, start, middle, delta, ys[0]),
            backward,
            (transposed, depth, width, *local, middle, stop, delta, ys[1]),
        )
        cut = (middle - 1 - start) * width
        state, best, alone = choose(delta, cut, ys[1], width, CLOSE)
        if alone:
            (score, alone), _ = both_ways(
                walk_on,
                (
                    table,
                    width,
                    *local,
                    middle,
                    stop,
                    delta,
                    state,
                    float(delta[cut + state]),
                    CLOSE * abs(best),
                    path,
                ),
                walk_back,
                (transposed, width, start, start, middle - 1, delta, state, path),
            )
            path[middle - 1] = state
        if not alone:
            forward(opening, table, depth, width, *local, middle, stop, delta, ys[0])
            score = walk_back(transposed, width, start, start, stop, delta, depth, path)
    return score
