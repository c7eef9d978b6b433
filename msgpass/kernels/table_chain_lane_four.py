"""Forward and backward over a group of eight sequences with four states: while all are alive, the messages
stay in registers.

As :mod:`~msgpass.kernels.table_chain_lane_two`; two steps of a sequence fill a vector.
"""

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import (
    broadcast,
    fma,
    load,
    maximum,
    minimum,
    splat,
    split_exponent,
    store,
    transpose8,
)
from msgpass.kernels.table_chain_gather import add_fours_to_rows, load_fours
from msgpass.kernels.table_chain_lane_places import (
    EXPONENT,
    LARGEST,
    SMALLEST,
    TABLES,
    TOTAL,
    closing_of,
)

STEPS = 2
"""Time steps that are taken at once."""


@jit(forceinline=True, _nrt=False)
def _entry(m0, m1, m2, m3, table, j):
    """Entry j of a message through the table; two sums, for the next step waits for it."""
    low = fma(m1, broadcast(table, 4 + j), m0 * broadcast(table, j))
    return low + fma(m3, broadcast(table, 12 + j), m2 * broadcast(table, 8 + j))


@jit(forceinline=True, _nrt=False)
def _crossed(m0, m1, m2, m3, table):
    return (
        _entry(m0, m1, m2, m3, table, 0),
        _entry(m0, m1, m2, m3, table, 1),
        _entry(m0, m1, m2, m3, table, 2),
        _entry(m0, m1, m2, m3, table, 3),
    )


@jit(forceinline=True, _nrt=False)
def _weighed(p0, p1, p2, p3, e0, e1, e2, e3, inverse, exponent, smallest, p, alpha, outgoing):
    """α_t from what was predicted and the evidence, both kept; and the scale of the next step."""
    e0, e1, e2, e3 = e0 * inverse, e1 * inverse, e2 * inverse, e3 * inverse
    a0, a1, a2, a3 = p0 * e0, p1 * e1, p2 * e2, p3 * e3
    store(outgoing, p, e0), store(outgoing, p + 8, e1)
    store(outgoing, p + 16, e2), store(outgoing, p + 24, e3)
    store(alpha, p, a0), store(alpha, p + 8, a1), store(alpha, p + 16, a2), store(alpha, p + 24, a3)
    total = (a0 + a1) + (a2 + a3)
    inverse, shift = split_exponent(total)
    return a0, a1, a2, a3, inverse, exponent + shift, minimum(total, smallest), total


@jit(_nrt=False)
def forward(start, absorbed, table, evidence, rows, first_row, whole, alpha, outgoing, summary):
    """α and the scaled evidence of the steps before ``whole``, a multiple of 2 after the opening one."""
    inverse, exponent, smallest, total = splat(1.0), splat(0.0), splat(1.0), splat(1.0)
    a0, a1, a2, a3 = load(start, 0), load(start, 8), load(start, 16), load(start, 24)
    opening = 0
    if absorbed:
        opening = 1
        store(alpha, 0, a0), store(alpha, 8, a1), store(alpha, 16, a2), store(alpha, 24, a3)
        total = (a0 + a1) + (a2 + a3)
        inverse, exponent = split_exponent(total)
        smallest = minimum(total, smallest)
    f0, f1, f2, f3 = first_row[0], first_row[1], first_row[2], first_row[3]
    f4, f5, f6, f7 = first_row[4], first_row[5], first_row[6], first_row[7]
    for t in range(opening, whole, STEPS):
        if rows.size:
            r0, r1 = load_fours(evidence, rows, f0 + t), load_fours(evidence, rows, f1 + t)
            r2, r3 = load_fours(evidence, rows, f2 + t), load_fours(evidence, rows, f3 + t)
            r4, r5 = load_fours(evidence, rows, f4 + t), load_fours(evidence, rows, f5 + t)
            r6, r7 = load_fours(evidence, rows, f6 + t), load_fours(evidence, rows, f7 + t)
        else:
            r0, r1 = load(evidence, 4 * (f0 + t)), load(evidence, 4 * (f1 + t))
            r2, r3 = load(evidence, 4 * (f2 + t)), load(evidence, 4 * (f3 + t))
            r4, r5 = load(evidence, 4 * (f4 + t)), load(evidence, 4 * (f5 + t))
            r6, r7 = load(evidence, 4 * (f6 + t)), load(evidence, 4 * (f7 + t))
        r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(r0, r1, r2, r3, r4, r5, r6, r7)
        p0, p1, p2, p3 = a0, a1, a2, a3
        if t > 0:
            p0, p1, p2, p3 = _crossed(a0, a1, a2, a3, table)
        a0, a1, a2, a3, inverse, exponent, smallest, total = _weighed(
            p0, p1, p2, p3, r0, r1, r2, r3, inverse, exponent, smallest, 32 * t, alpha, outgoing
        )
        p0, p1, p2, p3 = _crossed(a0, a1, a2, a3, table)
        a0, a1, a2, a3, inverse, exponent, smallest, total = _weighed(
            p0, p1, p2, p3, r4, r5, r6, r7, inverse, exponent, smallest, 32 * t + 32, alpha, outgoing
        )
    store(summary, TOTAL, total)
    store(summary, EXPONENT, exponent)
    store(summary, SMALLEST, smallest)


