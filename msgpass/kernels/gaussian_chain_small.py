"""Gaussian chains with few states: the passes of the covariances and of the means with every size a constant.

The same recursions and arguments as in :mod:`~msgpass.kernels.gaussian_chain_covariance` and
:mod:`~msgpass.kernels.gaussian_chain_mean`, without padding. Each pair of sizes is compiled on its own.
"""

from functools import lru_cache
from types import SimpleNamespace

import numpy as np

from msgpass.kernels.gaussian_chain_covariance import FINE, JOSEPH, LOST, PIVOT, REDO, has_gaps
from msgpass.kernels.gaussian_chain_mean import LOG_2PI, ROWS
from msgpass.kernels.runtime import jit
from msgpass.kernels.small_matrix import (
    below,
    cross,
    diagonal_of,
    dot,
    entries_product,
    inverted,
    load_matrix,
    minus,
    mirrored,
    moved,
    plus,
    product,
    store_matrix,
    transposed,
    unit_matrix,
    where_known,
    zero_matrix,
)

MOST_STATES, MOST_OUTPUTS = 4, 4


@jit
def _known_rows(H, R, y, row, n, p, hs, rs, scratch):
    """H and R of a row with missing cells, one after the other."""
    for a in range(p):
        gone = np.isnan(y[row * p + a])
        for j in range(n):
            scratch[a * n + j] = 0.0 if gone else H[row * hs + a * n + j]
        for b in range(p):
            apart = gone or np.isnan(y[row * p + b])
            scratch[p * n + a * p + b] = (1.0 if a == b else 0.0) if apart else R[row * rs + a * p + b]


