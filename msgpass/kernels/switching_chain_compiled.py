"""Kim's filter and smoother compiled: the loops of ``switching_chain_reference``, to rounding."""

from __future__ import annotations

import math

import numpy as np

from msgpass.kernels.gaussian_chain_reference import SINGULAR as LEAST_PIVOT
from msgpass.kernels.runtime import compiling, jit
from msgpass.kernels.switching_chain_inverse import pseudo_inverse
from msgpass.kernels.switching_chain_reference import LOG_2PI, ZERO
from msgpass.kernels.switching_chain_types import (
    OVERFLOW,
    SINGULAR,
    Filtered,
    Mixtures,
    PairMixtures,
    SwitchingChainArrays,
)


@jit
def log_sum(values):
    """log Σ exp of a vector."""
    top = -np.inf
    for value in values:
        if math.isnan(value):
            return math.nan
        top = max(top, value)
    if math.isinf(top):
        return top
    total = 0.0
    for value in values:
        total += math.exp(value - top)
    return top + math.log(total)


@jit
def shares(log_parts, log_whole, out):
    """Weights of parts within their whole; equal ones where the whole is impossible."""
    for i in range(log_parts.size):
        out[i] = math.exp(log_parts[i] - log_whole) if math.isfinite(log_whole) else 1.0 / log_parts.size


@jit
def predict(F, Q, b, m, U, X, a, P):
    """a ← F m + b, P ← F U Fᵀ + Q; X is F U."""
    n = a.size
    for i in range(n):
        x = b[i]
        for j in range(n):
            x += F[i, j] * m[j]
            X[i, j] = 0.0
        a[i] = x
        for l in range(n):
            f = F[i, l]
            if f != 0.0:
                for j in range(n):
                    X[i, j] += f * U[l, j]
    for i in range(n):
        for j in range(i + 1):
            x, mirrored = 0.0, 0.0
            for l in range(n):
                x += X[i, l] * F[j, l]
                mirrored += X[j, l] * F[i, l]
            x = 0.5 * (x + mirrored)
            P[i, j] = x + Q[i, j]
            P[j, i] = x + Q[j, i]


@jit
def update(H, R, d, y, seen, count, a, P, HP, L, scale, v, A, X, C, mean, cov):
    """Mean and covariance given one row, and its log density; NaN where S is singular."""
    n = a.size
    for r in range(count):
        p = seen[r]
        x = y[p] - d[p]
        for j in range(n):
            x -= H[p, j] * a[j]
            HP[r, j] = 0.0
        v[r] = x
        for l in range(n):
            h = H[p, l]
            if h != 0.0:
                for j in range(n):
                    HP[r, j] += h * P[l, j]
    for r in range(count):
        for s in range(r + 1):
            x, mirrored = 0.0, 0.0
            for l in range(n):
                x += HP[r, l] * H[seen[s], l]
                mirrored += HP[s, l] * H[seen[r], l]
            L[r, s] = 0.5 * (x + mirrored) + R[seen[r], seen[s]]
        if not L[r, r] > 0.0:
            return math.nan
        scale[r] = math.sqrt(L[r, r])
    # Cholesky's factor of the correlation matrix; v and H P on the way become L⁻¹ D⁻¹ (v | H P)
    found = -0.5 * count * LOG_2PI
    for r in range(count):
        for s in range(r + 1):
            x = L[r, s] / (scale[r] * scale[s])
            for l in range(s):
                x -= L[r, l] * L[s, l]
            if s < r:
                L[r, s] = x / L[s, s]
            else:
                if not x >= LEAST_PIVOT:
                    return math.nan
                L[r, r] = math.sqrt(x)
        v[r] /= scale[r]
        for j in range(n):
            HP[r, j] /= scale[r]
        for l in range(r):
            x = L[r, l]
            v[r] -= x * v[l]
            for j in range(n):
                HP[r, j] -= x * HP[l, j]
        x = 1.0 / L[r, r]
        v[r] *= x
        for j in range(n):
            HP[r, j] *= x
        found -= 0.5 * v[r] * v[r] + math.log(L[r, r] * scale[r])
    # C = P Hᵀ S⁻¹: HP becomes D⁻¹ L⁻ᵀ (L⁻¹ D⁻¹ H P), after the mean has used it
    for j in range(n):
        x = a[j]
        for r in range(count):
            x += HP[r, j] * v[r]
        mean[j] = x
    for r in range(count - 1, -1, -1):
        for l in range(r + 1, count):
            x = L[l, r]
            for j in range(n):
                HP[r, j] -= x * HP[l, j]
        x = 1.0 / L[r, r]
        for j in range(n):
            HP[r, j] *= x
    for r in range(count):
        for j in range(n):
            C[j, r] = HP[r, j] / scale[r]
    for i in range(n):
        for j in range(n):
            product = 0.0
            for r in range(count):
                product += C[i, r] * H[seen[r], j]
            x = (1.0 if i == j else 0.0) - product
            A[i, j] = x if abs(x) >= ZERO * abs(product) else 0.0
    congruence(A, P, X, cov)
    # + C R Cᵀ
    for i in range(n):
        for r in range(count):
            x = 0.0
            for s in range(count):
                x += C[i, s] * R[seen[s], seen[r]]
            HP[r, i] = x
    for i in range(n):
        for j in range(n):
            x = 0.0
            for r in range(count):
                x += HP[r, i] * C[j, r]
            cov[i, j] += x
    symmetrise(cov)
    return found


