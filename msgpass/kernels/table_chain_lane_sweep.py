"""Forward and backward over a group of eight sequences, one in each lane of a vector: the compiled half of
the lanes.

The sum of a step is known one step late, so that neither a division nor a logarithm stands in the recursion:
α_t is scaled by the power of two of Σ α_{t−1}, the same factor is folded into the evidence, and β, which ends
at 1/Z, then needs no scaling of its own, since Σ α_t β_t = 1 at every t. A lane whose sequence has ended goes
on with garbage that β = 0 hides. Where eight sequences are not there, spare lanes repeat the last one with
β = 0; lanes are written from the last to the first, so that nothing of a spare one is left.
"""

import numpy as np

from msgpass.kernels import table_chain_lane_four as four
from msgpass.kernels import table_chain_lane_two as two
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
from msgpass.kernels.table_chain_gather import LANES, add_spread, fetch, locate, spread
from msgpass.kernels.table_chain_lane_blocks import add_pairs, cross
from msgpass.kernels.table_chain_lane_places import (
    ALIVE,
    EXPONENT,
    LARGEST,
    LAST,
    MANTISSA,
    SIZE,
    SMALLEST,
    TABLES,
    TOTAL,
    closing_of,
    smallest_of_sound,
)


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
    begin,
    longest,
    shortest,
    alpha,
    outgoing,
    at,
    summary,
):
    """α of a group into ``alpha`` and the evidence, scaled as α was, into ``outgoing``, from ``begin`` on.

    ``start`` and ``end`` are (K, 8), the others as in :func:`expected_counts`. Leaves Z and the smallest sum
    of α in ``summary``, where steps before ``begin`` have left their sums.
    """
    step = LANES * width
    last, inverse, exponent = load(summary, LAST), splat(1.0), splat(0.0)
    mantissas, exponents, smallest = splat(0.0), splat(0.0), splat(1.0)
    if begin > 0:
        inverse, shift = split_exponent(load(summary, TOTAL))
        exponent, smallest = load(summary, EXPONENT), load(summary, SMALLEST)
        if begin == longest:
            exponents = exponent - shift
            for k in range(0, LANES * n_states, LANES):
                mantissas = fma(load(alpha, (longest - 1) * step + k), load(end, k), mantissas)
    for t in range(begin, longest):
        now = t * step
        if t > 0 or not absorbed:
            locate(at, first_row, last_row, t, rows, n_states)
            fetch(evidence, at, n_states, outgoing, now)
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
    begin,
    longest,
    shortest,
    lost,
    gamma,
    rows,
    counts,
    initial,
    alpha,
    outgoing,
    beta,
    marginal,
    at,
    summary,
):
    """γ of a group into ``gamma``, w = evidence · β into ``outgoing``, and the largest β into ``summary``.

    Down to step ``begin``. γ is also added to ``counts`` and that of the first step to ``initial``; an empty
    ``gamma`` or ``counts`` is left out.
    """
    step, stride = LANES * width, counts.size // TABLES
    last, largest, closing = load(summary, LAST), splat(0.0), closing_of(summary, lost)
    for k in range(0, LANES * n_states, LANES):
        store(beta, k, splat(0.0))
    for t in range(longest - 1, max(begin, 1 if absorbed else 0) - 1, -1):
        now = t * step
        if t < longest - 1:
            cross(outgoing, now + step, n_states, transposed, width, beta, 0)
        if t >= shortest - 1:
            ends = splat(float(t)) == last
            for k in range(0, LANES * n_states, LANES):
                store(beta, k, select(ends, load(end, k) * closing, load(beta, k)))
        for k in range(0, LANES * n_states, LANES):
            value = load(beta, k)
            largest = maximum(value, largest)
            store(outgoing, now + k, load(outgoing, now + k) * value)
            store(marginal, k, load(alpha, now + k) * value)
        if t == 0:
            for k in range(0, LANES * n_states, LANES):
                store(initial, k, load(initial, k) + load(marginal, k))
        if t < shortest:
            if gamma.size:
                for lane in range(LANES):
                    at[lane] = (first_row[lane] + t) * n_states
                spread(marginal, 0, at, n_states, gamma)
            if counts.size:
                for lane in range(LANES):
                    at[lane] = rows[first_row[lane] + t] * n_states + lane % TABLES * stride
                add_spread(marginal, 0, at, n_states, counts)
            continue
        for lane in range(LANES - 1, -1, -1):
            if t < lengths[lane]:
                row = first_row[lane] + t
                for k in range(n_states):
                    if gamma.size:
                        gamma[row * n_states + k] = marginal[LANES * k + lane]
                    if counts.size:
                        counts[rows[row] * n_states + k] += marginal[LANES * k + lane]
    store(summary, LARGEST, largest)


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
    parts,
    lost,
    z,
    gamma,
    counts,
    initial,
    edges,
    xi,
    work,
):
    """γ and Σ ξ of groups of eight sequences: ``parts`` 0 those of even number, 1 of odd number, 2 both.

    Parameters
    ----------
    start, end : (groups or 1, K, 8) flat
        First message and last backward message of each lane; ``start_step`` and ``end_step`` are 0 when all
        groups share one. With ``absorbed`` the first message contains its evidence already, and no γ is
        written for it.
    table, transposed : (K, width) flat
        Transition and its transpose, columns padded with zeros.
    evidence, gamma : (R, K) and (T, K) flat
        An empty ``gamma`` is not written; with empty ``counts`` too, and less than two ``edges``, there is
        only the forward half.
    starts, lengths : (8 · groups,)
        First row and length of each lane; a length of 0 is a spare lane.
    z : (3, 8 · groups) flat
        Out: mantissa and exponent of Z, and 0 or 1 when a scale was lost, by lane.
    counts : (2, 4 R K), or (2, 0)
        Added to: γ by row of evidence, by part and in four tables, garbage if a scale was lost.
    initial : (2, width · 8)
        Added to, by part: γ of the first steps by lane, garbage if a scale was lost.
    edges : (0 to 2, 8 · groups, K)
        Out: α of each lane's last step; and β of its first, for absorbed first messages, other than 2 or 4
        states and lengths of 2 and more.
    xi : (2, width · width · 8), or (2, 0)
        Added to, by part: Σ α w by lane, without the factor A.
    work : (longest · 2 width · 8 + width · 8 + max(width, 8) · 8,)
        Memory; what pads out α must not be subnormal, which would slow the products down.
    """
    step = LANES * width
    size = (work.size - step - LANES * max(width, LANES)) // 2
    alpha, outgoing = work[:size], work[size : 2 * size]
    beta, marginal = work[2 * size : 2 * size + step], work[2 * size + step :]
    at, first_row, last_row = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    summary, mine = np.empty(SIZE), np.empty(LANES, np.int64)
    total_lanes, opening = lengths.size, 1 if absorbed else 0
    steps = two.STEPS if n_states == 2 else four.STEPS
    zero, low = splat(0.0), splat(lost)
    for g in range(LANES if parts == 1 else 0, total_lanes, LANES if parts == 2 else 2 * LANES):
        part = g // LANES % 2
        tables, heads, pairs = counts[part], initial[part], xi[part]
        for lane in range(LANES):
            length, first = lengths[g + lane], starts[g + lane]
            summary[ALIVE + lane] = 1.0 if length else 0.0
            if not length:
                length, first = mine[lane - 1], first_row[lane - 1]
            mine[lane], first_row[lane], last_row[lane] = length, first, first + length - 1
            summary[LAST + lane] = length - 1
        longest, shortest = mine.max(), mine.min()
        here, final = start[g // LANES * start_step :], end[g // LANES * end_step :]
        begin = 0
        if n_states == 2 or n_states == 4:
            alive = shortest if shortest == longest else shortest - 1
            blocks = max(alive - opening, 0) // steps
            begin = opening + blocks * steps if blocks else 0
        if begin > 0 and n_states == 2:
            two.forward(here, absorbed, table, evidence, rows, first_row, begin, alpha, outgoing, summary)
        elif begin > 0:
            four.forward(here, absorbed, table, evidence, rows, first_row, begin, alpha, outgoing, summary)
        forward(
            here,
            absorbed,
            final,
            table,
            n_states,
            width,
            evidence,
            rows,
            first_row,
            last_row,
            begin,
            longest,
            shortest,
            alpha,
            outgoing,
            at,
            summary,
        )
        if edges.shape[0] > 0:
            for lane in range(LANES):
                p = (mine[lane] - 1) * step + lane
                for k in range(n_states):
                    edges[0, g + lane, k] = alpha[p + LANES * k]
        if gamma.size == 0 and counts.size == 0 and edges.shape[0] < 2:
            store(z, g, load(summary, MANTISSA))
            store(z, total_lanes + g, load(summary, EXPONENT))
            store(z, 2 * total_lanes + g, select(load(summary, SMALLEST) >= low, zero, splat(1.0)))
            continue
        backward(
            absorbed,
            final,
            transposed,
            n_states,
            width,
            first_row,
            mine,
            begin,
            longest,
            shortest,
            lost,
            gamma,
            rows,
            tables,
            heads,
            alpha,
            outgoing,
            beta,
            marginal,
            at,
            summary,
        )
        rest = (
            absorbed,
            final,
            transposed,
            first_row,
            begin,
            longest,
            lost,
            gamma,
            rows,
            tables,
            heads,
            alpha,
            outgoing,
            summary,
        )
        if begin > 0 and n_states == 2:
            two.backward(*rest, pairs)
        elif begin > 0:
            four.backward(*rest)
        if edges.shape[0] == 2 and longest > 1:
            cross(outgoing, step, n_states, transposed, width, beta, 0)
            for lane in range(LANES):
                for k in range(n_states):
                    edges[1, g + lane, k] = beta[LANES * k + lane]
        sound = smallest_of_sound(summary, lost) >= low
        given_up = select(sound, zero, splat(1.0))
        store(z, g, load(summary, MANTISSA))
        store(z, total_lanes + g, load(summary, EXPONENT))
        store(z, 2 * total_lanes + g, given_up)
        paired = begin if n_states == 2 else 0  # from here on pairs are still to be added up
        if longest - paired > 1 and pairs.size:
            if any_lane(given_up > zero):
                for t in range(paired, longest):
                    for p in range(t * step, t * step + LANES * n_states, LANES):
                        store(outgoing, p, select(sound, load(outgoing, p), zero))
                        store(alpha, p, select(sound, load(alpha, p), zero))
            add_pairs(
                alpha[paired * step :], outgoing[paired * step :], longest - paired, n_states, width, pairs
            )
