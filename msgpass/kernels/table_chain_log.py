"""Log-space sweeps over a chain of discrete tables, compiled: log messages, best paths, and counts of
difficult chains.

The sum-product step takes the maximum of the incoming message out, sums in linear space with K exponentials
and K logarithms, and falls back to K² exponentials only where that sum is lost to underflow:

    log Σ_i exp(a_i + T_ij) = m + log Σ_i exp(a_i − m) exp(T_ij),   m = max_i a_i
"""

import math

import numpy as np

from msgpass.kernels.runtime import jit

_SAFE = 1e-280  # a sum of linear products above this has lost nothing that matters to underflow


@jit(_nrt=False)
def _step(message, log_table, table, weights, out, maximise):
    """``out[j] = reduce_i(message[i] + log_table[i, j])`` with ``table = exp(log_table)``."""
    n_states = message.size
    if maximise:
        for j in range(n_states):
            out[j] = message[0] + log_table[0, j]
        for i in range(1, n_states):
            for j in range(n_states):
                out[j] = max(out[j], message[i] + log_table[i, j])
        return
    peak = message[0]
    for i in range(1, n_states):
        peak = max(peak, message[i])
    if peak == -np.inf:
        out[:] = -np.inf
        return
    for i in range(n_states):
        weights[i] = math.exp(message[i] - peak)
    out[:] = 0.0
    for i in range(n_states):
        weight = weights[i]
        for j in range(n_states):
            out[j] += weight * table[i, j]
    for j in range(n_states):
        if _SAFE <= out[j] < np.inf:
            out[j] = peak + math.log(out[j])
        else:
            best = -np.inf
            for i in range(n_states):
                best = max(best, message[i] + log_table[i, j])
            if best > -np.inf:
                total = 0.0
                for i in range(n_states):
                    total += math.exp(message[i] + log_table[i, j] - best)
                best += math.log(total)
            out[j] = best


@jit
def log_forward(log_init, log_transition, transition, log_evidence, rows, offsets, alpha, maximise):
    """True unnormalised log α of every sequence; ``rows`` is empty for evidence in order."""
    n_states = log_init.size
    shared = log_transition.shape[0] == 1
    weights = np.empty(n_states)
    for n in range(offsets.size - 1):
        for t in range(offsets[n], offsets[n + 1]):
            a = alpha[t]
            if t == offsets[n]:
                a[:] = log_init
            else:
                pair = 0 if shared else t - 1 - n
                _step(alpha[t - 1], log_transition[pair], transition[pair], weights, a, maximise)
            e = log_evidence[rows[t]] if rows.size else log_evidence[t]
            for j in range(n_states):
                a[j] += e[j]


@jit
def log_backward(log_transposed, transposed, log_evidence, rows, offsets, beta, maximise):
    """True unnormalised log β of every sequence, from the transposed tables."""
    n_states = beta.shape[1]
    shared = log_transposed.shape[0] == 1
    weights, outgoing = np.empty(n_states), np.empty(n_states)
    for n in range(offsets.size - 1):
        beta[offsets[n + 1] - 1] = 0.0
        for t in range(offsets[n + 1] - 1, offsets[n], -1):
            e = log_evidence[rows[t]] if rows.size else log_evidence[t]
            for j in range(n_states):
                outgoing[j] = e[j] + beta[t, j]
            pair = 0 if shared else t - 1 - n
            _step(outgoing, log_transposed[pair], transposed[pair], weights, beta[t - 1], maximise)


@jit
def log_counts(alpha, beta, log_transition, log_evidence, rows, offsets, log_z, gamma, xi):
    """log Z, γ and Σ ξ of every sequence from its log messages; an impossible one adds nothing."""
    n_states = alpha.shape[1]
    shared = log_transition.shape[0] == 1
    for n in range(offsets.size - 1):
        last = alpha[offsets[n + 1] - 1]
        peak = last.max()
        total = 0.0
        for k in range(n_states):
            total += math.exp(last[k] - peak) if peak > -np.inf else 0.0
        log_z[n] = peak + math.log(total) if peak > -np.inf else -np.inf
        if peak == -np.inf:
            gamma[offsets[n] : offsets[n + 1]] = 0.0
            continue
        for t in range(offsets[n], offsets[n + 1]):
            for i in range(n_states):
                gamma[t, i] = math.exp(alpha[t, i] + beta[t, i] - log_z[n])
            if t == offsets[n]:
                continue
            e = log_evidence[rows[t]] if rows.size else log_evidence[t]
            pair = 0 if shared else t - 1 - n
            for i in range(n_states):
                if alpha[t - 1, i] == -np.inf:
                    continue
                before = alpha[t - 1, i] - log_z[n]
                for j in range(n_states):
                    xi[pair, i, j] += math.exp(before + log_transition[pair, i, j] + (e[j] + beta[t, j]))


@jit(_nrt=False)
def trace_back(alpha, log_transition, offsets, scores, path):
    """Best path of every sequence from its max-sum α; ties go to the lowest state."""
    n_states = alpha.shape[1]
    shared = log_transition.shape[0] == 1
    for n in range(offsets.size - 1):
        last = offsets[n + 1] - 1
        state = 0
        for k in range(1, n_states):
            if alpha[last, k] > alpha[last, state]:
                state = k
        scores[n] = alpha[last, state]
        path[last] = state
        for t in range(last, offsets[n], -1):
            table = log_transition[0 if shared else t - 1 - n]
            best, state_before = alpha[t - 1, 0] + table[0, state], 0
            for i in range(1, n_states):
                value = alpha[t - 1, i] + table[i, state]
                if value > best:
                    best, state_before = value, i
            state = state_before
            path[t - 1] = state