@jit
def congruence(A, P, X, out):
    """out ← A P Aᵀ."""
    n = A.shape[0]
    for i in range(n):
        for j in range(n):
            X[i, j] = 0.0
        for l in range(n):
            f = A[i, l]
            for j in range(n):
                X[i, j] += f * P[l, j]
    for i in range(n):
        for j in range(n):
            x = 0.0
            for l in range(n):
                x += X[i, l] * A[j, l]
            out[i, j] = x


@jit
def symmetrise(M):
    """M ← (M + Mᵀ)/2."""
    for i in range(M.shape[0]):
        for j in range(i):
            x = 0.5 * (M[i, j] + M[j, i])
            M[i, j] = x
            M[j, i] = x


@jit
def collapse(weights, means, covs, mean, cov):
    """Moments of a mixture over the first axis."""
    n = mean.size
    for a in range(n):
        x = 0.0
        for i in range(weights.size):
            x += weights[i] * means[i, a]
        mean[a] = x
    for a in range(n):
        for b in range(a + 1):
            x = 0.0
            for i in range(weights.size):
                away = (means[i, a] - mean[a]) * (means[i, b] - mean[b])
                x += weights[i] * (0.5 * (covs[i, a, b] + covs[i, b, a]) + away)
            cov[a, b] = x
            cov[b, a] = x


@jit
def finite_diagonal(M):
    """Whether the variances are finite."""
    found = True
    for i in range(M.shape[0]):
        found = found and math.isfinite(M[i, i])
    return found


@jit
def filter_pass(
    log_init, log_transition, log_evidence, mean, cov, F, Q, b, H, R, d, y, offsets, log_w, m, U, log_z
):
    """Fill log_w (T, K), m (T, K, n), U (T, K, n, n), log_z (N,); (trouble, sequence, step)."""
    K, n, p = log_init.size, m.shape[2], y.shape[1]
    branch_w, branch_m, branch_U = np.empty((K, K)), np.empty((K, K, n)), np.empty((K, K, n, n))
    a, P, X, A = np.empty(n), np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    HP, L, scale, v, C = np.empty((p, n)), np.empty((p, p)), np.empty(p), np.empty(p), np.empty((n, p))
    seen, joined, weights = np.empty(p, np.int64), np.empty(K), np.empty(K)
    for k in range(offsets.size - 1):
        start = offsets[k]
        for t in range(start, offsets[k + 1]):
            count = 0
            for r in range(p):
                if not math.isnan(y[t, r]):
                    seen[count] = r
                    count += 1
            froms = 1 if t == start else K
            h, r, s = min(t, H.shape[0] - 1), min(t, R.shape[0] - 1), min(t, d.shape[0] - 1)
            pair = t - 1 - k
            for j in range(K):
                for i in range(froms):
                    if t == start:
                        weight = log_init[j]
                        a[:] = mean[min(k, mean.shape[0] - 1), j]
                        P[:] = cov[min(k, cov.shape[0] - 1), j]
                    else:
                        weight = (
                            log_w[t - 1, i] + log_transition[min(pair, log_transition.shape[0] - 1), i, j]
                        )
                        f, q, c = (
                            min(pair, F.shape[0] - 1),
                            min(pair, Q.shape[0] - 1),
                            min(pair, b.shape[0] - 1),
                        )
                        predict(F[f, j], Q[q, j], b[c, j], m[t - 1, i], U[t - 1, i], X, a, P)
                    weight += log_evidence[t, j]
                    if not finite_diagonal(P):
                        return OVERFLOW, k, t - start
                    if count > 0 and weight > -np.inf:
                        density = update(
                            H[h, j], R[r, j], d[s, j], y[t], seen, count, a, P, HP, L, scale, v, A, X, C,
                            branch_m[j, i], branch_U[j, i],
                        )  # fmt: skip
                        if math.isnan(density):
                            return SINGULAR, k, t - start
                        weight += density
                    else:
                        branch_m[j, i] = a
                        branch_U[j, i] = P
                    branch_w[j, i] = weight
                joined[j] = log_sum(branch_w[j, :froms])
            level = log_sum(joined)
            log_z[k] += level
            if level == -np.inf:
                break
            if not math.isfinite(level):
                return OVERFLOW, k, t - start
            for j in range(K):
                log_w[t, j] = joined[j] - level
                shares(branch_w[j, :froms], joined[j], weights[:froms])
                collapse(weights[:froms], branch_m[j, :froms], branch_U[j, :froms], m[t, j], U[t, j])
    return 0, 0, 0


