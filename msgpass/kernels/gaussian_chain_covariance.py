"""The covariances of a Gaussian chain, which do not depend on the data: Kalman's and de Jong's recursions.

Forward, with W = P H', S = H W + R = L D L' and M = W S⁻¹:

    P_f = P - W S⁻¹ W',   X = F P_f,   P⁺ = X F' + Q.

Backward, with L = F - F M H and N = 0 behind the last row:

    V = P_f - X' N X,   N⁻ = H' S⁻¹ H + L' N L.

Cells that are missing have a zero row in H and a unit row in R, and zeros in S⁻¹. Where P_f is small against P, the
step is taken in Joseph's form, (I - M H) P (I - M H)' + M R M', which cannot lose positivity.
"""

from msgpass.kernels.gaussian_chain_product import (
    add,
    copy_padded,
    mirror,
    place,
    place_transposed,
    subtract,
    transpose,
)
from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import fma, load, splat, store
import numpy as np

JOSEPH = 1e-4
"""P_f / P below which a step is taken in Joseph's form: the plain difference has lost four digits."""

PIVOT = 1e-11
"""Pivot of S against its diagonal below which too many digits are lost, and the sequence is to be redone."""

LOST = 1e-8
"""Smoothed against filtered variance below which the sequence is to be redone."""

FINE, REDO = 0, 1


def forward_work(n, p, ld, lp):
    """Numbers that `forward` needs as work memory, to be zeroed."""
    return 7 * ld * ld + 3 * lp * ld + 2 * ld * lp + lp * lp + lp * (3 * lp + 2 * ld) + ld + 2 * lp + 64


