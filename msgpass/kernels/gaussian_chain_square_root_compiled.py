"""The filter and the smoother by covariance factors compiled: the loops of ``filter_reference`` and
``smooth_reference``, own reflections (Golub & Van Loan 2013, section 5.2).

Factors of Q and R are made outside the loops, all at once. Rows B_o of a factor of R are one of R_oo, so
that missing cells need none of their own; a table's rows that are zero take no part in its reflections.
"""

import math

import numpy as np

from msgpass.kernels.gaussian_chain_square_root import RANK, Smoothed, root
from msgpass.kernels.gaussian_chain_types import FilterPass, GaussianChainArrays, at
from msgpass.kernels.runtime import jit

LOG_2PI = math.log(2 * math.pi)


@jit(_nrt=False)
def _ordered(A, rows, keyed, columns, keys, order, X):
    """X ← A, rows that are long over the first ``keyed`` columns first; how many of them are not zero."""
    for i in range(rows):
        largest = 0.0
        for j in range(keyed):
            largest = max(largest, abs(A[i, j]))
        k = i
        while k > 0 and keys[k - 1] < largest:
            keys[k], order[k] = keys[k - 1], order[k - 1]
            k -= 1
        keys[k], order[k] = largest, i
    count = 0
    for i in range(rows):
        if keys[i] != 0.0:
            count = i + 1
        for j in range(columns):
            X[i, j] = A[order[i], j]
    return count


@jit(_nrt=False)
def _reflect(X, rows, columns, j, w):
    """Clear column j of X below its diagonal by a reflection of rows j to ``rows``."""
    size = 0.0
    for i in range(j + 1, rows):
        size += abs(X[i, j])
    if size == 0.0:
        return
    head = X[j, j]
    size += abs(head)
    squares = (head / size) ** 2
    for i in range(j + 1, rows):
        squares += (X[i, j] / size) ** 2
    beta = -math.copysign(size * math.sqrt(squares), head)
    pivot = head - beta
    tau = -pivot / beta
    for c in range(j + 1, columns):
        w[c] = X[j, c]
    for i in range(j + 1, rows):
        x = X[i, j] / pivot
        X[i, j] = x
        if x != 0.0:
            for c in range(j + 1, columns):
                w[c] += x * X[i, c]
    for c in range(j + 1, columns):
        w[c] *= tau
        X[j, c] -= w[c]
    for i in range(j + 1, rows):
        x = X[i, j]
        X[i, j] = 0.0
        if x != 0.0:
            for c in range(j + 1, columns):
                X[i, c] -= x * w[c]
    X[j, j] = beta


@jit(_nrt=False)
def _triangle(A, rows, columns, keys, order, X, w):
    """The first rows of X ← R of a QR factorisation of A."""
    count = _ordered(A, rows, columns, columns, keys, order, X)
    for j in range(min(count - 1, columns)):
        _reflect(X, count, columns, j, w)


@jit(_nrt=False)
def _gram(B, out, t):
    """out_t ← B Bᵀ."""
    n = B.shape[0]
    for i in range(n):
        for j in range(i + 1):
            x = 0.0
            for l in range(n):
                x += B[i, l] * B[j, l]
            out[t, i, j], out[t, j, i] = x, x


