"""Best path of one long chain with many states: a row of δ is a few vectors. One direction only, and no
back-pointers.

(Two directions that meet in the middle would use a second thread, but break ties differently on either side.)
"""

import numpy as np

from msgpass.kernels.runtime import aligned_empty, jit
from msgpass.kernels.simd import broadcast, first, horizontal_max, load, maximum, splat, store


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


@jit
def best_path(
    log_init, table, depth, transposed, width, n_states, log_evidence, rows, start, stop, path, delta, y
):
    """Score of the best path of ``start:stop``, which is written into ``path``.

    ``table`` (depth, width) and ``transposed`` (K + 1, width), whose last row is 0, are padded with −∞, ``y``
    (width,) starts at zero and ``delta`` has (stop − start, width) entries.
    """
    whole = n_states - n_states % 8
    for t in range(start, stop):
        e = (rows[t] if rows.size else t) * n_states
        d = (t - start) * width
        if t > start:
            _through(delta, d - width, depth, table, width, y)
        else:
            for k in range(0, width, 8):
                store(y, k, load(log_init, k))
        for k in range(0, whole, 8):
            store(delta, d + k, load(y, k) + load(log_evidence, e + k))
        for k in range(whole, width):
            delta[d + k] = y[k] + log_evidence[e + k] if k < n_states else -np.inf
    state, score = n_states, -np.inf
    for t in range(stop - 1, start - 1, -1):
        d, c = (t - start) * width, state * width
        peak = load(delta, d) + load(transposed, c)
        for k in range(8, width, 8):
            peak = maximum(load(delta, d + k) + load(transposed, c + k), peak)
        best = horizontal_max(peak)
        state = 0
        for k in range(0, width, 8):
            lane = first(load(delta, d + k) + load(transposed, c + k) == splat(best))
            if lane < 8:
                state = k + lane
                break
        path[t] = state
        if t == stop - 1:
            score = best
    return score


def one(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    path: np.ndarray,
) -> float:
    """Best score of sequence ``start:stop``, with its path written in place."""
    n_states = len(log_init)
    width, depth = -(-n_states // 8) * 8, -(-n_states // 4) * 4
    opening, table, transposed = (
        aligned_empty(width),
        aligned_empty((depth, width)),
        aligned_empty((n_states + 1, width)),
    )
    opening[:], table[:], transposed[:] = -np.inf, -np.inf, -np.inf
    opening[:n_states], table[:n_states, :n_states] = log_init, log_transition
    transposed[:n_states, :n_states], transposed[n_states] = log_transition.T, 0.0
    delta, y = aligned_empty(int(stop - start) * width), aligned_empty(width)
    return best_path(
        opening,
        table.ravel(),
        depth,
        transposed.ravel(),
        width,
        n_states,
        log_evidence.ravel(),
        rows,
        start,
        stop,
        path,
        delta,
        y,
    )
