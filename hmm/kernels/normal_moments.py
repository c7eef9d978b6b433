"""Weighted sums over time for the M-steps of normal emissions.

Arrays are flat: data (C, T), weights (T, K), sums by state; steps first:last are summed, in ``memory`` of
some rows of 64 numbers. Eight lanes of every sum are kept to the end, each of them a sum of eights, so that
rounding grows with the number of blocks and not of steps.
"""

from hmm.kernels.blocks import BLOCK, take_columns, take_rows
from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import fma, load, splat, store


@jit(_nrt=False)
def weighted_sums(weights, columns, n_steps, first, last, memory, sums):
    """``sums[k, c] = Σ_t weights[t, k] columns[c, t]``; ``memory`` has K + C + K C rows."""
    n_columns, n_states = columns.size // n_steps, weights.size // n_steps
    w, x = memory, memory[n_states * BLOCK :]
    lanes = x[n_columns * BLOCK :]
    lanes[: 8 * sums.size] = 0.0
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        take_rows(weights, n_states, start, n, w)
        take_columns(columns, n_steps, start, n, x)
        for k in range(n_states):
            for c in range(n_columns):
                own = splat(0.0)
                for j in range(0, n, 8):
                    own = fma(load(w, k * BLOCK + j), load(x, c * BLOCK + j), own)
                at = (k * n_columns + c) * 8
                store(lanes, at, load(lanes, at) + own)
    _add_lanes(lanes, sums)


@jit(_nrt=False)
def diagonal_scatter(weights, filled, observed, n_steps, centres, first, last, memory, sums):
    """``sums[k, d] = Σ_t weights[t, k] (x_td − centres[k, d])²`` over observed cells.

    ``observed`` is empty if nothing is missing; ``memory`` has K + 2 D + K D rows.
    """
    n_features, n_states = filled.size // n_steps, weights.size // n_steps
    size = n_features * BLOCK
    w, x = memory, memory[n_states * BLOCK :]
    shown, lanes = x[size:], x[2 * size :]
    lanes[: 8 * sums.size] = 0.0
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        take_rows(weights, n_states, start, n, w)
        take_columns(filled, n_steps, start, n, x)
        if observed.size:
            take_columns(observed, n_steps, start, n, shown)
        for k in range(n_states):
            for d in range(n_features):
                centre, own = splat(centres[k * n_features + d]), splat(0.0)
                for j in range(0, n, 8):
                    gap = load(x, d * BLOCK + j) - centre
                    if observed.size:
                        gap = gap * load(shown, d * BLOCK + j)
                    own = fma(load(w, k * BLOCK + j) * gap, gap, own)
                at = (k * n_features + d) * 8
                store(lanes, at, load(lanes, at) + own)
    _add_lanes(lanes, sums)


@jit(_nrt=False)
def matrix_scatter(weights, filled, n_steps, centres, first, last, memory, sums):
    """``sums[k, i, j] = Σ_t weights[t, k] (x_ti − c_ki)(x_tj − c_kj)``, both triangles.

    ``memory`` has K + 3 D + K D² rows.
    """
    n_features, n_states = filled.size // n_steps, weights.size // n_steps
    size = n_features * BLOCK
    w, x = memory, memory[n_states * BLOCK :]
    gaps, pulls, lanes = x[size:], x[2 * size :], x[3 * size :]
    lanes[: 8 * sums.size] = 0.0
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        take_rows(weights, n_states, start, n, w)
        take_columns(filled, n_steps, start, n, x)
        for k in range(n_states):
            for d in range(n_features):
                centre = splat(centres[k * n_features + d])
                for j in range(0, n, 8):
                    gap = load(x, d * BLOCK + j) - centre
                    store(gaps, d * BLOCK + j, gap)
                    store(pulls, d * BLOCK + j, load(w, k * BLOCK + j) * gap)
            for i in range(n_features):
                for d in range(i + 1):
                    own = splat(0.0)
                    for j in range(0, n, 8):
                        own = fma(load(pulls, i * BLOCK + j), load(gaps, d * BLOCK + j), own)
                    at = ((k * n_features + i) * n_features + d) * 8
                    store(lanes, at, load(lanes, at) + own)
    _add_lanes(lanes, sums)
    for k in range(n_states):
        for i in range(n_features):
            for d in range(i):
                sums[(k * n_features + d) * n_features + i] = sums[(k * n_features + i) * n_features + d]


@jit(_nrt=False)
def _add_lanes(lanes, sums):
    for i in range(sums.size):
        p = 8 * i
        low = (lanes[p] + lanes[p + 1]) + (lanes[p + 2] + lanes[p + 3])
        sums[i] = low + ((lanes[p + 4] + lanes[p + 5]) + (lanes[p + 6] + lanes[p + 7]))
