"""Forward-backward over many short chains with few states: one sequence in each lane of a vector.

Sequences are sorted by length and taken in groups of eight; message k of time step t of a group is one
vector. The sum of a step is known one step late, so that neither a division nor a logarithm stands in the
recursion: α_t is scaled by the power of two of Σ α_{t−1}, the same factor is folded into the evidence, and β,
which ends at 1/Z, then needs no scaling of its own, since Σ α_t β_t = 1 at every t. A lane whose sequence has
ended goes on with garbage that β = 0 hides.
"""

import numpy as np

from msgpass.kernels.runtime import aligned_empty, aligned_zeros, jit, run_pair
from msgpass.kernels.simd import (
    any_lane,
    broadcast,
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


@jit(forceinline=True, _nrt=False)
def _cross8(message, m, n_states, table, width, column, out, o):
    """``out[j] = Σ_i message[i] table[i, j]`` for eight columns j, each a vector."""
    a = load(message, m)
    c0, c1 = a * broadcast(table, column), a * broadcast(table, column + 1)
    c2, c3 = a * broadcast(table, column + 2), a * broadcast(table, column + 3)
    c4, c5 = a * broadcast(table, column + 4), a * broadcast(table, column + 5)
    c6, c7 = a * broadcast(table, column + 6), a * broadcast(table, column + 7)
    for i in range(1, n_states):
        a = load(message, m + LANES * i)
        p = i * width + column
        c0, c1 = fma(a, broadcast(table, p), c0), fma(a, broadcast(table, p + 1), c1)
        c2, c3 = fma(a, broadcast(table, p + 2), c2), fma(a, broadcast(table, p + 3), c3)
        c4, c5 = fma(a, broadcast(table, p + 4), c4), fma(a, broadcast(table, p + 5), c5)
        c6, c7 = fma(a, broadcast(table, p + 6), c6), fma(a, broadcast(table, p + 7), c7)
    store(out, o, c0), store(out, o + 8, c1), store(out, o + 16, c2), store(out, o + 24, c3)
    store(out, o + 32, c4), store(out, o + 40, c5), store(out, o + 48, c6), store(out, o + 56, c7)


@jit(forceinline=True, _nrt=False)
def _cross4(message, m, n_states, table, width, column, out, o):
    """As :func:`_cross8`, for four columns."""
    a = load(message, m)
    c0, c1 = a * broadcast(table, column), a * broadcast(table, column + 1)
    c2, c3 = a * broadcast(table, column + 2), a * broadcast(table, column + 3)
    for i in range(1, n_states):
        a = load(message, m + LANES * i)
        p = i * width + column
        c0, c1 = fma(a, broadcast(table, p), c0), fma(a, broadcast(table, p + 1), c1)
        c2, c3 = fma(a, broadcast(table, p + 2), c2), fma(a, broadcast(table, p + 3), c3)
    store(out, o, c0), store(out, o + 8, c1), store(out, o + 16, c2), store(out, o + 24, c3)


@jit(forceinline=True, _nrt=False)
def _cross2(message, m, table, out, o):
    """As :func:`_cross8`, for two states."""
    a, b = load(message, m), load(message, m + LANES)
    store(out, o, fma(b, broadcast(table, 2), a * broadcast(table, 0)))
    store(out, o + LANES, fma(b, broadcast(table, 3), a * broadcast(table, 1)))


@jit(forceinline=True, _nrt=False)
def cross(message, m, n_states, table, width, out, o):
    """A group's message through a table of ``width`` columns, 2 or a multiple of 4."""
    if width == 2:
        _cross2(message, m, table, out, o)
    elif width == 4:
        _cross4(message, m, n_states, table, width, 0, out, o)
    else:
        for column in range(0, width - 7, 8):
            _cross8(message, m, n_states, table, width, column, out, o + LANES * column)
        if width & 4:
            _cross4(message, m, n_states, table, width, width - 4, out, o + LANES * (width - 4))


@jit(forceinline=True, _nrt=False)
def _add_pairs(alpha, outgoing, length, n_states, width, xi):
    """``xi[i, j] += Σ_t α_t(i) w_{t+1}(j)``, a vector each, in blocks that stay in registers."""
    step = LANES * width
    if width == 2:
        x00, x01, x10, x11 = load(xi, 0), load(xi, 8), load(xi, 16), load(xi, 24)
        for t in range(length - 1):
            a0, a1 = load(alpha, t * step), load(alpha, t * step + 8)
            w0, w1 = load(outgoing, (t + 1) * step), load(outgoing, (t + 1) * step + 8)
            x00, x01, x10, x11 = fma(a0, w0, x00), fma(a0, w1, x01), fma(a1, w0, x10), fma(a1, w1, x11)
        store(xi, 0, x00), store(xi, 8, x01), store(xi, 16, x10), store(xi, 24, x11)
        return
    for i in range(0, width, 4):
        for j in range(0, width, 4):
            p, row = LANES * (i * width + j), step
            q, r, s = p + row, p + 2 * row, p + 3 * row
            x00, x01, x02, x03 = load(xi, p), load(xi, p + 8), load(xi, p + 16), load(xi, p + 24)
            x10, x11, x12, x13 = load(xi, q), load(xi, q + 8), load(xi, q + 16), load(xi, q + 24)
            x20, x21, x22, x23 = load(xi, r), load(xi, r + 8), load(xi, r + 16), load(xi, r + 24)
            x30, x31, x32, x33 = load(xi, s), load(xi, s + 8), load(xi, s + 16), load(xi, s + 24)
            for t in range(length - 1):
                u, v = t * step + LANES * i, (t + 1) * step + LANES * j
                w0, w1 = load(outgoing, v), load(outgoing, v + 8)
                w2, w3 = load(outgoing, v + 16), load(outgoing, v + 24)
                a = load(alpha, u)
                x00, x01, x02, x03 = fma(a, w0, x00), fma(a, w1, x01), fma(a, w2, x02), fma(a, w3, x03)
                a = load(alpha, u + 8)
                x10, x11, x12, x13 = fma(a, w0, x10), fma(a, w1, x11), fma(a, w2, x12), fma(a, w3, x13)
                a = load(alpha, u + 16)
                x20, x21, x22, x23 = fma(a, w0, x20), fma(a, w1, x21), fma(a, w2, x22), fma(a, w3, x23)
                a = load(alpha, u + 24)
                x30, x31, x32, x33 = fma(a, w0, x30), fma(a, w1, x31), fma(a, w2, x32), fma(a, w3, x33)
            store(xi, p, x00), store(xi, p + 8, x01), store(xi, p + 16, x02), store(xi, p + 24, x03)
            store(xi, q, x10), store(xi, q + 8, x11), store(xi, q + 16, x12), store(xi, q + 24, x13)
            store(xi, r, x20), store(xi, r + 8, x21), store(xi, r + 16, x22), store(xi, r + 24, x23)
            store(xi, s, x30), store(xi, s + 8, x31), store(xi, s + 16, x32), store(xi, s + 24, x33)


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
    """
    step = LANES * width
    at, first_row, last_row = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    summary = np.empty(4 * LANES)
    total_lanes = lengths.size
    for g in range(part * LANES, total_lanes, 2 * LANES):
        mine = lengths[g : g + LANES]
        longest, shortest = mine.max(), mine.min()
        for lane in range(LANES):
            first_row[lane] = starts[g + lane]
            last_row[lane] = starts[g + lane] + max(mine[lane] - 1, 0)
            summary[LARGEST + lane] = mine[lane] - 1
        first, final = start[g // LANES * start_step :], end[g // LANES * end_step :]
        forward(
            first,
            absorbed,
            final,
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
        _add_pairs(alpha, outgoing, longest, n_states, width, xi)


def padded_width(n_states: int) -> int:
    """Columns of a table that the lanes' kernels work on."""
    return 2 if n_states == 2 else -(-n_states // 4) * 4


def padded(table: np.ndarray, width: int) -> np.ndarray:
    """A flat aligned copy with its columns padded by zeros."""
    copy = aligned_zeros((len(table), width))
    copy[:, : table.shape[1]] = table
    return copy.ravel()


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
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`expected_counts` over all groups in two fixed parts.

    Returns
    -------
    z : ndarray, shape (3, lanes)
        Mantissa, exponent and failure of each lane.
    xi : ndarray, shape (K, K)
        Without the factor A.
    """
    n_states = len(transition)
    width = padded_width(n_states)
    longest = int(lengths.max())
    z = np.zeros((3, len(lengths)))
    table, transposed = padded(transition, width), padded(transition.T, width)
    steps = [n_states * LANES if len(x) > 1 else 0 for x in (start, end)]
    xi = aligned_zeros((2, width * width * LANES))

    def arguments(part: int) -> tuple:
        size = longest * width * LANES
        messages = aligned_empty(width * LANES), aligned_empty(max(width, 8) * LANES)
        # The evidence's padding is never written, and subnormals there would slow the products down.
        work = aligned_empty(size), (aligned_empty if width == n_states else aligned_zeros)(size), *messages
        return (
            start.ravel(),
            steps[0],
            absorbed,
            end.ravel(),
            steps[1],
            table,
            transposed,
            n_states,
            width,
            evidence.ravel(),
            rows,
            starts,
            lengths,
            part,
            lost,
            z.ravel(),
            gamma.ravel(),
            xi[part],
            *work,
        )

    if threaded:
        run_pair(expected_counts, arguments(0), expected_counts, arguments(1))
    else:
        expected_counts(*arguments(0))
        expected_counts(*arguments(1))
    pairs = xi.reshape(2, width, width, LANES)[:, :n_states, :n_states]  # what pads it out is garbage
    return z, (pairs[0] + pairs[1]).sum(axis=2)


def grouped(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(order, starts, lengths) of sequences by falling length, with empty lanes to fill the last group."""
    order = np.argsort(-lengths, kind="stable")
    empty = -len(order) % LANES
    padding = np.zeros(empty, np.int64)
    return order, np.concatenate((starts[order], padding)), np.concatenate((lengths[order], padding))


def ungrouped(z: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mantissa, exponent and failure in the order in which the sequences came."""
    mantissa, exponent, failed = np.empty((3, len(order)))
    mantissa[order], exponent[order], failed[order] = z[:, : len(order)]
    mantissa[failed > 0] = 0.0
    return mantissa, exponent.astype(np.int64), failed > 0


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Many sequences with one transition (K, K), whose rows of ``gamma`` are written in place.

    Returns
    -------
    mantissa, exponent : ndarray, shape (N,)
    xi : ndarray, shape (K, K)
        Without the factor A.
    failed : ndarray of bool, shape (N,)
    """
    order, starts, lengths = grouped(starts, lengths)
    start, end = np.repeat(init[None, :, None], LANES, axis=2), np.ones((1, len(init), LANES))
    z, xi = run(start, False, end, transition, evidence, rows, starts, lengths, lost, gamma, threaded)
    mantissa, exponent, failed = ungrouped(z, order)
    return mantissa, exponent, xi, failed
