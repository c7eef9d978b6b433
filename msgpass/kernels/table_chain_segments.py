"""Forward-backward over one long chain with few states: cut into segments, which are the lanes of a vector.

The transfer matrix of every segment, M_s = Π_t A·diag(e_t), is computed with eight segments in the lanes of a
vector; a short sweep over these matrices gives α and β at every cut, exactly and not by forgetting; then the
segments are independent chains for :mod:`~msgpass.kernels.table_chain_lanes`. That is K + 3 sweeps' worth of
arithmetic for 3, but all of it in vectors and with no recursion to wait for, which for K ≤ 8 is two to five
times faster than going step by step.
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels import table_chain_lanes as lanes
from msgpass.kernels.runtime import aligned_empty, jit, run_pair
from msgpass.kernels.simd import load, select, splat, split_exponent, store
from msgpass.kernels.table_chain_gather import LANES, fetch, fetch_steps, locate, rows_in_a_vector
from msgpass.kernels.table_chain_lane_blocks import cross
from msgpass.kernels.table_chain_scalar import power_exponent, power_of_two

_CACHED = 2048  # messages of a segment, in vectors: α and w of eight segments stay in the second-level cache


@jit
def transfers(table, n_states, width, evidence, rows, starts, lengths, part, matrices, exponents, local):
    """M_s · 2^−exponent of the groups ``part``, ``part + 2``, … of eight segments.

    Parameters
    ----------
    table : (K, width) flat
    starts, lengths : (8 · groups,)
        First row, which belongs to the segment before, and length with it.
    matrices : (groups, K, width, 8) flat
    exponents : (8 · groups,)
    local : (max(width, 8), 8) flat
    """
    row, block = LANES * width, rows_in_a_vector(n_states)
    one, zero = splat(1.0), splat(0.0)
    at, first_row, last_row = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    length_of = np.empty(LANES)
    fresh = np.empty(row)
    for g in range(part * LANES, lengths.size, 2 * LANES):
        m = (g // LANES) * n_states * row
        longest, shortest = lengths[g], lengths[g]
        for lane in range(LANES):
            longest, shortest = max(longest, lengths[g + lane]), min(shortest, lengths[g + lane])
            length_of[lane] = lengths[g + lane]
            first_row[lane] = starts[g + lane]
            last_row[lane] = starts[g + lane] + max(lengths[g + lane] - 1, 0)
        ends = load(length_of, 0)
        whole = 1 + (shortest - 1) // block * block if block > 1 else 0
        for i in range(n_states):
            for j in range(width):
                store(matrices, m + i * row + LANES * j, one if i == j else zero)
        inverse, exponent = one, zero
        for t in range(1, longest):
            slot = 0
            if t >= whole:
                locate(at, first_row, last_row, t, rows, n_states)
                fetch(evidence, at, n_states, local, 0)
            else:
                slot = (t - 1) % block * row
                if slot == 0:
                    fetch_steps(evidence, rows, first_row, t, n_states, local)
            for k in range(slot, slot + LANES * n_states, LANES):
                store(local, k, load(local, k) * inverse)
            running = splat(float(t)) < ends
            total = zero
            for i in range(n_states):
                p = m + i * row
                cross(matrices, p, n_states, table, width, fresh, 0)
                for k in range(n_states):
                    value = load(fresh, LANES * k) * load(local, slot + LANES * k)
                    value = select(running, value, load(matrices, p + LANES * k))
                    store(matrices, p + LANES * k, value)
                    total = total + value
            # A segment that has ended keeps its matrix; its scale no longer matters.
            exponent = select(running, exponent + split_exponent(inverse)[1], exponent)
            inverse, _ = split_exponent(total)
        store(exponents, g, zero - exponent)


@jit
def boundaries(matrices, exponents, n_states, width, segments, lost, alpha, beta):
    """α (with its evidence) and β at every cut, each scaled by a power of two.

    ``alpha[0]`` is given. Returns (mantissa, exponent) of Z; a mantissa of −1 when a scale falls below
    ``lost``.
    """
    row = LANES * width
    exponent = 0
    for s in range(segments):
        m = (s // LANES) * n_states * row + s % LANES
        peak = 0.0
        for j in range(n_states):
            total = 0.0
            for i in range(n_states):
                total += alpha[s, i] * matrices[m + i * row + LANES * j]
            alpha[s + 1, j] = total
            peak = max(peak, total)
        if not peak >= lost:
            return -1.0, 0
        shift = power_exponent(peak)
        exponent += shift + np.int64(exponents[s])
        for j in range(n_states):
            alpha[s + 1, j] *= power_of_two(-shift)
    beta[segments] = 1.0
    for s in range(segments - 1, -1, -1):
        m = (s // LANES) * n_states * row + s % LANES
        peak = 0.0
        for i in range(n_states):
            total = 0.0
            for j in range(n_states):
                total += beta[s + 1, j] * matrices[m + i * row + LANES * j]
            beta[s, i] = total
            peak = max(peak, total)
        if not peak >= lost:
            return -1.0, 0
        for i in range(n_states):
            beta[s, i] *= power_of_two(-power_exponent(peak))
    return alpha[segments].sum(), exponent


def segments_of(start: int, stop: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """First row and length of an even number of groups of segments, each beginning where the last ended."""
    pairs = int(stop - start - 1)
    groups = 2 * max(pairs * width // (2 * LANES * _CACHED), 1)
    share, rest = divmod(pairs, LANES * groups)
    lengths = np.full(LANES * groups, share + 1)
    lengths[:rest] += 1
    return start + np.concatenate(([0], np.cumsum(lengths[:-1] - 1))), lengths


def in_lanes(messages: np.ndarray) -> np.ndarray:
    """(segments, K) to (groups, K, 8)."""
    return np.ascontiguousarray(messages.reshape(-1, LANES, messages.shape[1]).transpose(0, 2, 1))


class Cuts(NamedTuple):
    """A chain cut into segments: where they lie, and the messages between them."""

    starts: np.ndarray
    lengths: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    mantissa: float
    exponent: float


def cut(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    lost: float,
    threaded: bool,
) -> Cuts:
    """α, with its evidence, and β at every cut of ``start:stop``; a mantissa of −1 when a scale is lost."""
    n_states = len(init)
    width = lanes.padded_width(n_states)
    starts, lengths = segments_of(start, stop, width)
    segments = len(starts)
    table = lanes.padded(transition, width)
    matrices, exponents = aligned_empty(segments * n_states * width), np.empty(segments)

    def arguments(part: int) -> tuple:
        return (
            table,
            n_states,
            width,
            evidence.ravel(),
            rows,
            starts,
            lengths,
            part,
            matrices,
            exponents,
            aligned_empty(max(width, LANES) * LANES),
        )

    if threaded:
        run_pair(transfers, arguments(0), transfers, arguments(1))
    else:
        transfers(*arguments(0))
        transfers(*arguments(1))
    alpha, beta = np.empty((segments + 1, n_states)), np.empty((segments + 1, n_states))
    alpha[0] = init * evidence[rows[start] if rows.size else start]
    z = boundaries(matrices, exponents, n_states, width, segments, lost, alpha, beta)
    return Cuts(starts, lengths, alpha, beta, *z)


def scale(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    lost: float,
    threaded: bool,
) -> tuple[float, float, bool]:
    """(mantissa, exponent, failed) of Z of sequence ``start:stop``, of at least 256 steps."""
    cuts = cut(init, transition, evidence, rows, start, stop, lost, threaded)
    return cuts.mantissa, cuts.exponent, not cuts.mantissa > 0


def one(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray,
    start: int,
    stop: int,
    lost: float,
    gamma: np.ndarray,
    threaded: bool,
    counts: np.ndarray | None = None,
    initial: np.ndarray | None = None,
) -> tuple[float, float, np.ndarray, bool]:
    """Sequence ``start:stop`` of at least 256 steps; γ is written in place, the rest as in ``lanes.many``.

    Returns
    -------
    mantissa, exponent : float
    xi : ndarray, shape (K, K)
        Without the factor A.
    failed : bool
    """
    cuts = cut(init, transition, evidence, rows, start, stop, lost, threaded)
    alpha, beta = cuts.alpha, cuts.beta
    if cuts.mantissa <= 0:
        return 0.0, 0, np.zeros(transition.shape), True
    joint = alpha[0] * beta[0]
    first = joint / joint.sum()
    if gamma.size:
        gamma[start] = first
    if counts is not None:
        counts[rows[start]] += first
    if initial is not None:
        initial += first
    z, xi = lanes.run(
        in_lanes(alpha[:-1]),
        True,
        in_lanes(beta[1:]),
        transition,
        evidence,
        rows,
        cuts.starts,
        cuts.lengths,
        lost,
        gamma,
        threaded,
        counts,
    )
    return cuts.mantissa, cuts.exponent, xi, bool(z[2].any())
