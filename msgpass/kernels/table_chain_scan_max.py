"""As :mod:`~msgpass.kernels.table_chain_scan_sum` for maxima: log tables, nothing to scale."""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.table_chain_scan_sum import CLOSES, FIRST, LAST, OPENS, SEQUENCE, copy, fill


@jit(forceinline=True, _nrt=False)
def _through(x, table, local, out):
    """``out[j] = max_i (x[i] + table[i, j]) + local[j]``."""
    for j in range(out.size):
        out[j] = x[0] + table[0, j]
    for i in range(1, x.size):
        weight = x[i]
        for j in range(out.size):
            value = weight + table[i, j]
            out[j] = value if value > out[j] else out[j]
    for j in range(out.size):
        out[j] += local[j]


@jit(_nrt=False)
def transfers(blocks, which, transition, evidence, rows, matrices):
    """Best score of each block from each state at its first row to each at its last, (n, 2, K, K)."""
    n_states = evidence.shape[1]
    for k in range(which.size):
        b = which[k]
        here, there = matrices[b, 0], matrices[b, 1]
        for i in range(n_states):
            fill(here[i], -np.inf)
            here[i, i] = 0.0
        for t in range(blocks[b, FIRST] + 1, blocks[b, LAST] + 1):
            table = transition[0] if transition.shape[0] == 1 else transition[t - 1 - blocks[b, SEQUENCE]]
            local = evidence[rows[t]] if rows.size else evidence[t]
            for i in range(n_states):
                _through(here[i], table, local, there[i])
            here, there = there, here
        if (blocks[b, LAST] - blocks[b, FIRST]) % 2:
            for i in range(n_states):
                copy(matrices[b, 1, i], matrices[b, 0, i])


@jit(_nrt=False)
def forward(blocks, which, openings, transition, evidence, rows, alpha):
    """Best scores up to each row of a block behind its first, from its opening."""
    for k in range(which.size):
        b = which[k]
        start, n = blocks[b, FIRST], blocks[b, SEQUENCE]
        if blocks[b, OPENS]:
            copy(openings[b], alpha[start])
        before = openings[b]
        for t in range(start + 1, blocks[b, LAST] + 1):
            table = transition[0] if transition.shape[0] == 1 else transition[t - 1 - n]
            _through(before, table, evidence[rows[t]] if rows.size else evidence[t], alpha[t])
            before = alpha[t]


@jit(_nrt=False)
def backward(blocks, which, closings, transposed, evidence, rows, beta, work):
    """Best scores behind each row of a block before its last, from its closing; ``work`` is (n, 2, K)."""
    n_states = evidence.shape[1]
    for k in range(which.size):
        b = which[k]
        start, stop, n = blocks[b, FIRST], blocks[b, LAST], blocks[b, SEQUENCE]
        outgoing, zeros = work[b, 0], work[b, 1]
        fill(zeros, 0.0)
        if blocks[b, CLOSES]:
            copy(closings[b], beta[stop])
        later = closings[b]
        for t in range(stop, start, -1):
            table = transposed[0] if transposed.shape[0] == 1 else transposed[t - 1 - n]
            local = evidence[rows[t]] if rows.size else evidence[t]
            for j in range(n_states):
                outgoing[j] = local[j] + later[j]
            _through(outgoing, table, zeros, beta[t - 1])
            later = beta[t - 1]


@jit(_nrt=False)
def walk_back(which, meet, transition, evidence, rows, offsets, alpha, path):
    """The path before the row at which it is known, through α; ties go to the lowest state."""
    n_states = evidence.shape[1]
    for k in range(which.size):
        n = which[k]
        for t in range(meet[n], offsets[n], -1):
            table = transition[0] if transition.shape[0] == 1 else transition[t - 1 - n]
            state, best, found = path[t], -np.inf, 0
            for i in range(n_states):
                value = alpha[t - 1, i] + table[i, state]
                if value > best:
                    best, found = value, i
            path[t - 1] = found


@jit(_nrt=False)
def walk_on(which, meet, transition, evidence, rows, offsets, beta, path):
    """The path behind the row at which it is known, through β."""
    n_states = evidence.shape[1]
    for k in range(which.size):
        n = which[k]
        for t in range(meet[n] + 1, offsets[n + 1]):
            table = transition[0] if transition.shape[0] == 1 else transition[t - 1 - n]
            local = evidence[rows[t]] if rows.size else evidence[t]
            state, best, found = path[t - 1], -np.inf, 0
            for j in range(n_states):
                value = table[state, j] + local[j] + beta[t, j]
                if value > best:
                    best, found = value, j
            path[t] = found
