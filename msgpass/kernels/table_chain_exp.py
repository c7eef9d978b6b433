"""exp of a table of log potentials, each row scaled to a maximum of 1: the compiled half."""

import math

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import horizontal_max, load, maximum, select, splat, store, vexp

_BLOCK = 2048  # numbers at a time, which the first-level cache holds


@intrinsic
def _swap2(typing, x):
    """Lanes 0 and 1 exchanged, 2 and 3, …"""
    return x(x), lambda context, builder, sig, args: _exchange(builder, args[0], 1)


@intrinsic
def _swap4(typing, x):
    """Lanes 0, 1 and 2, 3 exchanged, …"""
    return x(x), lambda context, builder, sig, args: _exchange(builder, args[0], 2)


def _exchange(builder, vector, distance):
    order = [ir.Constant(ir.IntType(32), lane ^ distance) for lane in range(8)]
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), 8), order))


@jit(_nrt=False)
def scaled_exponentials(log_table, n_states, first, last, out, peaks):
    """``peaks[r] = max log_table[r]`` (0 if that is −inf) and ``out[r] = exp(log_table[r] − peaks[r])``, rows
    first:last.

    ``log_table`` and ``out`` are flat.
    """
    p = first * n_states
    if n_states == 2 or n_states == 4:  # a vector holds whole rows
        rows = 8 // n_states
        low, zero = splat(-np.inf), splat(0.0)
        while p + 8 <= last * n_states:
            x = load(log_table, p)
            peak = maximum(_swap2(x), x)
            if n_states == 4:
                peak = maximum(_swap4(peak), peak)
            peak = select(peak > low, peak, zero)
            store(out, p, peak)
            for r in range(rows):
                peaks[p // n_states + r] = out[p + r * n_states]
            store(out, p, vexp(x - peak))
            p += 8
        first = p // n_states
    elif n_states >= 8:  # the last vector of a row overlaps the one before, which does no harm
        for r in range(first, last):
            start, end = r * n_states, (r + 1) * n_states - 8
            widest = load(log_table, end)
            for p in range(start, end, 8):
                widest = maximum(load(log_table, p), widest)
            largest = horizontal_max(widest)
            largest = largest if largest > -np.inf else 0.0
            peaks[r] = largest
            peak = splat(largest)
            for p in range(start, end, 8):
                store(out, p, vexp(load(log_table, p) - peak))
            store(out, end, vexp(load(log_table, end) - peak))
        return
    rows = max(_BLOCK // n_states // 8 * 8, 8)
    for start in range(first, last, rows):
        stop = min(start + rows, last)
        for r in range(start, stop):
            q = r * n_states
            peak = log_table[q]
            for k in range(1, n_states):
                value = log_table[q + k]
                peak = value if value > peak else peak
            peak = peak if peak > -np.inf else 0.0
            peaks[r] = peak
            for k in range(n_states):
                out[q + k] = log_table[q + k] - peak
        p = start * n_states
        while p + 8 <= stop * n_states:
            store(out, p, vexp(load(out, p)))
            p += 8
        while p < stop * n_states:
            out[p] = math.exp(out[p])
            p += 1
