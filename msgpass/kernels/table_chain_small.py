"""The E-step of chains in lanes on one thread as one compiled call: memory, sweep and sums.

For 50 sequences of 100 steps and 2 states the sweep itself takes 13 µs; NumPy's calls around it took 40.
Bits are those of :func:`msgpass.kernels.table_chain_large.scaled_sweep`.
"""

import numpy as np

from msgpass.kernels.runtime import ALIGNMENT, jit
from msgpass.kernels.table_chain_gather import LANES
from msgpass.kernels.table_chain_lane_places import TABLES
from msgpass.kernels.table_chain_lane_sweep import expected_counts as sweep
from msgpass.kernels.table_chain_row_counts import add_rows
from msgpass.kernels.table_chain_scalar import count_rows

WITHIN, IN_TURNS, BY_TIME = 0, 1, 2


@jit
def _aligned(size):
    """Not initialised, from a multiple of 64 bytes on."""
    memory = np.empty(size + ALIGNMENT // 8)
    skip = (-memory.ctypes.data % ALIGNMENT) // 8
    return memory[skip : skip + size]


@jit
def _row_counts(rows, gamma, n_rows):
    """As :func:`msgpass.kernels.table_chain_row_counts.row_counts`, which hands half to a second thread."""
    middle, n_states = rows.size // 2, gamma.shape[1]
    by_part = np.zeros((2 * TABLES, n_rows, n_states))
    add_rows(rows, gamma, 0, middle, by_part[:TABLES])
    add_rows(rows, gamma, middle, rows.size, by_part[TABLES:])
    return _total(by_part)


@jit
def _total(tables):
    """Sum over the first axis, in order."""
    total = tables[0].copy()
    for table in tables[1:]:
        total += table
    return total


@jit
def _across(s):
    """Sum over lanes, as NumPy adds them."""
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))


@jit
def expected_counts(
    init, transition, evidence, rows, offsets, place, starts, lengths, lost, counting, want_gamma
):
    """γ, ξ and what they add up to.

    Parameters
    ----------
    init, transition, evidence, rows
        (K,), (K, K), (R, K) and (T,), or (0,) for evidence in order; as
        :class:`~msgpass.kernels.table_chain_types.ChainProblem`, contiguous.
    offsets : (N + 1,)
    place, starts, lengths
        :class:`~msgpass.kernels.table_chain_groups.Groups` of all sequences.
    lost : float
    counting : int
        How γ is added up by row of evidence: within the sweep, or after it in turns or by time.
    want_gamma : bool

    Returns
    -------
    gamma : (T, K), or (0, K) if neither wanted nor needed
    xi : (K, K)
    initial : (K,)
        Σ γ of the first steps.
    counts : (R, K), or (0, K) without ``rows``
    mantissa, exponent : (N,)
    n_failed : int
        Sequences of a vanished scale; garbage is in all of this if there are any.
    """
    n_states, n_rows = evidence.shape[1], evidence.shape[0]
    width = 2 if n_states == 2 else -(-n_states // 4) * 4
    step, lanes = width * LANES, lengths.size
    start, end = _aligned(n_states * LANES), _aligned(n_states * LANES)
    table, transposed = _aligned(n_states * width), _aligned(n_states * width)
    end[:], table[:], transposed[:] = 1.0, 0.0, 0.0
    for i in range(n_states):
        start[i * LANES : (i + 1) * LANES] = init[i]
        for j in range(n_states):
            table[i * width + j] = transposed[j * width + i] = transition[i, j]
    by_lane = _aligned(2 * step * width)
    by_lane[:] = 0.0
    pairs = by_lane.reshape(2, step * width)
    by_row = np.zeros((2, TABLES * n_rows * n_states if counting == WITHIN else 0))
    work = _aligned(2 * lengths.max() * step + step + max(width, LANES) * LANES)
    if width != n_states:
        work[:] = 0.0  # padding is read, though without effect
    heads, edges = np.zeros((2, step)), np.empty((0, 0, 0))
    kept = offsets[-1] if want_gamma or counting != WITHIN else 0
    z, gamma = np.empty(3 * lanes), _aligned(kept * n_states).reshape(-1, n_states)
    sweep(
        start,
        0,
        False,
        end,
        0,
        table,
        transposed,
        n_states,
        width,
        evidence.ravel(),
        rows,
        starts,
        lengths,
        2,
        lost,
        z,
        gamma.ravel(),
        by_row,
        heads,
        edges,
        pairs,
        work,
    )
    xi = np.empty((n_states, n_states))
    for i in range(n_states):
        for j in range(n_states):
            p = (i * width + j) * LANES
            xi[i, j] = _across(pairs[0, p : p + LANES] + pairs[1, p : p + LANES])
    initial = np.zeros(n_states)
    if counting == WITHIN:
        for i in range(n_states):
            p = i * LANES
            initial[i] = _across(heads[0, p : p + LANES]) + _across(heads[1, p : p + LANES])
    else:
        for n in range(place.size):
            initial += gamma[offsets[n]]
    if counting == WITHIN:
        counts = _total(by_row.reshape(2 * TABLES, n_rows, n_states))
    elif counting == IN_TURNS:
        counts = _row_counts(rows, gamma, n_rows)
    else:
        counts = np.zeros((n_rows if rows.size else 0, n_states))
        count_rows(rows, gamma, counts)
    mantissa, exponent, n_failed = np.empty(place.size), np.empty(place.size), 0
    for n in range(place.size):
        mantissa[n], exponent[n] = z[place[n]], z[lanes + place[n]]
        n_failed += z[2 * lanes + place[n]] > 0
    return gamma, xi, initial, counts, mantissa, exponent, n_failed
