"""Forward-backward over many chains with many states: eight sequences are the rows of a small matrix product.

A group's messages at one time step form an 8 × K matrix, row after row; crossing the transition is a matrix
product over packed panels of 16 columns, whose 8 × 16 results stay in registers, and Σ ξ is the same product
with time and sequence as its inner dimension. Scaling is that of
:mod:`~msgpass.kernels.table_chain_lane_sweep`.
"""

import numpy as np

from msgpass.kernels.runtime import aligned_empty, aligned_zeros, jit, run_pair, work_memory
from msgpass.kernels.simd import (
    broadcast,
    horizontal_max,
    horizontal_sum,
    load,
    maximum,
    splat,
    split_exponent,
    store,
    transpose8,
)
from msgpass.kernels.table_chain_gather import LANES, locate
from msgpass.kernels.table_chain_groups import groups
from msgpass.kernels.table_chain_lanes import padded, ungrouped
from msgpass.kernels.table_chain_tile import COLUMNS, tile

_BLOCK = 8  # time steps whose pairs are added up at once: 64 rows of α and w stay in the first-level cache


@jit(forceinline=True, _nrt=False)
def _cross(message, m, n_states, width, panels, out, o):
    """Eight rows of messages through a packed table."""
    for column in range(0, width, COLUMNS):
        tile(
            message, m, width, 1, panels, column * n_states, COLUMNS, n_states, out, o + column, width, False
        )


@jit(forceinline=True, _nrt=False)
def _row_sums(sums):
    """The sums of the rows of an 8 × 8 block, as one vector."""
    r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(
        load(sums, 0),
        load(sums, 8),
        load(sums, 16),
        load(sums, 24),
        load(sums, 32),
        load(sums, 40),
        load(sums, 48),
        load(sums, 56),
    )
    return ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))