@lru_cache(maxsize=None)
def passes(n: int, p: int) -> SimpleNamespace:
    """The passes for n states and p outputs, compiled when they are first called."""
    nn, pn, pp = n * n, p * n, p * p

    @jit
    def forward(n_, p_, ld, lp, F, fs, Q, qs, H, hs, R, rs, cov, y, masked, row, pair, start, stop, steps, tolerance, base, U, Ct, SI, logdet, index, work):
        constant = fs == 0 and qs == 0 and hs == 0 and rs == 0 and tolerance > 0
        if start == 0:
            P = load_matrix(n, n, cov, 0)
            s, settled, steady = base - 1, steps, False
        else:
            P = load_matrix(n, n, work, 8)
            s, settled, steady = int(work[0]), int(work[1]), work[2] > 0
        f, q, h, r = pair * fs, pair * qs, row * hs, row * rs
        Fm, Qm = load_matrix(n, n, F, f), load_matrix(n, n, Q, q)
        Hm, Rm = load_matrix(p, n, H, h), load_matrix(p, p, R, r)
        Ft, Ht = transposed(Fm), transposed(Hm)
        for t in range(start, stop):
            gaps = masked and has_gaps(y, row + t, p)
            if steady and not gaps:
                index[row + t] = s
                continue
            steady = False
            settled = steps
            s += 1
            index[row + t] = s
            if gaps:
                _known_rows(H, R, y, row + t, n, p, hs, rs, work[8 + nn :])
                Hm, Rm = load_matrix(p, n, work, 8 + nn), load_matrix(p, p, work, 8 + nn + pn)
                Ht = transposed(Hm)
            elif masked or hs > 0 or rs > 0:
                Hm, Rm = load_matrix(p, n, H, (row + t) * hs), load_matrix(p, p, R, (row + t) * rs)
                Ht = transposed(Hm)
            Wt = product(Hm, P)
            S = plus(product(Wt, Ht), Rm)
            inverse, pivots = inverted(S)
            if below(pivots, diagonal_of(S), PIVOT) or not 0.0 < entries_product(pivots) < np.inf:
                return s + 1 - base, settled, REDO, t
            logdet[s] = entries_product(pivots)
            gain = product(inverse, Wt)
            after = minus(P, cross(Wt, gain))
            if below(diagonal_of(after), diagonal_of(P), JOSEPH):
                rest = minus(unit_matrix(n), cross(Hm, gain))
                # What is zero but for rounding is zero: what is observed without noise is known.
                store_matrix(rest, work, 8 + nn)
                for i in range(n):
                    if abs(work[8 + nn + i * n + i]) < 2e-15:
                        work[8 + nn + i * n + i] = 0.0
                rest = load_matrix(n, n, work, 8 + nn)
                after = plus(cross(rest, product(P, rest)), cross(gain, product(Rm, gain)))
            after = mirrored(after)
            store_matrix(after, U, s * nn)
            store_matrix(gain, Ct, s * pn)
            store_matrix(inverse, SI, s * pp)
            if gaps:
                for a in range(p):
                    if np.isnan(y[(row + t) * p + a]):
                        SI[s * pp + a * p + a] = 0.0
            if t == steps - 1:
                break
            if fs > 0:
                Fm = load_matrix(n, n, F, (pair + t) * fs)
                Ft = transposed(Fm)
            if qs > 0:
                Qm = load_matrix(n, n, Q, (pair + t) * qs)
            ahead = mirrored(plus(product(product(Fm, after), Ft), Qm))
            if constant and not gaps and not moved(ahead, P, tolerance):
                steady = True
                settled = t + 1
            P = ahead
        store_matrix(P, work, 8)
        work[0], work[1], work[2] = s, settled, 1.0 if steady else 0.0
        return s + 1 - base, settled, FINE, 0

    @jit
    def mean_forward(n_, p_, ld, lp, F, fs, b, bs, H, hs, y, masked, mean, means, row, pair, members, first, stop, begin, end, steps, index, Ct, SI, logdet, m_out, f_out, v_out, e_out, totals, work):
        lead = members[first]
        Ft = transposed(load_matrix(n, n, F, 0))
        Ht = transposed(load_matrix(p, n, H, 0))
        offset = load_matrix(1, n, b, 0)
        if begin == 0:
            for k in members[first:stop]:
                totals[k] = 0.0
                store_matrix(load_matrix(1, n, mean, means * k), work, k * n)
        for t in range(begin, end):
            s = index[row[lead] + t]
            gain, inverse = load_matrix(p, n, Ct, s * pn), load_matrix(p, p, SI, s * pp)
            if hs > 0:
                Ht = transposed(load_matrix(p, n, H, (row[lead] + t) * hs))
            if fs > 0 and t < steps - 1:
                Ft = transposed(load_matrix(n, n, F, (pair[lead] + t) * fs))
            gaps = masked and has_gaps(y, row[lead] + t, p)
            for k in members[first:stop]:
                at = row[k] + t
                m, data = load_matrix(1, n, work, k * n), load_matrix(1, p, y, at * p)
                v = minus(data, product(m, Ht))
                if gaps:
                    v = where_known(data, v)
                e = product(v, inverse)
                f = plus(m, product(v, gain))
                totals[k] -= 0.5 * dot(v, e)
                store_matrix(m, m_out, at * n)
                store_matrix(f, f_out, at * n)
                store_matrix(v, v_out, at * p)
                store_matrix(e, e_out, at * p)
                if t < steps - 1:
                    if bs > 0:
                        offset = load_matrix(1, n, b, (pair[k] + t) * bs)
                    store_matrix(plus(product(f, Ft), offset), work, k * n)

    @jit
    def smoothed(n_, p_, ld, lp, F, fs, H, hs, row, pair, steps, tolerance, index, U, Ct, SI, Ns, V, own, sums, work):
        constant = fs == 0 and hs == 0 and tolerance > 0
        N = zero_matrix(n, n)
        Fm, Hm = load_matrix(n, n, F, 0), load_matrix(p, n, H, 0)
        V_sum, early, Y_sum = N, N, N
        Y, L, smooth, within = N, N, N, cross(Hm, Hm)
        Ft = transposed(Fm)
        last, steady = -1, False
        for t in range(steps - 1, -1, -1):
            s = index[row + t]
            at = (own + t) * nn
            if not (steady and s == last):
                steady = False
                after = load_matrix(n, n, U, s * nn)
                if hs > 0:
                    Hm = load_matrix(p, n, H, (row + t) * hs)
                if s != last:
                    within = cross(Hm, product(load_matrix(p, p, SI, s * pp), Hm))
                if t == steps - 1:
                    smooth, ahead = after, within
                else:
                    if fs > 0:
                        Fm = load_matrix(n, n, F, (pair + t) * fs)
                        Ft = transposed(Fm)
                    X = product(Fm, after)
                    Y = product(N, X)
                    smooth = mirrored(minus(after, cross(X, Y)))
                    if below(diagonal_of(smooth), diagonal_of(after), LOST):
                        return t
                    if s != last:
                        L = minus(Fm, cross(product(load_matrix(p, n, Ct, s * pn), Ft), Hm))
                    ahead = mirrored(plus(within, cross(L, product(N, L))))
                    steady = constant and s == last and not moved(ahead, N, tolerance)
                    last = s
            if len(Ns) > 0:
                store_matrix(N, Ns, at)
            if len(V) > 0:
                store_matrix(smooth, V, at)
            if len(sums) > 0:
                V_sum = plus(V_sum, smooth)
                if t < steps - 1:
                    early, Y_sum = plus(early, smooth), plus(Y_sum, Y)
            N = ahead
        if len(sums) > 0:
            store_matrix(V_sum, sums, 0)
            store_matrix(early, sums, nn)
            store_matrix(Y_sum, sums, 2 * nn)
        return -1

    @jit
    def mean_backward(n_, p_, ld, lp, F, fs, H, hs, row, pair, members, first, stop, begin, end, steps, index, Ct, U, f_in, e_in, s_out, r_out, u_out, work):
        lead = members[first]
        Fm, Hm = load_matrix(n, n, F, 0), load_matrix(p, n, H, 0)
        if end == steps:
            for k in members[first:stop]:
                store_matrix(zero_matrix(1, n), work, k * n)
        for t in range(end - 1, begin - 1, -1):
            s = index[row[lead] + t]
            gain, after = transposed(load_matrix(p, n, Ct, s * pn)), load_matrix(n, n, U, s * nn)
            if hs > 0:
                Hm = load_matrix(p, n, H, (row[lead] + t) * hs)
            if fs > 0 and t < steps - 1:
                Fm = load_matrix(n, n, F, (pair[lead] + t) * fs)
            for k in members[first:stop]:
                at = row[k] + t
                r, f, u = load_matrix(1, n, work, k * n), load_matrix(1, n, f_in, at * n), load_matrix(1, p, e_in, at * p)
                back = product(r, Fm)
                u = minus(u, product(back, gain))
                store_matrix(r, r_out, at * n)
                store_matrix(u, u_out, at * p)
                store_matrix(plus(f, product(back, after)), s_out, at * n)
                store_matrix(plus(back, product(u, Hm)), work, k * n)

    return SimpleNamespace(
        forward=forward, mean_forward=mean_forward, smoothed=smoothed, mean_backward=mean_backward
    )
