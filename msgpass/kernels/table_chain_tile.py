"""An 8 × 16 block of a matrix product in sixteen registers: what the sweeps with many states are made of."""

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import broadcast, fma, load, splat, store

COLUMNS = 16


@jit(forceinline=True, _nrt=False)
def tile(x, p, row, inner, table, q, stride, depth, out, o, width, accumulate):
    """An 8 × 16 block of a matrix product: ``out[r, :] (+)= Σ_d x[p + r·row + d·inner] · table[q + d·stride
    :][:16]``.

    ``out`` starts at ``o`` and has rows of ``width`` numbers.
    """
    if accumulate:
        a0, b0 = load(out, o), load(out, o + 8)
        a1, b1 = load(out, o + width), load(out, o + width + 8)
        a2, b2 = load(out, o + 2 * width), load(out, o + 2 * width + 8)
        a3, b3 = load(out, o + 3 * width), load(out, o + 3 * width + 8)
        a4, b4 = load(out, o + 4 * width), load(out, o + 4 * width + 8)
        a5, b5 = load(out, o + 5 * width), load(out, o + 5 * width + 8)
        a6, b6 = load(out, o + 6 * width), load(out, o + 6 * width + 8)
        a7, b7 = load(out, o + 7 * width), load(out, o + 7 * width + 8)
    else:
        zero = splat(0.0)
        a0, b0, a1, b1, a2, b2, a3, b3 = zero, zero, zero, zero, zero, zero, zero, zero
        a4, b4, a5, b5, a6, b6, a7, b7 = zero, zero, zero, zero, zero, zero, zero, zero
    for _ in range(depth):
        u, v = load(table, q), load(table, q + 8)
        c = broadcast(x, p)
        a0, b0 = fma(c, u, a0), fma(c, v, b0)
        c = broadcast(x, p + row)
        a1, b1 = fma(c, u, a1), fma(c, v, b1)
        c = broadcast(x, p + 2 * row)
        a2, b2 = fma(c, u, a2), fma(c, v, b2)
        c = broadcast(x, p + 3 * row)
        a3, b3 = fma(c, u, a3), fma(c, v, b3)
        c = broadcast(x, p + 4 * row)
        a4, b4 = fma(c, u, a4), fma(c, v, b4)
        c = broadcast(x, p + 5 * row)
        a5, b5 = fma(c, u, a5), fma(c, v, b5)
        c = broadcast(x, p + 6 * row)
        a6, b6 = fma(c, u, a6), fma(c, v, b6)
        c = broadcast(x, p + 7 * row)
        a7, b7 = fma(c, u, a7), fma(c, v, b7)
        p += inner
        q += stride
    store(out, o, a0), store(out, o + 8, b0)
    store(out, o + width, a1), store(out, o + width + 8, b1)
    store(out, o + 2 * width, a2), store(out, o + 2 * width + 8, b2)
    store(out, o + 3 * width, a3), store(out, o + 3 * width + 8, b3)
    store(out, o + 4 * width, a4), store(out, o + 4 * width + 8, b4)
    store(out, o + 5 * width, a5), store(out, o + 5 * width + 8, b5)
    store(out, o + 6 * width, a6), store(out, o + 6 * width + 8, b6)
    store(out, o + 7 * width, a7), store(out, o + 7 * width + 8, b7)
