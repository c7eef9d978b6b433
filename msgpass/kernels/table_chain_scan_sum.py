"""The sweeps of a blocked scan over a chain of tables, compiled: one block after another, any K.

A block is a row of ``blocks``: sequence, first row, last row, and whether it is the sequence's first and its
last. It owns the pairs of neighbours between its two rows; the row at which two blocks meet is the last of
one and the first of the other. Every message is scaled by an exact power of two, as in
:mod:`~msgpass.kernels.table_chain_scalar`, and the exponents are kept by row.
"""

import numpy as np

from msgpass.kernels.runtime import jit
from msgpass.kernels.table_chain_scalar import power_exponent, power_of_two
from msgpass.kernels.table_chain_types import LN2

SEQUENCE, FIRST, LAST, OPENS, CLOSES = range(5)

_FLAGS = {"contract", "reassoc", "nsz", "arcp"}  # sums in any order; NaN and ∞ keep their meaning


@jit(forceinline=True, _nrt=False)
def copy(x, out):
    """``out[:] = x`` without the counting of references that Numba's own assignment asks for."""
    for j in range(out.size):
        out[j] = x[j]


@jit(forceinline=True, _nrt=False)
def fill(out, value):
    """``out[:] = value``, likewise."""
    for j in range(out.size):
        out[j] = value


@jit(forceinline=True, _nrt=False, fastmath=_FLAGS)
def _scaled(x, lost):
    """Scale ``x`` to a maximum in [½, 1); returns (exponent taken out, whether the maximum was enough)."""
    peak = 0.0
    for j in range(x.size):
        peak = max(peak, x[j])
    if not peak >= lost:
        return 0, False
    shift = power_exponent(peak)
    scale = power_of_two(-shift)
    for j in range(x.size):
        x[j] *= scale
    return shift, True


@jit(forceinline=True, _nrt=False, fastmath=_FLAGS)
def _through(x, table, local, out):
    """``out = (x @ table) · local``."""
    for j in range(out.size):
        out[j] = x[0] * table[0, j]
    for i in range(1, x.size):
        weight = x[i]
        for j in range(out.size):
            out[j] += weight * table[i, j]
    for j in range(out.size):
        out[j] *= local[j]


@jit(_nrt=False, fastmath=_FLAGS)
def transfers(blocks, which, transition, evidence, rows, lost, matrices, exponents, died):
    """Product of the steps of each block: row i is α at its last row from state i at its first.

    ``matrices`` (n, 2, K, K) has two places for a block, the result is in the first; ``exponents`` (n, K)
    scale its rows. ``died`` (n, K) is the row at which a scale fell below ``lost``, −1 where none did; the
    row of such a state is 0.
    """
    n_states = evidence.shape[1]
    for k in range(which.size):
        b = which[k]
        here, there, exponent = matrices[b, 0], matrices[b, 1], exponents[b]
        for i in range(n_states):
            fill(here[i], 0.0)
            here[i, i], exponent[i], died[b, i] = 1.0, 0, -1
        for t in range(blocks[b, FIRST] + 1, blocks[b, LAST] + 1):
            table = transition[0] if transition.shape[0] == 1 else transition[t - 1 - blocks[b, SEQUENCE]]
            local = evidence[rows[t]] if rows.size else evidence[t]
            for i in range(n_states):
                if died[b, i] >= 0:
                    fill(there[i], 0.0)
                    continue
                _through(here[i], table, local, there[i])
                shift, kept = _scaled(there[i], lost)
                exponent[i] += shift
                if not kept:
                    died[b, i] = t
                    fill(there[i], 0.0)
            here, there = there, here
        if (blocks[b, LAST] - blocks[b, FIRST]) % 2:
            for i in range(n_states):
                copy(matrices[b, 1, i], matrices[b, 0, i])