@jit
def expected_counts(
    start,
    start_step,
    absorbed,
    end,
    end_step,
    panels,
    transposed,
    n_states,
    width,
    evidence,
    rows,
    starts,
    lengths,
    part,
    lost,
    z,
    gamma,
    counts,
    initial,
    edges,
    xi,
    alpha,
    outgoing,
    beta,
    sums,
):
    """γ and Σ ξ of the groups ``part``, ``part + 2``, … of eight sequences.

    Parameters
    ----------
    start, end : (8 · groups or 1, width) flat, padded
        First message and last backward message of each sequence; ``start_step`` and ``end_step`` are 0 when
        all share one. With ``absorbed`` the first message contains its evidence already, and no γ is written
        for it.
    panels, transposed : (width / 16, K, 16) flat
        The transition and its transpose, packed.
    evidence, gamma : (R, K) and (T, K) flat
        An empty ``gamma`` is not written; with empty ``counts`` too, and less than two ``edges``, there is
        only the forward half.
    starts, lengths : (8 · groups,)
        First row and length of each sequence; a length of 0 is an empty place.
    z : (3, 8 · groups)
        Out: mantissa and exponent of Z, and 0 or 1 when a scale was lost.
    counts : (R, K) flat, or empty
        Added to: γ by row of evidence, garbage if a scale was lost.
    initial : (width,)
        Added to: γ of the first steps, garbage if a scale was lost.
    edges : (0 to 2, 8 · groups, width)
        Out: α of each sequence's last step; and β of its first, for absorbed first messages and lengths of 2
        and more.
    xi : (width, width) flat, or empty
        Added to: Σ α w, without the factor A.
    alpha, outgoing : (longest, 8, width) flat
    beta : (8, width) flat
    sums : (8, 8) flat
    """
    step = LANES * width
    whole, opening = n_states - n_states % 8, 1 if absorbed else 0
    at, first_row, last_row = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    totals, scales, exponents = np.ones(LANES), np.ones(LANES), np.zeros(LANES)
    smallest, closing = np.empty(LANES), np.empty(LANES)
    for g in range(part * LANES, lengths.size, 2 * LANES):
        longest = 0
        for r in range(LANES):
            longest = max(longest, lengths[g + r])
            first_row[r] = starts[g + r]
            last_row[r] = starts[g + r] + max(lengths[g + r] - 1, 0)
            scales[r], exponents[r], smallest[r] = 1.0, 0.0, 1.0
        for t in range(longest):
            now = t * step
            locate(at, first_row, last_row, t, rows, n_states)
            if t > 0:
                _cross(alpha, now - step, n_states, width, panels, alpha, now)
            for r in range(LANES):
                p = now + r * width
                scale = broadcast(scales, r)
                for k in range(0, whole, 8):
                    store(outgoing, p + k, load(evidence, at[r] + k) * scale)
                for k in range(whole, n_states):
                    outgoing[p + k] = evidence[at[r] + k] * scales[r]
                for k in range(n_states, width):
                    outgoing[p + k] = 0.0
                total = splat(0.0)
                for k in range(0, width, 8):
                    before = load(start, (g + r) * start_step + k) if t == 0 else load(alpha, p + k)
                    a = before if t < opening else before * load(outgoing, p + k)
                    store(alpha, p + k, a)
                    total = total + a
                store(sums, 8 * r, total)
            total = _row_sums(sums)
            inverse, shift = split_exponent(total)
            store(totals, 0, total)
            store(scales, 0, inverse)
            store(closing, 0, shift)
            for r in range(LANES):
                if t < lengths[g + r]:
                    smallest[r] = min(smallest[r], totals[r]) if totals[r] == totals[r] else 0.0
                    if t == lengths[g + r] - 1:
                        z[1, g + r] = exponents[r]
                        both, p = splat(0.0), now + r * width
                        for k in range(0, width, 8):
                            a = load(alpha, p + k)
                            both = both + a * load(end, (g + r) * end_step + k)
                            if edges.shape[0] > 0:
                                for lane in range(8):
                                    edges[0, g + r, k + lane] = alpha[p + k + lane]
                        z[0, g + r] = horizontal_sum(both)
                        smallest[r] = min(smallest[r], z[0, g + r]) if z[0, g + r] == z[0, g + r] else 0.0
                exponents[r] += closing[r]

        if gamma.size == 0 and counts.size == 0 and edges.shape[0] < 2:
            for r in range(LANES):
                z[2, g + r] = 0.0 if smallest[r] >= lost else 1.0
            continue
        for r in range(LANES):
            alive = lengths[g + r] > 0 and smallest[r] >= lost
            closing[r] = 1.0 / z[0, g + r] if alive else 0.0
            store(sums, 8 * r, splat(0.0))
        beta[:] = 0.0
        for t in range(longest - 1, opening - 1, -1):
            now = t * step
            if t < longest - 1:
                _cross(outgoing, now + step, n_states, width, transposed, beta, 0)
            for r in range(LANES):
                p, b = now + r * width, r * width
                if t == lengths[g + r] - 1:
                    for k in range(0, width, 8):
                        store(beta, b + k, load(end, (g + r) * end_step + k) * broadcast(closing, r))
                peak = load(sums, 8 * r)
                for k in range(0, width, 8):
                    backward = load(beta, b + k)
                    peak = maximum(backward, peak)
                    store(outgoing, p + k, load(outgoing, p + k) * backward)
                    store(beta, b + k, load(alpha, p + k) * backward)
                store(sums, 8 * r, peak)
                if t >= lengths[g + r]:
                    continue
                if t == 0:
                    for k in range(0, width, 8):
                        store(initial, k, load(initial, k) + load(beta, b + k))
                if gamma.size:
                    to = (first_row[r] + t) * n_states
                    for k in range(0, whole, 8):
                        store(gamma, to + k, load(beta, b + k))
                    for k in range(whole, n_states):
                        gamma[to + k] = beta[b + k]
                if counts.size:
                    to = rows[first_row[r] + t] * n_states
                    for k in range(0, whole, 8):
                        store(counts, to + k, load(counts, to + k) + load(beta, b + k))
                    for k in range(whole, n_states):
                        counts[to + k] += beta[b + k]

        if edges.shape[0] == 2 and longest > 1 and absorbed:
            _cross(outgoing, step, n_states, width, transposed, beta, 0)
            for r in range(LANES):
                for k in range(width):
                    edges[1, g + r, k] = beta[r * width + k]
        for r in range(LANES):
            sound = smallest[r] >= lost and horizontal_max(load(sums, 8 * r)) <= 1.0 / lost
            z[2, g + r] = 0.0 if sound else 1.0
            if not sound:
                for t in range(longest):
                    for k in range(t * step + r * width, t * step + (r + 1) * width):
                        alpha[k] = 0.0
                        outgoing[k] = 0.0
        for t in range(0, longest - 1 if xi.size else 0, _BLOCK):
            depth = LANES * min(_BLOCK, longest - 1 - t)
            for column in range(0, width, COLUMNS):
                for i in range(0, width, LANES):
                    tile(
                        alpha,
                        t * step + i,
                        1,
                        width,
                        outgoing,
                        (t + 1) * step + column,
                        width,
                        depth,
                        xi,
                        i * width + column,
                        width,
                        True,
                    )