@jit(forceinline=True, _nrt=False)
def _met(p, alpha, outgoing, b0, b1, b2, b3, largest):
    """γ_t and w_t = evidence · β_t; w is kept."""
    w0, w1 = load(outgoing, p) * b0, load(outgoing, p + 8) * b1
    w2, w3 = load(outgoing, p + 16) * b2, load(outgoing, p + 24) * b3
    (
        store(outgoing, p, w0),
        store(outgoing, p + 8, w1),
        store(outgoing, p + 16, w2),
        store(outgoing, p + 24, w3),
    )
    largest = maximum(maximum(b0, b1), maximum(maximum(b2, b3), largest))
    g0, g1 = load(alpha, p) * b0, load(alpha, p + 8) * b1
    g2, g3 = load(alpha, p + 16) * b2, load(alpha, p + 24) * b3
    return g0, g1, g2, g3, w0, w1, w2, w3, largest


@jit(_nrt=False)
def backward(
    absorbed,
    end,
    transposed,
    first_row,
    whole,
    longest,
    lost,
    gamma,
    rows,
    counts,
    initial,
    alpha,
    outgoing,
    summary,
):
    """γ of the steps before ``whole``, and w; γ by row of evidence and γ of the first step.

    An empty ``gamma`` or ``counts`` is left out.
    """
    opening, stride = 1 if absorbed else 0, counts.size // TABLES
    if whole < longest:
        p = 32 * whole
        b0, b1, b2, b3 = _crossed(
            load(outgoing, p),
            load(outgoing, p + 8),
            load(outgoing, p + 16),
            load(outgoing, p + 24),
            transposed,
        )
    else:
        closing = closing_of(summary, lost)
        b0, b1 = load(end, 0) * closing, load(end, 8) * closing
        b2, b3 = load(end, 16) * closing, load(end, 24) * closing
    largest = load(summary, LARGEST)
    f0, f1, f2, f3 = first_row[0], first_row[1], first_row[2], first_row[3]
    f4, f5, f6, f7 = first_row[4], first_row[5], first_row[6], first_row[7]
    for t in range(whole - STEPS, opening - 1, -STEPS):
        g4, g5, g6, g7, w0, w1, w2, w3, largest = _met(32 * t + 32, alpha, outgoing, b0, b1, b2, b3, largest)
        b0, b1, b2, b3 = _crossed(w0, w1, w2, w3, transposed)
        g0, g1, g2, g3, w0, w1, w2, w3, largest = _met(32 * t, alpha, outgoing, b0, b1, b2, b3, largest)
        b0, b1, b2, b3 = _crossed(w0, w1, w2, w3, transposed)
        if t == 0:
            store(initial, 0, load(initial, 0) + g0)
            store(initial, 8, load(initial, 8) + g1)
            store(initial, 16, load(initial, 16) + g2)
            store(initial, 24, load(initial, 24) + g3)
        g0, g1, g2, g3, g4, g5, g6, g7 = transpose8(g0, g1, g2, g3, g4, g5, g6, g7)
        if gamma.size:
            store(gamma, 4 * (f7 + t), g7), store(gamma, 4 * (f6 + t), g6)
            store(gamma, 4 * (f5 + t), g5), store(gamma, 4 * (f4 + t), g4)
            store(gamma, 4 * (f3 + t), g3), store(gamma, 4 * (f2 + t), g2)
            store(gamma, 4 * (f1 + t), g1), store(gamma, 4 * (f0 + t), g0)
        if counts.size:
            odd = counts[2 * stride :]
            add_fours_to_rows(counts, stride, rows, f0 + t, g0)
            add_fours_to_rows(odd, stride, rows, f1 + t, g1)
            add_fours_to_rows(counts, stride, rows, f2 + t, g2)
            add_fours_to_rows(odd, stride, rows, f3 + t, g3)
            add_fours_to_rows(counts, stride, rows, f4 + t, g4)
            add_fours_to_rows(odd, stride, rows, f5 + t, g5)
            add_fours_to_rows(counts, stride, rows, f6 + t, g6)
            add_fours_to_rows(odd, stride, rows, f7 + t, g7)
    store(summary, LARGEST, largest)