@jit(_nrt=False, fastmath=_FLAGS)
def forward(blocks, which, openings, bases, transition, evidence, rows, lost, alpha, exponents, kept):
    """α of each block behind its first row, from its opening (n, K) and that one's exponent."""
    for k in range(which.size):
        b = which[k]
        start, n = blocks[b, FIRST], blocks[b, SEQUENCE]
        exponent = bases[b]
        if blocks[b, OPENS]:
            copy(openings[b], alpha[start])
            exponents[start] = exponent
        before = openings[b]
        for t in range(start + 1, blocks[b, LAST] + 1):
            table = transition[0] if transition.shape[0] == 1 else transition[t - 1 - n]
            _through(before, table, evidence[rows[t]] if rows.size else evidence[t], alpha[t])
            shift, enough = _scaled(alpha[t], lost)
            kept[b] &= enough
            exponent += shift
            exponents[t] = exponent
            before = alpha[t]


@jit(_nrt=False, fastmath=_FLAGS)
def backward(blocks, which, closings, bases, transition, evidence, rows, beta, exponents, work):
    """β of each block before its last row, from its closing; ``work`` is (n, K)."""
    n_states = evidence.shape[1]
    for k in range(which.size):
        b = which[k]
        start, stop, n, outgoing = blocks[b, FIRST], blocks[b, LAST], blocks[b, SEQUENCE], work[b]
        exponent = bases[b]
        if blocks[b, CLOSES]:
            copy(closings[b], beta[stop])
            exponents[stop] = exponent
        later = closings[b]
        for t in range(stop, start, -1):
            table = transition[0] if transition.shape[0] == 1 else transition[t - 1 - n]
            local = evidence[rows[t]] if rows.size else evidence[t]
            for j in range(n_states):
                outgoing[j] = local[j] * later[j]
            own = beta[t - 1]
            for i in range(n_states):
                total = 0.0
                for j in range(n_states):
                    total += table[i, j] * outgoing[j]
                own[i] = total
            shift, _ = _scaled(own, 1e-300)
            exponent += shift
            exponents[t - 1] = exponent
            later = own


@jit(_nrt=False, fastmath=_FLAGS)
def counts(
    blocks, which, openings, bases, transition, evidence, rows, lost, alpha, exponents, beta, xi, kept, work
):
    """γ over α, and ξ of every pair, which has a transition of its own; ``work`` is (n, K)."""
    n_states = evidence.shape[1]
    for k in range(which.size):
        b = which[k]
        start, n, share = blocks[b, FIRST], blocks[b, SEQUENCE], work[b]
        for t in range(blocks[b, LAST], start - 1, -1):
            if t == start and not blocks[b, OPENS]:
                break  # the block before has this row
            own, later = alpha[t], beta[t]
            z = 0.0
            for j in range(n_states):
                z += own[j] * later[j]
            if not z >= lost:
                kept[b] = False
                break
            inverse = 1.0 / z
            if t > start:
                before = openings[b] if t == start + 1 else alpha[t - 1]
                earlier = bases[b] if t == start + 1 else exponents[t - 1]
                local = evidence[rows[t]] if rows.size else evidence[t]
                scale = inverse * power_of_two(earlier - exponents[t])
                for j in range(n_states):
                    share[j] = local[j] * later[j] * scale
                pairs, table = xi[t - 1 - n], transition[t - 1 - n]
                for i in range(n_states):
                    weight = before[i]
                    for j in range(n_states):
                        pairs[i, j] = weight * share[j] * table[i, j]
            for j in range(n_states):
                own[j] *= later[j] * inverse


@jit(_nrt=False)
def add_rows(logs, exponents, added):
    """Add each row's exponent of two, and ``added``, to the row; NumPy's loop is as short as a row."""
    for t in range(logs.shape[0]):
        value = exponents[t] * LN2 + added[t]
        for j in range(logs.shape[1]):
            logs[t, j] += value


@jit
def reachable(state, first, last, sequence, possible, seen, rows):
    """Whether some state at row ``last`` is reached from ``state`` at row ``first``, by the zeros alone."""
    n_states = seen.shape[1]
    now, then = np.zeros(n_states, np.bool_), np.zeros(n_states, np.bool_)
    now[state] = True
    for t in range(first + 1, last + 1):
        table = possible[0] if possible.shape[0] == 1 else possible[t - 1 - sequence]
        local = seen[rows[t]] if rows.size else seen[t]
        then[:] = False
        for i in range(n_states):
            if now[i]:
                for j in range(n_states):
                    then[j] |= table[i, j]
        alive = False
        for j in range(n_states):
            now[j] = then[j] and local[j]
            alive |= now[j]
        if not alive:
            return False
    return True