def padded_width(n_states: int) -> int:
    """Columns of a message that the tiles' kernel works on."""
    return -(-n_states // COLUMNS) * COLUMNS


def packed(table: np.ndarray, width: int) -> np.ndarray:
    """Panels of 16 columns, each contiguous, padded with zeros: (width / 16, K, 16) flat and aligned."""
    n_states = len(table)
    full = np.zeros((n_states, width))
    full[:, :n_states] = table
    panels = aligned_empty((width // COLUMNS, n_states, COLUMNS))
    panels[...] = full.reshape(n_states, -1, COLUMNS).transpose(1, 0, 2)
    return panels.ravel()


def run(
    start: np.ndarray,
    absorbed: bool,
    end: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    lost: float,
    gamma: np.ndarray,
    threaded: bool,
    counts: np.ndarray | None = None,
    initial: np.ndarray | None = None,
    edges: np.ndarray | None = None,
    paired: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`expected_counts` over all groups in two fixed parts; ``start`` and ``end`` (8 · groups or 1, K).

    Where ``counts`` (R, K) and ``initial`` (K,) are given, γ by row of evidence and γ of the first steps are
    added to them, and ``gamma`` may be empty. ``edges`` (…, K) as there.

    Returns
    -------
    z : ndarray, shape (3, 8 · groups)
        Mantissa, exponent and failure of each sequence.
    xi : ndarray, shape (K, K)
        Without the factor A; zeros unless ``paired``.
    """
    n_states = len(transition)
    width = padded_width(n_states)
    z = np.zeros((3, len(lengths)))
    xi, heads = aligned_zeros((2, width * width if paired else 0)), aligned_zeros((2, width))
    by_row = aligned_zeros((2, 0 if counts is None else counts.size))
    borders = np.empty((0 if edges is None else len(edges), len(lengths), width))
    first, last = (padded(messages, width) for messages in (start, end))
    panels, transposed = packed(transition, width), packed(transition.T, width)

    def arguments(part: int, *work: np.ndarray) -> tuple:
        return (
            first,
            width if len(start) > 1 else 0,
            absorbed,
            last,
            width if len(end) > 1 else 0,
            panels,
            transposed,
            n_states,
            width,
            evidence.ravel(),
            rows,
            starts,
            lengths,
            part,
            lost,
            z,
            gamma.ravel(),
            by_row[part],
            heads[part],
            borders,
            xi[part],
            *work,
        )

    size = int(lengths.max()) * LANES * width
    sizes = size, size, LANES * width, LANES * LANES
    with work_memory(*sizes, *sizes) as work:
        both = arguments(0, *work[:4]), arguments(1, *work[4:])
        if threaded:
            run_pair(expected_counts, both[0], expected_counts, both[1])
        else:
            expected_counts(*both[0])
            expected_counts(*both[1])
    if counts is not None:
        counts += (by_row[0] + by_row[1]).reshape(counts.shape)
    if initial is not None:
        initial += (heads[0] + heads[1])[:n_states]
    if edges is not None:
        edges[...] = borders[:, :, :n_states]
    if not paired:
        return z, np.zeros((n_states, n_states))
    return z, (xi[0] + xi[1]).reshape(width, width)[:n_states, :n_states]


def many(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    lost: float,
    gamma: np.ndarray,
    threaded: bool,
    counts: np.ndarray | None = None,
    initial: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Many sequences with one transition (K, K), whose rows of ``gamma`` are written in place.

    Where ``counts`` (R, K) and ``initial`` (K,) are given, γ by row of evidence and γ of the first steps are
    added to them, garbage if a sequence fails; ``gamma`` may then be empty. Without both only the scales are
    computed.

    Returns
    -------
    mantissa, exponent : ndarray, shape (N,)
    xi : ndarray, shape (K, K)
        Without the factor A.
    failed : ndarray of bool, shape (N,)
    """
    _, place, starts, lengths = groups(starts, lengths)
    tables = init[None], False, np.ones((1, len(init))), transition, evidence, rows
    z, xi = run(*tables, starts, lengths, lost, gamma, threaded, counts, initial)
    mantissa, exponent, failed = ungrouped(z, place)
    return mantissa, exponent, xi, failed
