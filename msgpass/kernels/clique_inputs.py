"""The factors' tables of a clique program as compiled sweeps want them."""

from math import floor

import numpy as np

from msgpass.kernels.runtime import jit

PER_BIT = 1 / np.log(2)


@jit
def prepare(logs, values, starts, counts, sizes, firsts, shifts, lows):
    """Of some families: logs less each table's largest into ``values``, which NumPy then exponentiates.

    starts, counts, sizes, firsts: each family's first input, its instances, entries of a table, its first
    instance's number. shifts (B, instances): what was taken off; lows: exponent of 2 of the smallest entry
    that is not zero.
    """
    for b in range(len(logs)):
        for k in range(len(starts)):
            for j in range(counts[k]):
                s = starts[k] + j * sizes[k]
                high, low = -np.inf, np.inf
                for i in range(sizes[k]):
                    x = logs[b, s + i]
                    high = max(high, x)
                    low = min(low, x if x > -np.inf else np.inf)
                if high == -np.inf:
                    high, low = 0.0, 0.0
                for i in range(sizes[k]):
                    values[b, s + i] = logs[b, s + i] - high
                shifts[b, firsts[k] + j] = high
                lows[b, firsts[k] + j] = floor((low - high) * PER_BIT) - 1


@jit
def mask(inputs, variables, labels, places, sizes, zero):
    """Leave each labelled variable its label alone: labels (B, variables), −1 where it is free."""
    for b in range(len(inputs)):
        for k in range(len(variables)):
            v, label = variables[k], labels[b, k]
            if label < 0:
                continue
            start, stride, blocks, block = places[v]
            for o in range(blocks):
                for s in range(sizes[v]):
                    if s != label:
                        for i in range(stride):
                            inputs[b, start + o * block + s * stride + i] = zero
