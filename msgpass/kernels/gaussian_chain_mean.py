"""The means of Gaussian chains that share their covariances: every series is a row of small matrix products.

Forward, with the gains of :mod:`~msgpass.kernels.gaussian_chain_covariance`:

    v = y - H m,   e = S⁻¹ v,   f = m + C v,   m⁺ = F f + b.

Backward (de Jong 1989), with r = 0 behind the last row:

    s = F' r,   u = e - C' s,   m_s = f + U s,   r⁻ = s + H' u.
"""

import numpy as np

from msgpass.kernels.gaussian_chain_product import add, place, place_transposed, subtract, transpose
from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import splat, store

ROWS = 32
"""Series that are taken together: their messages stay in the first-level cache."""


def work_size(n, p, ld, lp, members):
    """Numbers that either pass needs as work memory, to be zeroed; the messages stay in it between calls."""
    return (
        ld
        + lp
        + 8
        + 2 * ld * ld
        + 2 * ld * lp
        + lp * ld
        + ROWS * (3 * ld + 3 * lp)
        + (members + ROWS) * ld
        + 64
    )


@jit
def forward(
    n,
    p,
    ld,
    lp,
    F,
    fs,
    b,
    bs,
    H,
    hs,
    y,
    masked,
    mean,
    ms,
    rows,
    pairs,
    lead,
    steps,
    bounds,
    members,
    first,
    stop,
    start,
    end,
    index,
    Ct,
    SI,
    m_out,
    f_out,
    v_out,
    e_out,
    totals,
    work,
):
    """Predicted and filtered means, innovations and -½ Σ v'S⁻¹v of the series ``members[first:stop]``.

    Members ``bounds[g]`` to ``bounds[g + 1]`` share the covariances of sequence ``lead[g]``.
    """
    pn, pp = p * ld, p * lp
    o = ld + lp + 8
    Ft = work[o : o + ld * ld]
    o += ld * ld
    Ht = work[o : o + ld * lp]
    o += ld * lp
    f = work[o : o + ROWS * ld]
    o += ROWS * ld
    off = work[o : o + ROWS * ld]
    o += ROWS * ld
    v = work[o : o + ROWS * lp]
    o += ROWS * lp
    e = work[o : o + ROWS * lp]
    o += ROWS * lp
    place_transposed(F, 0, n, n, Ft, 0, ld)
    place_transposed(H, 0, p, n, Ht, 0, lp)
    if bs == 0:
        for r in range(ROWS):
            for i in range(n):
                off[r * ld + i] = b[i]
    for g in range(len(lead)):
        low, high = max(first, bounds[g]), min(stop, bounds[g + 1])
        row, pair, last = rows[lead[g]], pairs[lead[g]], steps[g] - 1
        for block in range(low, high, ROWS):
            count = min(ROWS, high - block)
            m = work[o + (block - first) * ld : o + (block - first + ROWS) * ld]
            if start == 0:
                for r in range(count):
                    k = members[block + r]
                    totals[k] = 0.0
                    for i in range(n):
                        m[r * ld + i] = mean[ms * k + i]
            for t in range(start, min(end, last + 1)):
                s = index[row + t]
                if hs > 0:
                    place_transposed(H, (row + t) * hs, p, n, Ht, 0, lp)
                for r in range(count):
                    at = (rows[members[block + r]] + t) * p
                    for a in range(p):
                        v[r * lp + a] = y[at + a]
                subtract(count, lp, n, m, 0, ld, 1, Ht, 0, lp, v, 0, lp, v, 0, lp, False)
                if masked:
                    for a in range(p):
                        if np.isnan(y[(row + t) * p + a]):
                            for r in range(count):
                                v[r * lp + a] = 0.0
                add(count, lp, p, v, 0, lp, 1, SI, s * pp, lp, work, 0, 0, e, 0, lp, False)
                add(count, ld, p, v, 0, lp, 1, Ct, s * pn, ld, m, 0, ld, f, 0, ld, False)
                for r in range(count):
                    k = members[block + r]
                    at = rows[k] + t
                    q = 0.0
                    for a in range(p):
                        q += v[r * lp + a] * e[r * lp + a]
                        v_out[at * p + a] = v[r * lp + a]
                        e_out[at * p + a] = e[r * lp + a]
                    totals[k] -= 0.5 * q
                    for i in range(n):
                        m_out[at * n + i] = m[r * ld + i]
                        f_out[at * n + i] = f[r * ld + i]
                if t == last:
                    break
                if fs > 0:
                    place_transposed(F, (pair + t) * fs, n, n, Ft, 0, ld)
                if bs > 0:
                    for r in range(count):
                        at = (pairs[members[block + r]] + t) * n
                        for i in range(n):
                            off[r * ld + i] = b[at + i]
                add(count, ld, n, f, 0, ld, 1, Ft, 0, ld, off, 0, ld, m, 0, ld, False)


