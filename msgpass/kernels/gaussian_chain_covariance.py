"""The covariances of a Gaussian chain, which do not depend on the data: Kalman's and de Jong's recursions.

Forward, with W = P H', S = H W + R and the gain C = W S⁻¹:

    U = P - C W',   P⁺ = F U F' + Q.

Backward, with L = F - F C H, X = F U and N = 0 behind the last row:

    V = U - X' N X,   N⁻ = H' S⁻¹ H + L' N L.

Cells that are missing have a zero row in H and a unit row in R, and zeros in S⁻¹. Where U is small against
P, the step is taken in Joseph's form, (I - C H) P (I - C H)' + C R C', which cannot lose positivity.
"""

import numpy as np

from msgpass.kernels.gaussian_chain_product import (
    add,
    copy_padded,
    fetch,
    invert,
    mirror,
    place,
    stream_padded,
    subtract,
    transpose,
)
from msgpass.kernels.gaussian_chain_types import CANCELLED
from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import load, splat, store

JOSEPH = 1e-4
"""U / P below which a step is taken in Joseph's form: the plain difference has lost four digits."""

PIVOT = 1e-11
"""Pivot of S against its diagonal below which too many digits are lost, and the sequence is to be redone."""

FINE, REDO = 0, 1


def forward_work(n, p, ld, lp):
    """Numbers that `forward` needs as work memory, to be zeroed."""
    return 10 * ld * ld + 3 * lp * ld + 2 * ld * lp + 2 * lp * lp + 3 * ld + 12 * lp + 128


@jit
def has_gaps(y, row, p):
    """Whether a row has a missing cell."""
    found = False
    for a in range(p):
        found |= np.isnan(y[row * p + a])
    return found


@jit
def squares(a, out, count):
    """Entry by entry."""
    for i in range(0, count, 8):
        store(out, i, load(a, i) * load(a, i))


@jit
def cancelled(result, stride, rows, squared, width, P, ld, n, sizes, zeros):
    """Whether a variance of ``result`` ⊇ A P A' is far below n Σ_j A_ij² P_jj, for A' squared entry by
    entry."""
    for j in range(n):
        sizes[j] = P[j * ld + j]
    add(1, width, n, sizes, 0, 0, 1, squared, 0, width, zeros, 0, 0, sizes, ld, width, False)
    found = False
    for i in range(rows):
        found |= not result[i * stride + i] >= n * CANCELLED * sizes[ld + i]
    return found


@jit
def still(new, old, n, ld, tolerance):
    """Whether no entry moved by more than ``tolerance`` against its row's and column's standard
    deviations."""
    for i in range(n):
        if not abs(new[i * ld + i] - old[i * ld + i]) <= tolerance * abs(new[i * ld + i]):
            return False
    for i in range(n):
        for j in range(i):
            scale = np.sqrt(new[i * ld + i] * new[j * ld + j])
            if not abs(new[i * ld + j] - old[i * ld + j]) <= tolerance * scale:
                return False
    return True


