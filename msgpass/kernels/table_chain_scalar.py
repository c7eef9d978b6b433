"""The scaled sweep of :mod:`~msgpass.kernels.chain_reference`, compiled: any K, any lengths, the same bits.

Same order of additions, the same exact powers of two, no contraction into fused multiply-adds and no
transcendental function, so that choosing between this and the reference can never be seen in a result.
"""

import numpy as np

from msgpass.kernels.runtime import jit


@jit(forceinline=True, _nrt=False)
def power_exponent(x):
    """e with 2^(e−1) ≤ x < 2^e, as ``frexp`` has it, for a normal x > 0."""
    return (np.float64(x).view(np.int64) >> 52) - 1022


@jit(forceinline=True, _nrt=False)
def power_of_two(e):
    """2^e for −1022 ≤ e ≤ 1023."""
    return np.int64((e + 1023) << 52).view(np.float64)


@jit(_nrt=False)
def forward(init, transition, evidence, rows, start, stop, pair, lost, alpha):
    """α into ``alpha``, each row scaled to a maximum in [½, 1).

    Returns (mantissa, exponent) with Z = mantissa · 2^exponent, or a mantissa of −1 when a scale falls below
    ``lost``. ``rows`` is empty for evidence in order; ``pair`` is the first pair's table, −1 if all share
    one.
    """
    n_states = init.size
    exponent = 0
    for t in range(start, stop):
        e = evidence[rows[t]] if rows.size else evidence[t]
        a = alpha[t]
        if t == start:
            for j in range(n_states):
                a[j] = init[j]
        else:
            before = alpha[t - 1]
            table = transition[pair + t - 1 - start] if pair >= 0 else transition[0]
            for j in range(n_states):
                a[j] = before[0] * table[0, j]
            for i in range(1, n_states):
                weight = before[i]
                for j in range(n_states):
                    a[j] += weight * table[i, j]
        peak = 0.0
        for j in range(n_states):
            a[j] *= e[j]
            peak = max(peak, a[j])
        if not peak >= lost:
            return -1.0, 0
        shift = power_exponent(peak)
        scale = power_of_two(-shift)
        exponent += shift
        for j in range(n_states):
            a[j] *= scale
    mantissa = alpha[stop - 1, 0]
    for j in range(1, n_states):
        mantissa += alpha[stop - 1, j]
    return mantissa, exponent


@jit(_nrt=False)
def backward(
    transition, transposed, evidence, rows, start, stop, pair, lost, mantissa, gamma, xi, beta, raw, outgoing
):
    """β from the end: ``gamma`` holds α and becomes γ, ``xi`` receives Σ α e β / Z. False when lost."""
    n_states = beta.size
    inverse = 1.0 / mantissa
    for j in range(n_states):
        gamma[stop - 1, j] *= inverse
        beta[j] = 1.0
    for t in range(stop - 1, start, -1):
        e = evidence[rows[t]] if rows.size else evidence[t]
        a = gamma[t - 1]
        for j in range(n_states):
            outgoing[j] = e[j] * beta[j]
        if pair >= 0:
            table = transition[pair + t - 1 - start]
            for i in range(n_states):
                total = outgoing[0] * table[i, 0]
                for j in range(1, n_states):
                    total += outgoing[j] * table[i, j]
                raw[i] = total
        else:
            for i in range(n_states):
                raw[i] = outgoing[0] * transposed[0, i]
            for j in range(1, n_states):
                weight = outgoing[j]
                for i in range(n_states):
                    raw[i] += weight * transposed[j, i]
        peak = raw[0]
        total = a[0] * raw[0]
        for i in range(1, n_states):
            peak = max(peak, raw[i])
            total += a[i] * raw[i]
        if not total >= lost:
            return False
        inverse = 1.0 / total
        x = xi[pair + t - 1 - start] if pair >= 0 else xi[0]
        for j in range(n_states):
            outgoing[j] *= inverse
        for i in range(n_states):
            weight = a[i]
            for j in range(n_states):
                x[i, j] += weight * outgoing[j]
        scale = power_of_two(-power_exponent(peak))
        for i in range(n_states):
            a[i] = a[i] * raw[i] * inverse
            beta[i] = raw[i] * scale
    return True


@jit
def scaled_sweep(init, transition, evidence, rows, offsets, lost, mantissa, exponent, gamma, xi, failed):
    """Forward-backward over every sequence, as the reference has it; ``rows`` empty for ``None``."""
    n_states = init.size
    shared = transition.shape[0] == 1
    transposed = (
        np.ascontiguousarray(transition[0].T) if transition.shape[0] else np.empty((n_states, n_states))
    )
    beta, raw, outgoing = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    pairs = np.empty((1 if shared else 0, n_states, n_states))
    for n in range(offsets.size - 1):
        start, stop = offsets[n], offsets[n + 1]
        pair = np.int64(-1) if shared else start - n
        pairs[:] = 0.0
        total, e = forward(init, transition, evidence, rows, start, stop, pair, lost, gamma)
        done = total > 0.0 and backward(
            transition,
            transposed,
            evidence,
            rows,
            start,
            stop,
            pair,
            lost,
            total,
            gamma,
            pairs if shared else xi,
            beta,
            raw,
            outgoing,
        )
        if done:
            mantissa[n], exponent[n] = total, e
            if shared:
                for i in range(n_states):
                    for j in range(n_states):
                        xi[0, i, j] += pairs[0, i, j]
        else:
            failed[n] = True
            gamma[start:stop] = 0.0
            if not shared:
                xi[pair : pair + stop - start - 1] = 0.0


@jit
def scaled_forward(init, transition, evidence, rows, offsets, lost, mantissa, exponent, failed):
    """Only Z of every sequence; memory for two messages."""
    n_states = init.size
    a, b = np.empty(n_states), np.empty(n_states)
    shared = transition.shape[0] == 1
    for n in range(offsets.size - 1):
        start, stop = offsets[n], offsets[n + 1]
        shifts = 0
        for t in range(start, stop):
            e = evidence[rows[t]] if rows.size else evidence[t]
            if t == start:
                for j in range(n_states):
                    b[j] = init[j]
            else:
                table = transition[0 if shared else t - 1 - n]
                for j in range(n_states):
                    b[j] = a[0] * table[0, j]
                for i in range(1, n_states):
                    weight = a[i]
                    for j in range(n_states):
                        b[j] += weight * table[i, j]
            peak = 0.0
            for j in range(n_states):
                b[j] *= e[j]
                peak = max(peak, b[j])
            if not peak >= lost:
                failed[n] = True
                break
            shift = power_exponent(peak)
            scale = power_of_two(-shift)
            shifts += shift
            for j in range(n_states):
                a[j] = b[j] * scale
        if not failed[n]:
            total = a[0]
            for j in range(1, n_states):
                total += a[j]
            mantissa[n], exponent[n] = total, shifts


@jit(_nrt=False)
def count_rows(rows, gamma, counts):
    """``counts[rows[t]] += gamma[t]``, in the order of time."""
    for t in range(rows.size):
        for k in range(gamma.shape[1]):
            counts[rows[t], k] += gamma[t, k]
