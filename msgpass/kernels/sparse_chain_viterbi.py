"""Compiled Viterbi over chains with a sparse transition, in logarithms: scores of all states, then the path
without back-pointers.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.sparse_chain_cross import best
from msgpass.kernels.sparse_chain_sweep import table_at


@jit
def scores(entries, init, local, first, last, delta):
    """Best score of all paths to each state, (T, S); ``entries`` and ``local`` as those of the sweeps, in
    logarithms.
    """
    runs, kinds, loose, order, _ = entries
    final, evidence, rows, groups, offsets = local
    own = np.empty(order.size)
    for n in range(first, last):
        for t in range(offsets[n], offsets[n + 1]):
            here, row = delta[t], evidence[rows[t] if rows.size else t]
            if t == offsets[n]:
                here[:] = init
            else:
                best(runs, kinds, loose, table_at(entries, t - 1 - n, own), delta[t - 1], here)
            if groups.size:
                for s in range(here.size):
                    here[s] += row[groups[s]]
            else:
                for s in range(here.size):
                    here[s] += row[s]
        delta[offsets[n + 1] - 1] += final


@jit
def trace_back(into, source, by_target, values, shared, offsets, delta, path):
    """The argmax again, over the entries into the path only; the lowest state of equal ones."""
    for n in range(offsets.size - 1):
        state = np.argmax(delta[offsets[n + 1] - 1])
        path[offsets[n + 1] - 1] = state
        for t in range(offsets[n + 1] - 2, offsets[n] - 1, -1):
            row = values[0] if shared else values[t - n]
            top, found = -np.inf, 0
            for e in range(into[state], into[state + 1]):
                value = delta[t, source[e]] + row[by_target[e]]
                if value > top:
                    top, found = value, source[e]
            state = found
            path[t] = state