@jit
def smoother_pass(
    log_transition, F, Q, b, offsets, filtered_w, m, U, log_w, means, covs, pair_w, pair_means, pair_covs
):
    """Fill what the smoother says of rows and pairs; log_w, means, covs come with the last rows filled."""
    K, n = m.shape[1], m.shape[2]
    a, P, X, A, Y = np.empty(n), np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    inverse, V, J = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    work, scale = np.empty((2, n, n)), np.empty(n)
    branch_m, branch_U = np.empty((K, K, n)), np.empty((K, K, n, n))
    mean_J = np.empty((n, n))
    backward, log_pair, weights = np.empty((K, K)), np.empty((K, K)), np.empty(K)
    joint = np.empty(K)
    for s in range(offsets.size - 2, -1, -1):
        for t in range(offsets[s + 1] - 2, offsets[s] - 1, -1):
            pair = t - s
            f, q, c = min(pair, F.shape[0] - 1), min(pair, Q.shape[0] - 1), min(pair, b.shape[0] - 1)
            step = min(pair, log_transition.shape[0] - 1)
            for k in range(K):
                for i in range(K):
                    joint[i] = filtered_w[t, i] + log_transition[step, i, k]
                shares(joint, log_sum(joint), backward[k])
                mean_J[:] = 0.0
                for i in range(K):
                    share = backward[k, i]
                    log_pair[i, k] = (math.log(share) if share > 0.0 else -np.inf) + log_w[t + 1, k]
                    predict(F[f, k], Q[q, k], b[c, k], m[t, i], U[t, i], X, a, P)
                    pseudo_inverse(P, inverse, work, scale)
                    for x in range(n):
                        for y in range(n):
                            total = 0.0
                            for l in range(n):
                                total += X[l, x] * inverse[l, y]
                            J[x, y] = total
                            mean_J[x, y] += share * total
                            V[x, y] = covs[t + 1, k, x, y] + Q[q, k, x, y]
                    for x in range(n):
                        total = m[t, i, x]
                        for y in range(n):
                            total += J[x, y] * (means[t + 1, k, y] - a[y])
                            A[x, y] = 1.0 if x == y else 0.0
                        branch_m[k, i, x] = total
                        for l in range(n):
                            for y in range(n):
                                A[x, y] -= J[x, l] * F[f, k, l, y]
                    congruence(A, U[t, i], X, branch_U[k, i])
                    congruence(J, V, X, Y)
                    for x in range(n):
                        for y in range(n):
                            branch_U[k, i, x, y] += Y[x, y]
                    symmetrise(branch_U[k, i])
                collapse(
                    backward[k], branch_m[k], branch_U[k], pair_means[pair, k, :n], pair_covs[pair, k, :n, :n]
                )
                for x in range(n):
                    pair_means[pair, k, n + x] = means[t + 1, k, x]
                    for y in range(n):
                        pair_covs[pair, k, n + x, n + y] = covs[t + 1, k, x, y]
                        total = 0.0
                        for l in range(n):
                            total += covs[t + 1, k, x, l] * mean_J[y, l]
                        pair_covs[pair, k, n + x, y] = total
                        pair_covs[pair, k, y, n + x] = total
            for i in range(K):
                own = log_sum(log_pair[i])
                log_w[t, i] = own
                shares(log_pair[i], own, weights)
                collapse(weights, branch_m[:, i], branch_U[:, i], means[t, i], covs[t, i])
                for k in range(K):
                    pair_w[pair, i, k] = math.exp(log_pair[i, k])


def _plain(array: np.ndarray) -> np.ndarray:
    """As the kernels take it."""
    return np.ascontiguousarray(array, np.float64)


def kim_filter(arrays: SwitchingChainArrays) -> Filtered:
    """:func:`~msgpass.kernels.switching_chain_reference.kim_filter`, to rounding."""
    T, K, n = len(arrays.y), len(arrays.log_init), arrays.mean.shape[-1]
    found = Mixtures(np.zeros((T, K)), np.zeros((T, K, n)), np.zeros((T, K, n, n)))
    log_z = np.zeros(len(arrays.offsets) - 1)
    with compiling("Kim's filter", filter_pass):
        trouble = filter_pass(*map(_plain, arrays[:-1]), arrays.offsets, *found, log_z)
    return Filtered(found, log_z, tuple(map(int, trouble)) if trouble[0] else None)  # type: ignore[arg-type]


def kim_smoother(arrays: SwitchingChainArrays, filtered: Mixtures) -> tuple[Mixtures, PairMixtures]:
    """:func:`~msgpass.kernels.switching_chain_reference.kim_smoother`, to rounding."""
    T, K, n = filtered.means.shape
    found = Mixtures(*(part.copy() for part in filtered))
    S = T - len(arrays.offsets) + 1
    pairs = PairMixtures(np.zeros((S, K, K)), np.zeros((S, K, 2 * n)), np.zeros((S, K, 2 * n, 2 * n)))
    given = (_plain(part) for part in (arrays.log_transition, arrays.F, arrays.Q, arrays.b))
    with compiling("Kim's smoother", smoother_pass):
        smoother_pass(*given, arrays.offsets, *filtered, *found, *pairs)
    return found, pairs