@jit
def backward(
    n,
    p,
    ld,
    lp,
    F,
    fs,
    H,
    hs,
    rows,
    pairs,
    lead,
    steps,
    bounds,
    members,
    first,
    stop,
    start,
    end,
    index,
    Ct,
    U,
    f_in,
    e_in,
    s_out,
    r_out,
    u_out,
    work,
):
    """Smoothed means, co-states r at each row and smoothing errors u of some series; `forward` has the
    groups."""
    nn, pn = n * ld, p * ld
    o = ld + lp + 8
    Fw = work[o : o + ld * ld]
    o += ld * ld
    Hw = work[o : o + lp * ld]
    o += lp * ld
    ss = work[o : o + ROWS * ld]
    o += ROWS * ld
    f = work[o : o + ROWS * ld]
    o += ROWS * ld
    u = work[o : o + ROWS * lp]
    o += ROWS * lp
    C = work[o : o + ld * lp]
    o += ld * lp
    place(F, 0, n, n, Fw, 0, ld)
    place(H, 0, p, n, Hw, 0, ld)
    gain = -1
    for g in range(len(lead)):
        low, high = max(first, bounds[g]), min(stop, bounds[g + 1])
        row, pair, last = rows[lead[g]], pairs[lead[g]], steps[g] - 1
        for block in range(low, high, ROWS):
            count = min(ROWS, high - block)
            m = work[o + (block - first) * ld : o + (block - first + ROWS) * ld]
            if end > last:
                for i in range(0, count * ld, 8):
                    store(m, i, splat(0.0))
            for t in range(min(end, last + 1) - 1, start - 1, -1):
                s = index[row + t]
                for r in range(count):
                    at = rows[members[block + r]] + t
                    for i in range(n):
                        f[r * ld + i] = f_in[at * n + i]
                    for a in range(p):
                        u[r * lp + a] = e_in[at * p + a]
                if hs > 0:
                    place(H, (row + t) * hs, p, n, Hw, 0, ld)
                if t < last:
                    if fs > 0:
                        place(F, (pair + t) * fs, n, n, Fw, 0, ld)
                    if s != gain:
                        transpose(Ct, s * pn, ld, lp, ld, C, 0, lp)
                        gain = s
                    add(count, ld, n, m, 0, ld, 1, Fw, 0, ld, work, 0, 0, ss, 0, ld, False)
                    add(count, ld, n, ss, 0, ld, 1, U, s * nn, ld, f, 0, ld, f, 0, ld, False)
                    subtract(count, lp, n, ss, 0, ld, 1, C, 0, lp, u, 0, lp, u, 0, lp, False)
                else:
                    for i in range(0, count * ld, 8):
                        store(ss, i, splat(0.0))
                add(count, ld, p, u, 0, lp, 1, Hw, 0, ld, ss, 0, ld, m, 0, ld, False)
                for r in range(count):
                    at = rows[members[block + r]] + t
                    for i in range(n):
                        s_out[at * n + i] = f[r * ld + i]
                        r_out[at * n + i] = m[r * ld + i]
                    for a in range(p):
                        u_out[at * p + a] = u[r * lp + a]
