"""The two products of the lanes' sweeps, in blocks that stay in registers: a message through a table, and Σ α
w.

A message of eight sequences is K vectors; each number of the table is loaded once and multiplies eight lanes.
"""

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import broadcast, fma, load, store
from msgpass.kernels.table_chain_gather import LANES


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
def add_pairs(alpha, outgoing, length, n_states, width, xi):
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
