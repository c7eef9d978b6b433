"""Gaussian chains with few states: the passes of the covariances and of the means with every size a constant.

The same recursions and arguments as in :mod:`~msgpass.kernels.gaussian_chain_covariance` and
:mod:`~msgpass.kernels.gaussian_chain_mean`, without padding. Each pair of sizes is compiled on its own.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np

from msgpass.kernels.gaussian_chain_covariance import FINE, JOSEPH, PIVOT, REDO, has_gaps
from msgpass.kernels.gaussian_chain_types import CANCELLED
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
    times,
    transposed,
    unit_matrix,
    where_known,
    zero_matrix,
)

MOST_STATES, MOST_OUTPUTS = 8, 8

ROWS = 32
"""Series that are taken together: their messages stay in the first-level cache."""


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


@cache
def passes(n: int, p: int) -> SimpleNamespace:
    """The passes for n states and p outputs, compiled when they are first called."""
    nn, pn, pp = n * n, p * n, p * p

    @jit
    def forward(
        n_,
        p_,
        ld,
        lp,
        F,
        fs,
        Q,
        qs,
        H,
        hs,
        R,
        rs,
        cov,
        cs,
        y,
        masked,
        rows,
        pairs,
        lead,
        steps,
        base,
        g0,
        g1,
        start,
        stop,
        tolerance,
        U,
        Ct,
        SI,
        logdet,
        index,
        report,
        work,
    ):
        constant = fs == 0 and qs == 0 and hs == 0 and rs == 0 and tolerance > 0
        for g in range(g0, g1):
            row, pair, last = rows[lead[g]], pairs[lead[g]], steps[g] - 1
            P = load_matrix(n, n, cov, cs * lead[g])
            s, settled, steady, status, where = base[g] - 1, steps[g], False, FINE, 0
            Fm, Qm = load_matrix(n, n, F, pair * fs), load_matrix(n, n, Q, pair * qs)
            Hm, Rm = load_matrix(p, n, H, row * hs), load_matrix(p, p, R, row * rs)
            Ft, Ht = transposed(Fm), transposed(Hm)
            F2, H2 = times(Ft, Ft), times(Ht, Ht)
            for t in range(last + 1):
                gaps = masked and has_gaps(y, row + t, p)
                if steady and not gaps:
                    index[row + t] = s
                    continue
                steady = False
                settled = last + 1
                s += 1
                index[row + t] = s
                if gaps:
                    _known_rows(H, R, y, row + t, n, p, hs, rs, work)
                    Hm, Rm = load_matrix(p, n, work, 0), load_matrix(p, p, work, pn)
                    Ht = transposed(Hm)
                    H2 = times(Ht, Ht)
                elif masked or hs > 0 or rs > 0:
                    Hm, Rm = load_matrix(p, n, H, (row + t) * hs), load_matrix(p, p, R, (row + t) * rs)
                    Ht = transposed(Hm)
                    H2 = times(Ht, Ht)
                Wt = product(Hm, P)
                S = plus(product(Wt, Ht), Rm)
                inverse, pivots = inverted(S)
                before = diagonal_of(P)
                lost = below(pivots, diagonal_of(S), PIVOT) or not 0.0 < entries_product(pivots) < np.inf
                if lost or below(diagonal_of(S), product(before, H2), n * CANCELLED):
                    status, where = REDO, t
                    break
                logdet[s] = entries_product(pivots)
                gain = product(inverse, Wt)
                after = minus(P, cross(Wt, gain))
                if below(diagonal_of(after), before, JOSEPH):
                    rest = minus(unit_matrix(n), cross(Hm, gain))
                    # What is zero but for rounding is zero: what is observed without noise is known.
                    store_matrix(rest, work, 0)
                    for i in range(n):
                        if abs(work[i * n + i]) < 2e-15:
                            work[i * n + i] = 0.0
                    rest = load_matrix(n, n, work, 0)
                    after = plus(cross(rest, product(P, rest)), cross(gain, product(Rm, gain)))
                    if below(diagonal_of(after), product(before, times(rest, rest)), n * CANCELLED):
                        status, where = REDO, t
                        break
                after = mirrored(after)
                store_matrix(after, U, s * nn)
                store_matrix(gain, Ct, s * pn)
                store_matrix(inverse, SI, s * pp)
                if gaps:
                    for a in range(p):
                        if np.isnan(y[(row + t) * p + a]):
                            SI[s * pp + a * p + a] = 0.0
                if t == last:
                    break
                if fs > 0:
                    Fm = load_matrix(n, n, F, (pair + t) * fs)
                    Ft = transposed(Fm)
                    F2 = times(Ft, Ft)
                if qs > 0:
                    Qm = load_matrix(n, n, Q, (pair + t) * qs)
                ahead = mirrored(plus(product(product(Fm, after), Ft), Qm))
                if below(diagonal_of(ahead), product(diagonal_of(after), F2), n * CANCELLED):
                    status, where = REDO, t
                    break
                if constant and not gaps and not moved(ahead, P, tolerance):
                    steady = True
                    settled = t + 1
                P = ahead
            report[g, 0], report[g, 1], report[g, 2], report[g, 3] = s + 1 - base[g], settled, status, where

    @jit
    def mean_forward(
        n_,
        p_,
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
        Ft = transposed(load_matrix(n, n, F, 0))
        Ht = transposed(load_matrix(p, n, H, 0))
        offset = load_matrix(1, n, b, 0)
        for g in range(len(lead)):
            low, high = max(first, bounds[g]), min(stop, bounds[g + 1])
            row, pair, last = rows[lead[g]], pairs[lead[g]], steps[g] - 1
            if high - low == 1:
                k = members[low]
                m, used, ready, quadratic = load_matrix(1, n, mean, ms * k), -1, False, 0.0
                gain, inverse = load_matrix(p, n, Ct, 0), load_matrix(p, p, SI, 0)
                closed, ahead = Ft, product(gain, Ft)
                for t in range(last + 1):
                    s = index[row + t]
                    at = rows[k] + t
                    if s != used:
                        gain, inverse = load_matrix(p, n, Ct, s * pn), load_matrix(p, p, SI, s * pp)
                        ready = False
                    elif not ready and fs == 0 and hs == 0:
                        # m' = m (F - F C H)' + y (F C)' waits for one product a step in place of three.
                        ahead = product(gain, Ft)
                        closed = minus(Ft, product(Ht, ahead))
                        ready = True
                    used = s
                    if hs > 0:
                        Ht = transposed(load_matrix(p, n, H, (row + t) * hs))
                    if fs > 0 and t < last:
                        Ft = transposed(load_matrix(n, n, F, (pair + t) * fs))
                    data = load_matrix(1, p, y, at * p)
                    v = minus(data, product(m, Ht))
                    if masked and has_gaps(y, row + t, p):
                        v = where_known(data, v)
                        ready = False
                    e = product(v, inverse)
                    f = plus(m, product(v, gain))
                    quadratic -= 0.5 * dot(v, e)
                    store_matrix(m, m_out, at * n)
                    store_matrix(f, f_out, at * n)
                    store_matrix(v, v_out, at * p)
                    store_matrix(e, e_out, at * p)
                    if t < last:
                        if bs > 0:
                            offset = load_matrix(1, n, b, (pairs[k] + t) * bs)
                        if ready:
                            m = plus(product(m, closed), plus(product(data, ahead), offset))
                        else:
                            m = plus(product(f, Ft), offset)
                totals[k] = quadratic
                continue
            for block in range(low, high, ROWS):
                count = min(ROWS, high - block)
                for r in range(count):
                    k = members[block + r]
                    totals[k] = 0.0
                    store_matrix(load_matrix(1, n, mean, ms * k), work, r * n)
                for t in range(last + 1):
                    s = index[row + t]
                    gain, inverse = load_matrix(p, n, Ct, s * pn), load_matrix(p, p, SI, s * pp)
                    if hs > 0:
                        Ht = transposed(load_matrix(p, n, H, (row + t) * hs))
                    if fs > 0 and t < last:
                        Ft = transposed(load_matrix(n, n, F, (pair + t) * fs))
                    gaps = masked and has_gaps(y, row + t, p)
                    for r in range(count):
                        k = members[block + r]
                        at = rows[k] + t
                        m, data = load_matrix(1, n, work, r * n), load_matrix(1, p, y, at * p)
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
                        if t < last:
                            if bs > 0:
                                offset = load_matrix(1, n, b, (pairs[k] + t) * bs)
                            store_matrix(plus(product(f, Ft), offset), work, r * n)

    @jit
    def backward(
        n_,
        p_,
        ld,
        lp,
        F,
        fs,
        H,
        hs,
        y,
        masked,
        rows,
        pairs,
        lead,
        steps,
        base,
        g0,
        g1,
        start,
        stop,
        behind,
        tolerance,
        index,
        U,
        Ct,
        SI,
        N_at,
        V,
        sums,
        lost,
        work,
        place_of,
        same,
    ):
        constant = fs == 0 and hs == 0 and tolerance > 0
        for g in range(g0, g1):
            row, pair, last = rows[lead[g]], pairs[lead[g]], steps[g] - 1
            lost[g] = -1
            end = min(stop, last + 1)
            N = zero_matrix(n, n) if end > last else load_matrix(n, n, behind, 0)
            Fm, Hm = load_matrix(n, n, F, 0), load_matrix(p, n, H, 0)
            Y = zero_matrix(n, n)
            V_sum, early, Y_sum = Y, Y, Y
            L, smooth, within, ahead = Y, Y, cross(Hm, Hm), Y
            Ft = transposed(Fm)
            used, steady = -1, False
            for t in range(end - 1, start - 1, -1):
                s = index[row + t]
                at = (base[g] + t) * nn
                if not (steady and s == used):
                    steady = False
                    after = load_matrix(n, n, U, s * nn)
                    if hs > 0:
                        Hm = load_matrix(p, n, H, (row + t) * hs)
                    if s != used:
                        within = cross(Hm, product(load_matrix(p, p, SI, s * pp), Hm))
                    if t == last:
                        smooth, ahead = after, within
                    else:
                        if fs > 0:
                            Fm = load_matrix(n, n, F, (pair + t) * fs)
                            Ft = transposed(Fm)
                        X = product(Fm, after)
                        Y = product(N, X)
                        smooth = mirrored(minus(after, cross(X, Y)))
                        if below(diagonal_of(smooth), diagonal_of(after), CANCELLED):
                            lost[g] = t
                            break
                        if s != used:
                            L = minus(Fm, cross(product(load_matrix(p, n, Ct, s * pn), Ft), Hm))
                        ahead = mirrored(plus(within, cross(L, product(N, L))))
                        steady = constant and s == used and not moved(ahead, N, tolerance)
                        used = s
                if len(N_at) > 0:
                    store_matrix(ahead, N_at, at)
                if len(V) > 0:
                    store_matrix(smooth, V, at)
                if sums.shape[1] > 0:
                    V_sum = plus(V_sum, smooth)
                    if t < last:
                        early, Y_sum = plus(early, smooth), plus(Y_sum, Y)
                N = ahead
            store_matrix(N, behind, 0)
            if sums.shape[1] > 0:
                store_matrix(V_sum, sums[g], 0)
                store_matrix(early, sums[g], nn)
                store_matrix(Y_sum, sums[g], 2 * nn)
                store_matrix(smooth, sums[g], 3 * nn)

    @jit
    def mean_backward(
        n_,
        p_,
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
        Fm, Hm = load_matrix(n, n, F, 0), load_matrix(p, n, H, 0)
        for g in range(len(lead)):
            low, high = max(first, bounds[g]), min(stop, bounds[g + 1])
            row, pair, last = rows[lead[g]], pairs[lead[g]], steps[g] - 1
            if high - low == 1:
                r = zero_matrix(1, n) if end > last else load_matrix(1, n, work, 0)
                used, ready = -1, False
                gain, after = transposed(load_matrix(p, n, Ct, 0)), load_matrix(n, n, U, 0)
                closed = Fm
                for t in range(min(end, last + 1) - 1, start - 1, -1):
                    s = index[row + t]
                    at = rows[members[low]] + t
                    if s != used:
                        gain, after = transposed(load_matrix(p, n, Ct, s * pn)), load_matrix(n, n, U, s * nn)
                        ready = False
                    elif not ready and fs == 0 and hs == 0:
                        closed = minus(Fm, product(product(Fm, gain), Hm))
                        ready = True
                    used = s
                    if hs > 0:
                        Hm = load_matrix(p, n, H, (row + t) * hs)
                    if fs > 0 and t < last:
                        Fm = load_matrix(n, n, F, (pair + t) * fs)
                    e = load_matrix(1, p, e_in, at * p)
                    back = product(r, Fm)
                    u = minus(e, product(back, gain))
                    store_matrix(plus(load_matrix(1, n, f_in, at * n), product(back, after)), s_out, at * n)
                    r = plus(product(r, closed), product(e, Hm)) if ready else plus(back, product(u, Hm))
                    store_matrix(r, r_out, at * n)
                    store_matrix(u, u_out, at * p)
                store_matrix(r, work, 0)
                continue
            for block in range(low, high, ROWS):
                count = min(ROWS, high - block)
                if end > last:
                    for r in range(count):
                        store_matrix(zero_matrix(1, n), work, r * n)
                for t in range(min(end, last + 1) - 1, start - 1, -1):
                    s = index[row + t]
                    gain, after = transposed(load_matrix(p, n, Ct, s * pn)), load_matrix(n, n, U, s * nn)
                    if hs > 0:
                        Hm = load_matrix(p, n, H, (row + t) * hs)
                    if fs > 0 and t < last:
                        Fm = load_matrix(n, n, F, (pair + t) * fs)
                    for r in range(count):
                        at = rows[members[block + r]] + t
                        f, u = load_matrix(1, n, f_in, at * n), load_matrix(1, p, e_in, at * p)
                        back = product(load_matrix(1, n, work, r * n), Fm)
                        u = minus(u, product(back, gain))
                        ahead = plus(back, product(u, Hm))
                        store_matrix(ahead, r_out, at * n)
                        store_matrix(u, u_out, at * p)
                        store_matrix(plus(f, product(back, after)), s_out, at * n)
                        store_matrix(ahead, work, r * n)

    return SimpleNamespace(
        forward=forward, mean_forward=mean_forward, backward=backward, mean_backward=mean_backward
    )