@jit
def forward(n, p, ld, lp, F, fs, Q, qs, H, hs, R, rs, cov, y, masked, row, pair, steps, tolerance, base, Pf, X, Mt, M, SI, logdet, index, work):
    """Filtered covariances, gains and innovation precisions of one sequence.

    Rows are stored from ``base`` on; ``index[t]`` says where those of step t are. Returns (rows stored, first step from
    which nothing changes, status, step of it).
    """
    nn, np_, pn, pp = n * ld, n * lp, p * ld, p * lp
    zeros = 0
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
    B = work[o : o + ld * ld]
    o += ld * ld
    Hw = work[o : o + lp * ld]
    o += lp * ld
    RM = work[o : o + lp * ld]
    o += lp * ld
    Ht = work[o : o + ld * lp]
    o += ld * lp
    Rw = work[o : o + lp * lp]
    o += lp * lp
    le = lp + ld + lp
    E = work[o : o + lp * le]
    o += lp * le
    ls = ld + lp
    G = work[o : o + lp * ls]
    o += lp * ls
    diagonal = work[o : o + lp]
    place(cov, 0, n, n, P, 0, ld)
    s = base - 1
    steady = False
    dirty = True
    constant = fs == 0 and qs == 0 and hs == 0 and rs == 0
    tc = steps
    status, where = 0, 0
    for t in range(steps):
        gaps = False
        if masked:
            for a in range(p):
                if np.isnan(y[(row + t) * p + a]):
                    gaps = True
        if steady and not gaps:
            index[row + t] = s
            continue
        steady = False
        tc = steps
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
            place_transposed(Hw, 0, p, ld, Ht, 0, lp)
            dirty = gaps
        # [S | W' | I] -> [D L' | D G' | L^-1]
        for a in range(p):
            for j in range(0, lp, 8):
                store(E, a * le + lp + ld + j, splat(0.0))
            E[a * le + lp + ld + a] = 1.0
        add(p, ld, n, Hw, 0, ld, 1, P, 0, ld, work, zeros, 0, E, lp, le, False)
        add(p, lp, n, E, lp, le, 1, Ht, 0, lp, Rw, 0, lp, E, 0, le, False)
        for a in range(p):
            diagonal[a] = E[a * le + a]
        product, logs = 1.0, 0.0
        for k in range(p):
            d = E[k * le + k]
            if not d > PIVOT * diagonal[k]:
                return s + 1 - base, tc, REDO, t
            product *= d
            if not 1e-100 < product < 1e100:
                logs += np.log(product)
                product = 1.0
            inverse = 1.0 / d
            first = k // 8 * 8
            for i in range(k + 1, p):
                c = splat(-inverse * E[k * le + i])
                for j in range(first, lp, 8):
                    store(E, i * le + j, fma(c, load(E, k * le + j), load(E, i * le + j)))
                for j in range(lp, lp + ld + first + 8, 8):
                    store(E, i * le + j, fma(c, load(E, k * le + j), load(E, i * le + j)))
            c = splat(inverse)
            for j in range(0, ld + lp, 8):
                store(G, k * ls + j, c * load(E, k * le + lp + j))
        logdet[s] = logs + np.log(product)
        add(p, lp, p, E, lp + ld, 1, le, G, ld, ls, work, zeros, 0, SI, s * pp, lp, False)
        add(p, ld, p, E, lp + ld, 1, le, G, 0, ls, work, zeros, 0, Mt, s * pn, ld, False)
        add(n, lp, p, G, 0, 1, ls, E, lp + ld, le, work, zeros, 0, M, s * np_, lp, False)
        if gaps:
            for a in range(p):
                if np.isnan(y[(row + t) * p + a]):
                    SI[s * pp + a * lp + a] = 0.0
        subtract(n, ld, p, G, 0, 1, ls, E, lp, le, P, 0, ld, Pf, s * nn, ld, True)
        lost = False
        for i in range(n):
            if not Pf[s * nn + i * ld + i] >= JOSEPH * P[i * ld + i]:
                lost = True
        if lost:
            for i in range(n):
                for j in range(0, ld, 8):
                    store(A, i * ld + j, splat(0.0))
                A[i * ld + i] = 1.0
            subtract(n, ld, p, Hw, 0, 1, ld, Mt, s * pn, ld, A, 0, ld, A, 0, ld, False)
            add(n, ld, n, P, 0, ld, 1, A, 0, ld, work, zeros, 0, B, 0, ld, False)
            add(p, ld, p, Rw, 0, lp, 1, Mt, s * pn, ld, work, zeros, 0, RM, 0, ld, False)
            add(n, ld, n, A, 0, 1, ld, B, 0, ld, work, zeros, 0, Pf, s * nn, ld, True)
            add(n, ld, p, Mt, s * pn, 1, ld, RM, 0, ld, Pf, s * nn, ld, Pf, s * nn, ld, True)
        mirror(Pf, s * nn, ld, n, lanes)
        if t == steps - 1:
            break
        if fs > 0 or t == 0:
            place(F, (pair + t) * fs, n, n, Fw, 0, ld)
            place_transposed(F, (pair + t) * fs, n, n, Ft, 0, ld)
        if qs > 0 or t == 0:
            place(Q, (pair + t) * qs, n, n, Qw, 0, ld)
        add(n, ld, n, Fw, 0, ld, 1, Pf, s * nn, ld, work, zeros, 0, X, s * nn, ld, False)
        add(n, ld, n, X, s * nn, ld, 1, Ft, 0, ld, Qw, 0, ld, P1, 0, ld, True)
        mirror(P1, 0, ld, n, lanes)
        if constant and not gaps:
            steady = still(P1, P, n, ld, tolerance)
            if steady:
                tc = t + 1
        P, P1 = P1, P
    return s + 1 - base, tc, FINE, 0


@jit(cache=False)
def still(new, old, n, ld, tolerance):
    """Whether no entry moved by more than ``tolerance`` against its row's and column's standard deviations."""
    for i in range(n):
        if not abs(new[i * ld + i] - old[i * ld + i]) <= tolerance * abs(new[i * ld + i]):
            return False
    for i in range(n):
        for j in range(i):
            scale = np.sqrt(new[i * ld + i] * new[j * ld + j])
            if not abs(new[i * ld + j] - old[i * ld + j]) <= tolerance * scale:
                return False
    return True


def backward_work(n, p, ld, lp):
    """Numbers that `backward` needs as work memory, to be zeroed."""
    return ld + lp + 8 * ld * ld + 3 * lp * ld + 64


