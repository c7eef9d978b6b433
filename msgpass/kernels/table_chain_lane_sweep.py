"""Forward and backward over a group of eight sequences, one in each lane of a vector: the compiled half of
the lanes.

The sum of a step is known one step late, so that neither a division nor a logarithm stands in the recursion:
α_t is scaled by the power of two of Σ α_{t−1}, the same factor is folded into the evidence, and β, which ends
at 1/Z, then needs no scaling of its own, since Σ α_t β_t = 1 at every t. A lane whose sequence has ended goes
on with garbage that β = 0 hides.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import (
    any_lane,
    fma,
    load,
    maximum,
    minimum,
    select,
    splat,
    split_exponent,
    store,
)
from msgpass.kernels.table_chain_gather import LANES, fetch, locate, spread
from msgpass.kernels.table_chain_lane_blocks import add_pairs, cross


@jit(forceinline=True, _nrt=False)
def rows_in_a_vector(n_states):
    """Time steps that one transpose moves: 2 and 4 states fill a row of eight with four and two of them."""
    return 8 // n_states if n_states == 2 or n_states == 4 else 1


MANTISSA, EXPONENT, SMALLEST, LARGEST = 0, 8, 16, 24  # places in a group's ``summary``, a vector each


@jit(forceinline=True, _nrt=False)
def _weigh(outgoing, alpha, p, inverse):
    """Scale a state's evidence, and multiply what was predicted by it."""
    local = load(outgoing, p) * inverse
    value = load(alpha, p) * local
    store(outgoing, p, local)
    store(alpha, p, value)
    return value


@jit(_nrt=False)
def forward(
    start,
    absorbed,
    end,
    table,
    n_states,
    width,
    evidence,
    rows,
    first_row,
    last_row,
    longest,
    shortest,
    alpha,
    outgoing,
    at,
    summary,
):
    """α of a group into ``alpha`` and the evidence, scaled as α was, into ``outgoing``.

    ``start`` and ``end`` are (K, 8), the others as in :func:`expected_counts`. Leaves Z and the smallest sum
    of α in ``summary``.
    """
    step = LANES * width
    last, inverse, exponent = load(summary, LARGEST), splat(1.0), splat(0.0)
    mantissas, exponents, smallest = splat(0.0), splat(0.0), splat(1.0)
    opening, block = 1 if absorbed else 0, rows_in_a_vector(n_states)
    whole = 0 if rows.size else opening + max(shortest - opening, 0) // block * block
    for t in range(longest):
        now = t * step
        if t >= opening:
            if t >= whole:
                locate(at, first_row, last_row, t, rows, n_states)
                fetch(evidence, at, n_states, outgoing, now)
            elif (t - opening) % block == 0:
                for lane in range(LANES):
                    at[lane] = (first_row[lane] + t) * n_states
                fetch(evidence, at, block * n_states, outgoing, now)
        total = splat(0.0)
        if t == 0:
            for k in range(0, LANES * n_states, LANES):
                value = load(start, k) if absorbed else load(start, k) * load(outgoing, k)
                store(alpha, k, value)
                total = total + value
        else:
            cross(alpha, now - step, n_states, table, width, alpha, now)
            p, stop = now, now + LANES * n_states
            while p + 4 * LANES <= stop:  # four sums at once: the next step waits for their total
                s0, s1 = _weigh(outgoing, alpha, p, inverse), _weigh(outgoing, alpha, p + 8, inverse)
                s2, s3 = _weigh(outgoing, alpha, p + 16, inverse), _weigh(outgoing, alpha, p + 24, inverse)
                total = total + ((s0 + s1) + (s2 + s3))
                p += 4 * LANES
            while p < stop:
                total = total + _weigh(outgoing, alpha, p, inverse)
                p += LANES
        if t < shortest:
            smallest = minimum(total, smallest)
        else:
            smallest = select(splat(float(t)) > last, smallest, minimum(total, smallest))
        if t >= shortest - 1:
            ends = splat(float(t)) == last
            closing = splat(0.0)
            for k in range(0, LANES * n_states, LANES):
                closing = fma(load(alpha, now + k), load(end, k), closing)
            mantissas = select(ends, closing, mantissas)
            exponents = select(ends, exponent, exponents)
        inverse, shift = split_exponent(total)
        exponent = exponent + shift
    store(summary, MANTISSA, mantissas)
    store(summary, EXPONENT, exponents)
    store(summary, SMALLEST, minimum(mantissas, smallest))


