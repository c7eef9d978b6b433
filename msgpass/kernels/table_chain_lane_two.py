"""Forward and backward over a group of eight sequences with two states: while all are alive, the messages
stay in registers.

What :mod:`~msgpass.kernels.table_chain_lane_sweep` computes, for time steps before the first sequence of the
group has ended. Four steps of a sequence fill a vector, so that one transpose moves 32 of them.
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
from msgpass.kernels.table_chain_gather import add_pairs_to_rows, load_pairs
from msgpass.kernels.table_chain_lane_places import (
    EXPONENT,
    LARGEST,
    SMALLEST,
    TABLES,
    TOTAL,
    add_sound,
    closing_of,
)

STEPS = 4
"""Time steps that are taken at once."""


@jit(forceinline=True, _nrt=False)
def _weighed(p0, p1, e0, e1, inverse, exponent, smallest, t, alpha, outgoing):
    """α_t from what was predicted and the evidence, both kept; and the scale of the next step."""
    e0, e1 = e0 * inverse, e1 * inverse
    a0, a1 = p0 * e0, p1 * e1
    store(outgoing, 16 * t, e0), store(outgoing, 16 * t + 8, e1)
    store(alpha, 16 * t, a0), store(alpha, 16 * t + 8, a1)
    total = a0 + a1
    inverse, shift = split_exponent(total)
    return a0, a1, inverse, exponent + shift, minimum(total, smallest), total


@jit(_nrt=False)
def forward(start, absorbed, table, evidence, rows, first_row, whole, alpha, outgoing, summary):
    """α and the scaled evidence of the steps before ``whole``, a multiple of 4 after the opening one."""
    t00, t01, t10, t11 = broadcast(table, 0), broadcast(table, 1), broadcast(table, 2), broadcast(table, 3)
    inverse, exponent, smallest, total = splat(1.0), splat(0.0), splat(1.0), splat(1.0)
    a0, a1 = load(start, 0), load(start, 8)
    opening = 0
    if absorbed:
        opening = 1
        store(alpha, 0, a0), store(alpha, 8, a1)
        total = a0 + a1
        inverse, exponent = split_exponent(total)
        smallest = minimum(total, smallest)
    f0, f1, f2, f3 = first_row[0], first_row[1], first_row[2], first_row[3]
    f4, f5, f6, f7 = first_row[4], first_row[5], first_row[6], first_row[7]
    for t in range(opening, whole, STEPS):
        if rows.size:
            r0, r1 = load_pairs(evidence, rows, f0 + t), load_pairs(evidence, rows, f1 + t)
            r2, r3 = load_pairs(evidence, rows, f2 + t), load_pairs(evidence, rows, f3 + t)
            r4, r5 = load_pairs(evidence, rows, f4 + t), load_pairs(evidence, rows, f5 + t)
            r6, r7 = load_pairs(evidence, rows, f6 + t), load_pairs(evidence, rows, f7 + t)
        else:
            r0, r1 = load(evidence, 2 * (f0 + t)), load(evidence, 2 * (f1 + t))
            r2, r3 = load(evidence, 2 * (f2 + t)), load(evidence, 2 * (f3 + t))
            r4, r5 = load(evidence, 2 * (f4 + t)), load(evidence, 2 * (f5 + t))
            r6, r7 = load(evidence, 2 * (f6 + t)), load(evidence, 2 * (f7 + t))
        r0, r1, r2, r3, r4, r5, r6, r7 = transpose8(r0, r1, r2, r3, r4, r5, r6, r7)
        p0, p1 = a0, a1
        if t > 0:
            p0, p1 = fma(a1, t10, a0 * t00), fma(a1, t11, a0 * t01)
        a0, a1, inverse, exponent, smallest, total = _weighed(
            p0, p1, r0, r1, inverse, exponent, smallest, t, alpha, outgoing
        )
        p0, p1 = fma(a1, t10, a0 * t00), fma(a1, t11, a0 * t01)
        a0, a1, inverse, exponent, smallest, total = _weighed(
            p0, p1, r2, r3, inverse, exponent, smallest, t + 1, alpha, outgoing
        )
        p0, p1 = fma(a1, t10, a0 * t00), fma(a1, t11, a0 * t01)
        a0, a1, inverse, exponent, smallest, total = _weighed(
            p0, p1, r4, r5, inverse, exponent, smallest, t + 2, alpha, outgoing
        )
        p0, p1 = fma(a1, t10, a0 * t00), fma(a1, t11, a0 * t01)
        a0, a1, inverse, exponent, smallest, total = _weighed(
            p0, p1, r6, r7, inverse, exponent, smallest, t + 3, alpha, outgoing
        )
    store(summary, TOTAL, total)
    store(summary, EXPONENT, exponent)
    store(summary, SMALLEST, smallest)


@jit(forceinline=True, _nrt=False)
def _met(t, alpha, outgoing, b0, b1, w0, w1, x00, x01, x10, x11, largest):
    """γ_t, w_t = evidence · β_t, and the pairs of α_t with w_{t+1} added up."""
    a0, a1 = load(alpha, 16 * t), load(alpha, 16 * t + 8)
    x00, x01, x10, x11 = fma(a0, w0, x00), fma(a0, w1, x01), fma(a1, w0, x10), fma(a1, w1, x11)
    largest = maximum(b0, maximum(b1, largest))
    w0, w1 = load(outgoing, 16 * t) * b0, load(outgoing, 16 * t + 8) * b1
    return a0 * b0, a1 * b1, w0, w1, x00, x01, x10, x11, largest


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
    xi,
):
    """γ of the steps before ``whole``, their pairs, γ by row of evidence and γ of the first step.

    An empty ``gamma`` or ``counts`` is left out.
    """
    t00, t01 = broadcast(transposed, 0), broadcast(transposed, 1)
    t10, t11 = broadcast(transposed, 2), broadcast(transposed, 3)
    zero = splat(0.0)
    x00, x01, x10, x11 = zero, zero, zero, zero
    opening, stride = 1 if absorbed else 0, counts.size // TABLES
    if whole < longest:
        w0, w1 = load(outgoing, 16 * whole), load(outgoing, 16 * whole + 8)
        b0, b1 = fma(w1, t10, w0 * t00), fma(w1, t11, w0 * t01)
    else:
        closing = closing_of(summary, lost)
        w0, w1 = zero, zero
        b0, b1 = load(end, 0) * closing, load(end, 8) * closing
    largest = load(summary, LARGEST)
    f0, f1, f2, f3 = first_row[0], first_row[1], first_row[2], first_row[3]
    f4, f5, f6, f7 = first_row[4], first_row[5], first_row[6], first_row[7]
    for t in range(whole - STEPS, opening - 1, -STEPS):
        g6, g7, w0, w1, x00, x01, x10, x11, largest = _met(
            t + 3, alpha, outgoing, b0, b1, w0, w1, x00, x01, x10, x11, largest
        )
        b0, b1 = fma(w1, t10, w0 * t00), fma(w1, t11, w0 * t01)
        g4, g5, w0, w1, x00, x01, x10, x11, largest = _met(
            t + 2, alpha, outgoing, b0, b1, w0, w1, x00, x01, x10, x11, largest
        )
        b0, b1 = fma(w1, t10, w0 * t00), fma(w1, t11, w0 * t01)
        g2, g3, w0, w1, x00, x01, x10, x11, largest = _met(
            t + 1, alpha, outgoing, b0, b1, w0, w1, x00, x01, x10, x11, largest
        )
        b0, b1 = fma(w1, t10, w0 * t00), fma(w1, t11, w0 * t01)
        g0, g1, w0, w1, x00, x01, x10, x11, largest = _met(
            t, alpha, outgoing, b0, b1, w0, w1, x00, x01, x10, x11, largest
        )
        b0, b1 = fma(w1, t10, w0 * t00), fma(w1, t11, w0 * t01)
        if t == 0:
            store(initial, 0, load(initial, 0) + g0)
            store(initial, 8, load(initial, 8) + g1)
        g0, g1, g2, g3, g4, g5, g6, g7 = transpose8(g0, g1, g2, g3, g4, g5, g6, g7)
        if gamma.size:
            store(gamma, 2 * (f7 + t), g7), store(gamma, 2 * (f6 + t), g6)
            store(gamma, 2 * (f5 + t), g5), store(gamma, 2 * (f4 + t), g4)
            store(gamma, 2 * (f3 + t), g3), store(gamma, 2 * (f2 + t), g2)
            store(gamma, 2 * (f1 + t), g1), store(gamma, 2 * (f0 + t), g0)
        if counts.size:
            add_pairs_to_rows(counts, stride, rows, f0 + t, g0)
            add_pairs_to_rows(counts, stride, rows, f1 + t, g1)
            add_pairs_to_rows(counts, stride, rows, f2 + t, g2)
            add_pairs_to_rows(counts, stride, rows, f3 + t, g3)
            add_pairs_to_rows(counts, stride, rows, f4 + t, g4)
            add_pairs_to_rows(counts, stride, rows, f5 + t, g5)
            add_pairs_to_rows(counts, stride, rows, f6 + t, g6)
            add_pairs_to_rows(counts, stride, rows, f7 + t, g7)
    if absorbed:
        a0, a1 = load(alpha, 0), load(alpha, 8)
        x00, x01, x10, x11 = fma(a0, w0, x00), fma(a0, w1, x01), fma(a1, w0, x10), fma(a1, w1, x11)
    store(summary, LARGEST, largest)
    add_sound(summary, lost, xi, 0, x00), add_sound(summary, lost, xi, 8, x01)
    add_sound(summary, lost, xi, 16, x10), add_sound(summary, lost, xi, 24, x11)