@jit(_nrt=False)
def _filter(
    mean,
    start,
    F,
    noise_Q,
    b,
    H,
    noise_R,
    y,
    roots,
    a,
    P,
    m,
    U,
    v,
    precision,
    gain,
    terms,
    A,
    X,
    B,
    W,
    keys,
    order,
    w,
):
    L, p = y.shape
    n = mean.size
    for i in range(n):
        a[0, i] = mean[i]
        for j in range(n):
            B[i, j] = start[i, j]
    for t in range(L):
        if t > 0:
            f, q, s = min(t, F.shape[0]) - 1, min(t, noise_Q.shape[0]) - 1, min(t, b.shape[0]) - 1
            for i in range(n):
                x = 0.0
                for l in range(n):
                    x += F[f, i, l] * m[t - 1, l]
                a[t, i] = x + b[s, i]
                for j in range(n):
                    x = 0.0
                    for l in range(n):
                        x += F[f, i, l] * B[l, j]
                    A[j, i] = x
                    A[n + j, i] = noise_Q[q, i, j]
            _triangle(A, 2 * n, n, keys, order, X, w)
            for i in range(n):
                for j in range(n):
                    B[i, j] = X[j, i]
        _gram(B, P, t)
        for i in range(n):
            m[t, i] = a[t, i]
        h, r = min(t, H.shape[0] - 1), min(t, noise_R.shape[0] - 1)
        seen = 0
        for c in range(p):
            if np.isnan(y[t, c]):
                continue
            # w: the largest terms of the cell's standard deviation, squared
            size, largest = 0.0, 0.0
            for j in range(p):
                A[j, seen] = noise_R[r, c, j]
                size += noise_R[r, c, j] ** 2
            for j in range(n):
                x, parts = 0.0, 0.0
                for l in range(n):
                    x += H[h, c, l] * B[l, j]
                    parts += abs(H[h, c, l] * B[l, j])
                A[p + j, seen] = x
                largest = max(largest, parts)
            W[p, seen] = math.sqrt(size + largest * largest)
            x = y[t, c]
            for l in range(n):
                x -= H[h, c, l] * a[t, l]
            v[t, c] = x
            order[A.shape[0] + seen] = c
            seen += 1
        if seen > 0:
            for j in range(n):
                for i in range(p):
                    A[i, seen + j] = 0.0
                for i in range(n):
                    A[p + i, seen + j] = B[j, i]
            _triangle(A, p + n, seen + n, keys, order, X, w)
            terms[t] = -0.5 * seen * LOG_2PI
            for c in range(seen):
                if not abs(X[c, c]) > RANK * W[p, c]:
                    terms[t] = 0.0
                    for e in range(p):
                        v[t, e] = 0.0
                    return t
                terms[t] -= math.log(abs(X[c, c]))
            # W = S^{−½}, upper triangular
            for c in range(seen):
                W[c, c] = 1.0 / X[c, c]
                for e in range(c - 1, -1, -1):
                    x = 0.0
                    for l in range(e + 1, c + 1):
                        x -= X[e, l] * W[l, c]
                    W[e, c] = x / X[e, e]
            for c in range(seen):
                x = 0.0
                for e in range(c + 1):
                    x += W[e, c] * v[t, order[A.shape[0] + e]]
                terms[t] -= 0.5 * x * x
                own = order[A.shape[0] + c]
                for e in range(c + 1):
                    x = 0.0
                    for l in range(c, seen):
                        x += W[c, l] * W[e, l]
                    other = order[A.shape[0] + e]
                    precision[t, own, other], precision[t, other, own] = x, x
                for i in range(n):
                    x = 0.0
                    for l in range(c, seen):
                        x += X[l, seen + i] * W[c, l]
                    gain[t, i, own] = x
                    m[t, i] += x * v[t, own]
            for i in range(n):
                for j in range(n):
                    B[i, j] = X[seen + j, seen + i]
        for i in range(n):
            for j in range(n):
                roots[t, i, j] = B[i, j]
        _gram(B, U, t)
    return -1


def filter_compiled(arrays: GaussianChainArrays, done: FilterPass, k: int) -> np.ndarray:
    """:func:`~msgpass.kernels.gaussian_chain_square_root.filter_reference`, to rounding
    and signs of roots."""
    first, end = int(arrays.offsets[k]), int(arrays.offsets[k + 1])
    L, n, p = end - first, arrays.mean.shape[-1], arrays.y.shape[1]
    pairs, rows = slice(first - k, end - k - 1), slice(first, end)
    own = FilterPass(
        *(np.zeros((L, *part.shape[1:])) for part in done[:8]), done.suspicious[k], done.singular[k]
    )
    roots, table = np.zeros((L, n, n)), max(2 * n, n + p)
    failed = _filter(
        _plain(at(arrays.mean, k)),
        _plain(root(at(arrays.cov, k))),
        _of(arrays.F, pairs),
        root(_of(arrays.Q, pairs)),
        _of(arrays.b, pairs),
        _of(arrays.H, rows),
        root(_of(arrays.R, rows)),
        _plain(arrays.y[rows]),
        roots,
        *own[:8],
        np.empty((table, n + p)),
        np.empty((table, n + p)),
        np.empty((n, n)),
        np.empty((p + 1, p)),
        np.empty(table),
        np.empty(table + p, np.int64),
        np.empty(n + p),
    )
    done.singular[k] = failed
    stop = L if failed < 0 else failed
    for whole, part in zip(done[:2], own[:2], strict=False):
        whole[first : min(first + stop + 1, end)] = part[: stop + 1]
    for whole, part in zip(done[2:4], own[2:4], strict=False):
        whole[first : first + stop] = part[:stop]
    for whole, part in zip(done[4:8], own[4:8], strict=True):
        whole[rows] = part
    return roots