@jit
def backward(n, p, ld, lp, F, fs, H, hs, y, masked, row, pair, steps, tolerance, index, Pf, X, Mt, SI, V, own, Ns, Ys, work):
    """Smoothed covariances of one sequence to ``V`` (from row ``own`` on); N behind each row and Y = N X if wanted.

    Returns (step from which on, backward in time, nothing changed, status, step of it).
    """
    nn, pn, pp = n * ld, p * ld, p * lp
    zeros = 0
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
    Y = work[o : o + ld * ld]
    o += ld * ld
    Hw = work[o : o + lp * ld]
    o += lp * ld
    C = work[o : o + lp * ld]
    o += lp * ld
    Kt = work[o : o + lp * ld]
    last = -1
    steady = False
    still_from = -1
    dirty = True
    constant = fs == 0 and hs == 0
    for t in range(steps - 1, -1, -1):
        s = index[row + t]
        v = (own + t) * nn
        if s == last and steady:
            copy_padded(V, v + nn, V, v, nn)
            if len(Ns) > 0:
                copy_padded(Ns, v + nn, Ns, v, nn)
            if len(Ys) > 0:
                copy_padded(Ys, v + nn, Ys, v, nn)
            continue
        steady = False
        if len(Ns) > 0:
            copy_padded(N, 0, Ns, v, nn)
        gaps = False
        if masked:
            for a in range(p):
                if np.isnan(y[(row + t) * p + a]):
                    gaps = True
        if dirty or gaps or hs > 0:
            place(H, (row + t) * hs, p, n, Hw, 0, ld)
            if gaps:
                for a in range(p):
                    if np.isnan(y[(row + t) * p + a]):
                        for j in range(n):
                            Hw[a * ld + j] = 0.0
            dirty = gaps
        if t == steps - 1:
            copy_padded(Pf, s * nn, V, v, nn)
            add(p, ld, p, SI, s * pp, lp, 1, Hw, 0, ld, work, zeros, 0, C, 0, ld, False)
            add(n, ld, p, Hw, 0, 1, ld, C, 0, ld, work, zeros, 0, N, 0, ld, True)
            mirror(N, 0, ld, n, lanes)
            continue
        if fs > 0 or t == steps - 2:
            place(F, (pair + t) * fs, n, n, Fw, 0, ld)
            place_transposed(F, (pair + t) * fs, n, n, Ft, 0, ld)
        if s != last:
            add(p, ld, p, SI, s * pp, lp, 1, Hw, 0, ld, work, zeros, 0, C, 0, ld, False)
            add(p, ld, n, Mt, s * pn, ld, 1, Ft, 0, ld, work, zeros, 0, Kt, 0, ld, False)
            subtract(n, ld, p, Kt, 0, 1, ld, Hw, 0, ld, Fw, 0, ld, L, 0, ld, False)
        add(n, ld, n, N, 0, ld, 1, X, s * nn, ld, work, zeros, 0, Y, 0, ld, False)
        subtract(n, ld, n, X, s * nn, 1, ld, Y, 0, ld, Pf, s * nn, ld, V, v, ld, True)
        mirror(V, v, ld, n, lanes)
        for i in range(n):
            if not V[v + i * ld + i] >= LOST * Pf[s * nn + i * ld + i]:
                return still_from, REDO, t
        if len(Ys) > 0:
            copy_padded(Y, 0, Ys, v, nn)
        add(n, ld, n, N, 0, ld, 1, L, 0, ld, work, zeros, 0, Z, 0, ld, False)
        add(n, ld, p, Hw, 0, 1, ld, C, 0, ld, work, zeros, 0, N1, 0, ld, True)
        add(n, ld, n, L, 0, 1, ld, Z, 0, ld, N1, 0, ld, N1, 0, ld, True)
        mirror(N1, 0, ld, n, lanes)
        steady = constant and s == last and still(N1, N, n, ld, tolerance)
        if steady:
            still_from = t
        last = s
        N, N1 = N1, N
    return still_from, FINE, 0