@jit
def forward(
    n,
    p,
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
    """Filtered covariances, gains and innovation precisions of groups ``g0`` to ``g1``, steps ``start`` to
    ``stop``.

    Group g is swept for its sequence ``lead[g]``. Rows are stored from ``base[g]`` on; ``index`` says
    where those of each row of that sequence are. ``report[g]`` is (rows stored, first step from which
    nothing changes, status, its step).
    """
    for g in range(g0, g1):
        k = lead[g]
        _forward(
            n,
            p,
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
            cs * k,
            y,
            masked,
            rows[k],
            pairs[k],
            steps[g],
            base[g],
            start,
            stop,
            tolerance,
            U,
            Ct,
            SI,
            logdet,
            index,
            report[g],
            work,
        )


@jit
def _forward(
    n,
    p,
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
    first,
    y,
    masked,
    row,
    pair,
    steps,
    base,
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
    nn, pn, pp = n * ld, p * ld, p * lp
    lanes = work[ld + lp : ld + lp + 8]
    for i in range(8):
        lanes[i] = i
    o = ld + lp + 8
    P = work[o : o + ld * ld]
    o += ld * ld
    P1 = work[o : o + ld * ld]
    o += ld * ld
    Fw = work[o : o + ld * ld]
    o += ld * ld
    Ft = work[o : o + ld * ld]
    o += ld * ld
    Qw = work[o : o + ld * ld]
    o += ld * ld
    A = work[o : o + ld * ld]
    o += ld * ld
    X = work[o : o + ld * ld]
    o += ld * ld
    after = work[o : o + ld * ld]
    o += ld * ld
    F2 = work[o : o + ld * ld]
    o += ld * ld
    H2 = work[o : o + ld * lp]
    o += ld * lp
    sizes = work[o : o + 2 * ld + lp]
    o += 2 * ld + lp
    Hw = work[o : o + lp * ld]
    o += lp * ld
    Wt = work[o : o + lp * ld]
    o += lp * ld
    B = work[o : o + lp * ld]
    o += lp * ld
    Ht = work[o : o + ld * lp]
    o += ld * lp
    Rw = work[o : o + lp * lp]
    o += lp * lp
    S = work[o : o + lp * lp]
    o += lp * lp
    diagonal = work[o : o + lp]
    o += lp
    pivots = work[o : o + lp]
    o += lp
    spare = work[o : o + 8 * lp + 64]
    if start == 0:
        place(cov, first, n, n, P, 0, ld)
        s, steady = base - 1, False
    else:
        s, steady = base + report[0] - 1, report[1] < steps
    dirty = True
    constant = fs == 0 and qs == 0 and hs == 0 and rs == 0 and tolerance > 0
    settled = report[1] if steady else steps
    for t in range(start, min(stop, steps)):
        gaps = masked and has_gaps(y, row + t, p)
        if steady and not gaps:
            index[row + t] = s
            continue
        steady = False
        settled = steps
        s += 1
        index[row + t] = s
        if dirty or gaps or hs > 0 or rs > 0:
            place(H, (row + t) * hs, p, n, Hw, 0, ld)
            place(R, (row + t) * rs, p, p, Rw, 0, lp)
            if gaps:
                for a in range(p):
                    if np.isnan(y[(row + t) * p + a]):
                        for j in range(n):
                            Hw[a * ld + j] = 0.0
                        for b in range(p):
                            Rw[a * lp + b] = 0.0
                            Rw[b * lp + a] = 0.0
                        Rw[a * lp + a] = 1.0
            transpose(Hw, 0, ld, lp, ld, Ht, 0, lp)
            squares(Ht, H2, n * lp)
            dirty = gaps
        add(p, ld, n, Hw, 0, ld, 1, P, 0, ld, work, 0, 0, Wt, 0, ld, False)
        add(p, lp, n, Wt, 0, ld, 1, Ht, 0, lp, Rw, 0, lp, S, 0, lp, False)
        for a in range(p, lp):
            for b in range(0, lp, 8):
                store(S, a * lp + b, splat(0.0))
            S[a * lp + a] = 1.0
        if cancelled(S, lp, p, H2, lp, P, ld, n, sizes, work):
            report[0], report[1], report[2], report[3] = s + 1 - base, settled, REDO, t
            return
        for a in range(p):
            diagonal[a] = S[a * lp + a]
        invert(p, S, lp, pivots, spare, work)
        product, logs = 1.0, 0.0
        for k in range(p):
            if not pivots[k] > PIVOT * diagonal[k]:
                report[0], report[1], report[2], report[3] = s + 1 - base, settled, REDO, t
                return
            product *= pivots[k]
            if not 1e-100 < product < 1e100:
                logs += np.log(product)
                product = 1.0
        logdet[s] = logs + np.log(product)
        add(p, ld, p, S, 0, lp, 1, Wt, 0, ld, work, 0, 0, Ct, s * pn, ld, False)
        if gaps:
            for a in range(p):
                if np.isnan(y[(row + t) * p + a]):
                    S[a * lp + a] = 0.0
        copy_padded(S, 0, SI, s * pp, pp)
        subtract(n, ld, p, Wt, 0, 1, ld, Ct, s * pn, ld, P, 0, ld, after, 0, ld, True)
        lost = False
        for i in range(n):
            if not after[i * ld + i] >= JOSEPH * P[i * ld + i]:
                lost = True
        if lost:
            for i in range(n):
                for j in range(0, ld, 8):
                    store(A, i * ld + j, splat(0.0))
                A[i * ld + i] = 1.0
            # (I - C H)', what is zero but for rounding set to zero: what is observed without noise is known
            subtract(n, ld, p, Hw, 0, 1, ld, Ct, s * pn, ld, A, 0, ld, A, 0, ld, False)
            for i in range(n):
                if abs(A[i * ld + i]) < 2e-15:
                    A[i * ld + i] = 0.0
            add(n, ld, n, P, 0, ld, 1, A, 0, ld, work, 0, 0, X, 0, ld, False)
            add(p, ld, p, Rw, 0, lp, 1, Ct, s * pn, ld, work, 0, 0, B, 0, ld, False)
            add(n, ld, n, A, 0, 1, ld, X, 0, ld, work, 0, 0, after, 0, ld, True)
            add(n, ld, p, Ct, s * pn, 1, ld, B, 0, ld, after, 0, ld, after, 0, ld, True)
            squares(A, A, n * ld)
            if cancelled(after, ld, n, A, ld, P, ld, n, sizes, work):
                report[0], report[1], report[2], report[3] = s + 1 - base, settled, REDO, t
                return
        mirror(after, 0, ld, n, lanes)
        stream_padded(after, 0, U, s * nn, nn)
        if t == steps - 1:
            break
        if fs > 0 or t == start:
            place(F, (pair + t) * fs, n, n, Fw, 0, ld)
            transpose(Fw, 0, ld, ld, ld, Ft, 0, ld)
            squares(Ft, F2, n * ld)
        if qs > 0 or t == start:
            place(Q, (pair + t) * qs, n, n, Qw, 0, ld)
        add(n, ld, n, Fw, 0, ld, 1, after, 0, ld, work, 0, 0, X, 0, ld, False)
        add(n, ld, n, X, 0, ld, 1, Ft, 0, ld, Qw, 0, ld, P1, 0, ld, True)
        mirror(P1, 0, ld, n, lanes)
        if cancelled(P1, ld, n, F2, ld, after, ld, n, sizes, work):
            report[0], report[1], report[2], report[3] = s + 1 - base, settled, REDO, t
            return
        if constant and not gaps:
            steady = still(P1, P, n, ld, tolerance)
            if steady:
                settled = t + 1
        copy_padded(P1, 0, P, 0, n * ld)
    report[0], report[1], report[2], report[3] = s + 1 - base, settled, FINE, 0


@jit
def adjoint_work(n, p, ld, lp):
    """Numbers that `adjoint` needs as work memory; it holds N between calls, and zeros at the start."""
    return 6 * ld * ld + 3 * lp * ld + ld + lp + 64


@jit
def adjoint(
    n,
    p,
    ld,
    lp,
    F,
    fs,
    H,
    hs,
    y,
    masked,
    row,
    pair,
    steps,
    start,
    stop,
    tolerance,
    index,
    Ct,
    SI,
    Ns,
    place_of,
    same,
    own,
    N_at,
    work,
):
    """N behind the rows ``stop - 1`` down to ``start``, stored from the beginning of ``Ns`` on.

    ``place_of[t]`` says where; ``same[t]`` that neither N nor the row's covariances differ from those of
    row t + 1. N at every row goes to row ``own + t`` of ``N_at``, if that is wanted.
    """
    nn, pn, pp = n * ld, p * ld, p * lp
    lanes = work[ld + lp : ld + lp + 8]
    for i in range(8):
        lanes[i] = i
    o = ld + lp + 8
    N = work[o : o + ld * ld]
    o += ld * ld
    N1 = work[o : o + ld * ld]
    o += ld * ld
    Fw = work[o : o + ld * ld]
    o += ld * ld
    Ft = work[o : o + ld * ld]
    o += ld * ld
    L = work[o : o + ld * ld]
    o += ld * ld
    Z = work[o : o + ld * ld]
    o += ld * ld
    Hw = work[o : o + lp * ld]
    o += lp * ld
    B = work[o : o + lp * ld]
    o += lp * ld
    Kt = work[o : o + lp * ld]
    o += lp * ld
    state = work[o : o + 8]  # last row of covariances used, steady
    if stop == steps:
        place(F, 0, n, n, Fw, 0, ld)
        state[0], state[1] = -1.0, 0.0
        for i in range(0, n * ld, 8):
            store(N, i, splat(0.0))
        transpose(Fw, 0, ld, ld, ld, Ft, 0, ld)
        place(H, 0, p, n, Hw, 0, ld)
    last = int(state[0])
    steady = state[1] > 0
    constant = fs == 0 and hs == 0 and tolerance > 0
    where = -1
    for t in range(stop - 1, start - 1, -1):
        s = index[row + t]
        if t > start:
            fetch(Ct, index[row + t - 1] * pn, pn)
            fetch(SI, index[row + t - 1] * pp, pp)
        if steady and s == last:
            same[t] = True
            if where < 0:
                where = 0
                copy_padded(N, 0, Ns, 0, nn)
            place_of[t] = where
            if len(N_at) > 0:
                copy_padded(N, 0, N_at, (own + t) * nn, nn)
            continue
        steady = False
        same[t] = False
        where += 1
        copy_padded(N, 0, Ns, where * nn, nn)
        place_of[t] = where
        if t == 0 and len(N_at) == 0:
            break
        # Rows of H at missing cells meet zeros in S⁻¹ and C, so that they need not be zeroed.
        if hs > 0:
            place(H, (row + t) * hs, p, n, Hw, 0, ld)
        if s != last:
            add(p, ld, p, SI, s * pp, lp, 1, Hw, 0, ld, work, 0, 0, B, 0, ld, False)
        add(n, ld, p, Hw, 0, 1, ld, B, 0, ld, work, 0, 0, N1, 0, ld, True)
        if t < steps - 1:
            if fs > 0:
                place(F, (pair + t) * fs, n, n, Fw, 0, ld)
                transpose(Fw, 0, ld, ld, ld, Ft, 0, ld)
            if s != last:
                add(p, ld, n, Ct, s * pn, ld, 1, Ft, 0, ld, work, 0, 0, Kt, 0, ld, False)
                subtract(n, ld, p, Kt, 0, 1, ld, Hw, 0, ld, Fw, 0, ld, L, 0, ld, False)
            add(n, ld, n, N, 0, ld, 1, L, 0, ld, work, 0, 0, Z, 0, ld, False)
            add(n, ld, n, L, 0, 1, ld, Z, 0, ld, N1, 0, ld, N1, 0, ld, True)
        mirror(N1, 0, ld, n, lanes)
        steady = constant and s == last and still(N1, N, n, ld, tolerance)
        last = s if t < steps - 1 else -1
        copy_padded(N1, 0, N, 0, nn)
        if len(N_at) > 0:
            copy_padded(N1, 0, N_at, (own + t) * nn, nn)
    state[0] = last
    state[1] = 1.0 if steady else 0.0


@jit
def smoothed_work(n, p, ld, lp):
    """Numbers that `smoothed` needs as work memory, to be zeroed."""
    return 4 * ld * ld + ld + lp + 64


@jit
def smoothed(
    n, p, ld, lp, F, fs, row, pair, steps, start, stop, index, U, Ns, place_of, same, V, own, sums, work
):
    """Smoothed covariances of rows ``stop - 1`` down to ``start`` to row ``own + t`` of V, or only sums.

    ``sums`` gains Σ V over all rows, Σ V over rows with a successor, Σ N F U over pairs, and V of the
    first row; V is then empty. Returns the step at which digits were lost, or -1.
    """
    nn = n * ld
    lanes = work[ld + lp : ld + lp + 8]
    for i in range(8):
        lanes[i] = i
    o = ld + lp + 8
    Fw = work[o : o + ld * ld]
    o += ld * ld
    X = work[o : o + ld * ld]
    o += ld * ld
    Y = work[o : o + ld * ld]
    o += ld * ld
    v = work[o : o + ld * ld]
    place(F, 0, n, n, Fw, 0, ld)
    summing = len(sums) > 0
    computed = -1
    for t in range(stop - 1, start - 1, -1):
        s = index[row + t]
        if t > start:
            fetch(U, index[row + t - 1] * nn, nn)
        if same[t] and computed >= 0:
            pass
        elif t == steps - 1:
            copy_padded(U, s * nn, v, 0, nn)
        else:
            if fs > 0:
                place(F, (pair + t) * fs, n, n, Fw, 0, ld)
            add(n, ld, n, Fw, 0, ld, 1, U, s * nn, ld, work, 0, 0, X, 0, ld, False)
            add(n, ld, n, Ns, place_of[t] * nn, ld, 1, X, 0, ld, work, 0, 0, Y, 0, ld, False)
            subtract(n, ld, n, X, 0, 1, ld, Y, 0, ld, U, s * nn, ld, v, 0, ld, True)
            mirror(v, 0, ld, n, lanes)
            for i in range(n):
                if not v[i * ld + i] >= CANCELLED * U[s * nn + i * ld + i]:
                    return t
            computed = t
        if not summing:
            stream_padded(v, 0, V, (own + t) * nn, nn)
        if summing:
            for i in range(0, nn, 8):
                store(sums, i, load(v, i) + load(sums, i))
            if t < steps - 1:
                for i in range(0, nn, 8):
                    store(sums, nn + i, load(v, i) + load(sums, nn + i))
                    store(sums, 2 * nn + i, load(Y, i) + load(sums, 2 * nn + i))
            if t == 0:
                copy_padded(v, 0, sums, 3 * nn, nn)
    return -1


CHUNK = 64
"""Steps whose N lie ready before the smoothed covariances follow, where one thread does both."""


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
    """`adjoint` and `smoothed` of groups ``g0`` to ``g1``, in turns, steps ``stop - 1`` down to ``start``.

    ``behind`` is N behind them where that is not the end of the group, and N at ``start`` on return, but for
    step 0. ``lost[g]`` is the step that lost digits, or -1.
    """
    nn, held = n * ld, ld + lp + 8  # where `adjoint` has N
    ring = work[: CHUNK * nn]
    one, two = adjoint_work(n, p, ld, lp), smoothed_work(n, p, ld, lp)
    first = work[CHUNK * nn : CHUNK * nn + one]
    second = work[CHUNK * nn + one : CHUNK * nn + one + two]
    for g in range(g0, g1):
        k = lead[g]
        lost[g] = -1
        end = min(stop, steps[g])
        if end < steps[g]:
            adjoint(
                n,
                p,
                ld,
                lp,
                F,
                fs,
                H,
                hs,
                y,
                masked,
                rows[k],
                pairs[k],
                steps[g],
                steps[g],
                steps[g],
                tolerance,
                index,
                Ct,
                SI,
                ring,
                place_of,
                same,
                base[g],
                N_at,
                first,
            )
            copy_padded(behind, 0, first, held, nn)
        while end > start:
            begin = max(end - CHUNK, start)
            adjoint(
                n,
                p,
                ld,
                lp,
                F,
                fs,
                H,
                hs,
                y,
                masked,
                rows[k],
                pairs[k],
                steps[g],
                begin,
                end,
                tolerance,
                index,
                Ct,
                SI,
                ring,
                place_of,
                same,
                base[g],
                N_at,
                first,
            )
            if len(V) > 0 or sums.shape[1] > 0:
                t = smoothed(
                    n,
                    p,
                    ld,
                    lp,
                    F,
                    fs,
                    rows[k],
                    pairs[k],
                    steps[g],
                    begin,
                    end,
                    index,
                    U,
                    ring,
                    place_of,
                    same,
                    V,
                    base[g],
                    sums[g],
                    second,
                )
                if t >= 0:
                    lost[g] = t
                    break
            end = begin
        copy_padded(first, held, behind, 0, nn)


def backward_work(n, p, ld, lp):
    """Numbers that `backward` needs as work memory, to be zeroed."""
    return CHUNK * n * ld + adjoint_work.py_func(n, p, ld, lp) + smoothed_work.py_func(n, p, ld, lp)