@jit(_nrt=False)
def backward(
    absorbed,
    end,
    transposed,
    n_states,
    width,
    first_row,
    lengths,
    longest,
    shortest,
    lost,
    gamma,
    alpha,
    outgoing,
    beta,
    marginal,
    at,
    summary,
):
    """γ of a group into ``gamma``, w = evidence · β into ``outgoing``, and the largest β into ``summary``."""
    step = LANES * width
    last, low, largest = load(summary, LARGEST), splat(lost), splat(0.0)
    sound = load(summary, SMALLEST) >= low
    closing = select(sound, splat(1.0) / select(sound, load(summary, MANTISSA), low), splat(0.0))
    opening, block = 1 if absorbed else 0, rows_in_a_vector(n_states)
    whole = opening + max(shortest - opening, 0) // block * block
    for k in range(0, LANES * n_states, LANES):
        store(beta, k, splat(0.0))
    for t in range(longest - 1, opening - 1, -1):
        now = t * step
        if t < longest - 1:
            cross(outgoing, now + step, n_states, transposed, width, beta, 0)
        if t >= shortest - 1:
            ends = splat(float(t)) == last
            for k in range(0, LANES * n_states, LANES):
                store(beta, k, select(ends, load(end, k) * closing, load(beta, k)))
        slot = (t - opening) % block * step if t < whole else 0
        for k in range(0, LANES * n_states, LANES):
            value = load(beta, k)
            largest = maximum(value, largest)
            store(outgoing, now + k, load(outgoing, now + k) * value)
            store(marginal, slot + k, load(alpha, now + k) * value)
        if t < whole:
            if slot == 0:
                for lane in range(LANES):
                    at[lane] = (first_row[lane] + t) * n_states
                spread(marginal, 0, at, block * n_states, gamma)
        else:
            for lane in range(LANES):
                if t < lengths[lane]:
                    for k in range(n_states):
                        gamma[(first_row[lane] + t) * n_states + k] = marginal[LANES * k + lane]
    store(summary, LARGEST, largest)


@jit(forceinline=True, _nrt=False)
def _unfold(evidence, rows, first, length, n_states, out, row):
    """The evidence of ``length`` steps from ``first`` on, row after row from ``row`` of ``out`` on."""
    p = row * n_states
    for t in range(first, first + length):
        q = rows[t] * n_states
        if n_states == 2:
            out[p], out[p + 1] = evidence[q], evidence[q + 1]
        else:
            out[p], out[p + 1], out[p + 2], out[p + 3] = (
                evidence[q],
                evidence[q + 1],
                evidence[q + 2],
                evidence[q + 3],
            )
        p += n_states


@jit
def expected_counts(
    start,
    start_step,
    absorbed,
    end,
    end_step,
    table,
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
    xi,
    alpha,
    outgoing,
    beta,
    marginal,
    unfolded,
):
    """γ and Σ ξ of the groups ``part``, ``part + 2``, … of eight sequences.

    Parameters
    ----------
    start, end : (groups or 1, K, 8) flat
        First message and last backward message of each lane; ``start_step`` and ``end_step`` are 0 when all
        groups share one. With ``absorbed`` the first message contains its evidence already, and no γ is
        written for it.
    table, transposed : (K, width) flat
        Transition and its transpose, columns padded with zeros.
    evidence, gamma : (R, K) and (T, K) flat
    starts, lengths : (8 · groups,)
        First row and length of each lane; a length of 0 is an empty lane.
    z : (3, 8 · groups) flat
        Out: mantissa and exponent of Z, and 0 or 1 when a scale was lost, by lane.
    xi : (width, width, 8) flat
        Added to: Σ α w by lane, without the factor A.
    alpha, outgoing : (longest, width, 8) flat
    beta, marginal : (width, 8) and (max(width, 8), 8) flat
    unfolded : (8, longest, K) flat, or empty
        Where there is room, a group's rows of evidence are copied here in the order of time first: eight
        gathers a state and step cost more than that and the transpose of a block.
    """
    step = LANES * width
    at, first_row, last_row = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    summary = np.empty(4 * LANES)
    unfolded_first, unfolded_last = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    in_order = rows[:0]
    total_lanes = lengths.size
    for g in range(part * LANES, total_lanes, 2 * LANES):
        mine = lengths[g : g + LANES]
        longest, shortest = mine.max(), mine.min()
        for lane in range(LANES):
            first_row[lane] = starts[g + lane]
            last_row[lane] = starts[g + lane] + max(mine[lane] - 1, 0)
            summary[LARGEST + lane] = mine[lane] - 1
        first, final = start[g // LANES * start_step :], end[g // LANES * end_step :]
        unfold = unfolded.size > 0
        if unfold:
            for lane in range(LANES):
                unfolded_first[lane] = lane * longest
                unfolded_last[lane] = lane * longest + max(mine[lane] - 1, 0)
                _unfold(evidence, rows, first_row[lane], mine[lane], n_states, unfolded, lane * longest)
        forward(
            first,
            absorbed,
            final,
            table,
            n_states,
            width,
            unfolded if unfold else evidence,
            in_order if unfold else rows,
            unfolded_first if unfold else first_row,
            unfolded_last if unfold else last_row,
            longest,
            shortest,
            alpha,
            outgoing,
            at,
            summary,
        )
        backward(
            absorbed,
            final,
            transposed,
            n_states,
            width,
            first_row,
            mine,
            longest,
            shortest,
            lost,
            gamma,
            alpha,
            outgoing,
            beta,
            marginal,
            at,
            summary,
        )
        zero = splat(0.0)
        sound = select(load(summary, LARGEST) <= splat(1.0 / lost), load(summary, SMALLEST), zero) >= splat(
            lost
        )
        given_up = select(sound, zero, splat(1.0))
        store(z, g, load(summary, MANTISSA))
        store(z, total_lanes + g, load(summary, EXPONENT))
        store(z, 2 * total_lanes + g, given_up)
        if any_lane(given_up > zero):
            for t in range(1, longest):
                for p in range(t * step, t * step + LANES * n_states, LANES):
                    store(outgoing, p, select(sound, load(outgoing, p), zero))
                    store(alpha, p - step, select(sound, load(alpha, p - step), zero))
        add_pairs(alpha, outgoing, longest, n_states, width, xi)