@jit(_nrt=False)
def _smooth(F, noise_Q, roots, B, gains, lag, cov, A, X, keys, order, pivots, scale, w):
    L, n = roots.shape[0], roots.shape[1]
    for i in range(n):
        for j in range(n):
            B[i, j] = roots[L - 1, i, j]
    _gram(B, cov, L - 1)
    for t in range(L - 2, -1, -1):
        f, q = min(t, F.shape[0] - 1), min(t, noise_Q.shape[0] - 1)
        # Rows (noise of x′, state of x); columns of x′ in units of its standard deviations.
        for i in range(n):
            squares = 0.0
            for j in range(n):
                x = 0.0
                for l in range(n):
                    x += F[f, i, l] * roots[t, l, j]
                A[j, i], A[n + j, i] = x, noise_Q[q, i, j]
                A[j, n + i], A[n + j, n + i] = roots[t, i, j], 0.0
                squares += x * x + noise_Q[q, i, j] ** 2
            scale[i] = math.sqrt(squares) if squares > 0.0 else 1.0
            pivots[i] = i
            for j in range(2 * n):
                A[j, i] /= scale[i]
        count = _ordered(A, 2 * n, n, 2 * n, keys, order, X)
        rank = 0
        while rank < min(count, n):
            best, longest = rank, -1.0
            for j in range(rank, n):
                w[j] = 0.0
            for i in range(rank, count):
                for j in range(rank, n):
                    w[j] += X[i, j] ** 2
            for j in range(rank, n):
                if w[j] > longest:
                    best, longest = j, w[j]
            if not longest > RANK * RANK:
                break
            if best != rank:
                pivots[rank], pivots[best] = pivots[best], pivots[rank]
                for i in range(count):
                    X[i, rank], X[i, best] = X[i, best], X[i, rank]
            _reflect(X, count, 2 * n, rank, w)
            rank += 1
        for l in range(rank - 1, -1, -1):
            for e in range(l + 1, rank):
                x = X[l, e]
                for i in range(n):
                    X[l, n + i] -= x * X[e, n + i]
            for i in range(n):
                X[l, n + i] /= X[l, l]
                gains[t, i, pivots[l]] = X[l, n + i] / scale[pivots[l]]
        rest = 2 * n - rank
        for i in range(rest):
            for j in range(n):
                A[i, j] = X[rank + i, n + j]
        for i in range(n):
            for j in range(n):
                x = 0.0
                for l in range(n):
                    x += gains[t, i, l] * B[l, j]
                A[rest + j, i] = x
        for i in range(n):
            for j in range(n):
                x = 0.0
                for l in range(n):
                    x += B[i, l] * A[rest + l, j]
                lag[t, i, j] = x
        _triangle(A, rest + n, n, keys, order, X, w)
        for i in range(n):
            for j in range(n):
                B[i, j] = X[j, i]
        _gram(B, cov, t)


def smooth_compiled(arrays: GaussianChainArrays, roots: np.ndarray, k: int) -> Smoothed:
    """:func:`~msgpass.kernels.gaussian_chain_square_root.smooth_reference`, to rounding."""
    L, n = roots.shape[:2]
    pairs = slice(int(arrays.offsets[k]) - k, int(arrays.offsets[k]) - k + L - 1)
    gains, lag, cov = np.zeros((L - 1, n, n)), np.zeros((L - 1, n, n)), np.zeros((L, n, n))
    _smooth(
        _of(arrays.F, pairs),
        root(_of(arrays.Q, pairs)),
        _plain(roots),
        np.empty((n, n)),
        gains,
        lag,
        cov,
        np.empty((3 * n, 2 * n)),
        np.empty((3 * n, 2 * n)),
        np.empty(3 * n),
        np.empty(3 * n, np.int64),
        np.empty(n, np.int64),
        np.empty(n),
        np.empty(2 * n),
    )
    return Smoothed(gains, cov, lag)


def _of(array: np.ndarray, entries: slice) -> np.ndarray:
    """Entries of an array that may be shared, as the compiled code takes it."""
    return _plain(array if len(array) == 1 else array[entries])


def _plain(array: np.ndarray) -> np.ndarray:
    return np.require(array, np.float64, ["C", "W"])
