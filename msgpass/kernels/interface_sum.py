"""Sum-product from slice to slice, compiled, with numbers and not their logarithms.

Every message is scaled to sum to 1, and the tables' largest entries are 1. No product is then smaller than
2^Σ of the exponents of the smallest entries (zeros left out) of what is multiplied. Where that could be below
2^LOWEST the sweep stops and returns 1, for logarithms to do it over; otherwise nothing has vanished that is
not zero.
"""

from math import frexp, log

import numpy as np

from msgpass.kernels.interface_runs import (
    FAST,
    add_rows,
    dots,
    mix,
    multiply,
    rows_times,
    scatter,
    unmix,
)
from msgpass.kernels.runtime import lean_jit as jit

LOWEST = -960


@jit
def found(p, s, x, t, b, i, low):
    """(where the table or message of an input begins, exponent of its smallest entry)."""
    if p.family[i] >= 0:
        return address(p, s, x, t, b, i), low_of_factor(p, s, x, t, b, i)
    return s.block[t] + p.place[i], low[b, s.number[t] + p.sender[i]]


@jit
def low_of_factor(p, s, x, t, b, i):
    """Exponent of the smallest entry of a factor's table."""
    f = p.family[i]
    j = s.instances[s.first[t] + p.place[i]]
    per_member = 0 if x.stride[f] == 0 else (x.stride[f] // x.step[f] if x.step[f] else 1)
    return x.low[x.low_base[f] + (j if x.step[f] else 0) + b * per_member]


@jit
def address(p, s, x, t, b, i):
    """Where the table of a factor begins."""
    f = p.family[i]
    return x.base[f] + s.instances[s.first[t] + p.place[i]] * x.step[f] + b * x.stride[f]


@jit(fastmath=FAST)
def product(p, s, x, up, low, t, b, c, without, table):
    """Everything that clique c multiplies, but for one input; the exponent of its smallest entry at least."""
    n = p.residual[c] * p.separator[c]
    first, lowest = True, 0
    for i in range(p.inputs[c], p.inputs[c + 1]):
        if i == without:
            continue
        if p.family[i] >= 0:
            at = address(p, s, x, t, b, i)
            multiply(table, x.entries, at, p.maps, p.map[i], n, p.run[c], p.along[i], first)
            lowest += low_of_factor(p, s, x, t, b, i)
        else:
            at = s.block[t] + p.place[i]
            multiply(table, up[b], at, p.maps, p.map[i], n, p.run[c], p.along[i], first)
            lowest += low[b, s.number[t] + p.sender[i]]
        first = False
    if first:
        for e in range(n):
            table[e] = 1.0
    return lowest


@jit(fastmath=FAST)
def scaled(target, at, n):
    """Divide by the sum; (the sum, exponent of the smallest entry that is not zero)."""
    length, begun, total = np.uintp(n), np.uintp(at), 0.0
    for k in range(length):
        total += target[begun + k]
    least = 1.0
    if total > 0.0:
        one = 1.0 / total
        for k in range(length):
            value = target[begun + k] * one
            target[begun + k] = value
            least = min(least, value if value > 0.0 else 1.0)
    return total, frexp(least)[1] - 1


@jit(fastmath=FAST)
def collect(p, s, x, up, low, scale, table):
    """First slice to last: messages (B, …), their lowest exponents (B, cliques), and the logs of what was
    taken out of each slice (B, N), −∞ from the first impossible slice of a part on."""
    for b in range(len(up)):
        own = up[b]
        for t in range(len(s.program)):
            k = s.program[t]
            for c in range(p.cliques[k], p.cliques[k + 1]):
                R, S, at = p.residual[c], p.separator[c], s.block[t] + p.message[c]
                if p.pair[c] >= 0:
                    i = p.pair[c]
                    j = 2 * p.inputs[c] + 1 - i
                    at_i, low_i = found(p, s, x, t, b, i, low)
                    at_j, low_j = found(p, s, x, t, b, j, low)
                    if low_i + low_j < LOWEST:
                        return 1
                    one, many = x.entries if p.family[i] >= 0 else own, x.entries if p.family[j] >= 0 else own
                    mix(one, at_i, p.map[i], many, at_j, p.map[j], p.maps, R, S, p.run[c], own, at)
                else:
                    if product(p, s, x, up, low, t, b, c, -1, table) < LOWEST:
                        return 1
                    add_rows(table, R, S, own, at)
                total, least = scaled(own, at, S)
                low[b, s.number[t] + c - p.cliques[k]] = least
                scale[b, t] += log(total)
    return 0


@jit(fastmath=FAST)
def distribute(p, s, x, up, low, down, below, local, table):
    """Last slice to first: what later cliques and slices say to each message, and its lowest exponent;
    ``local``: each slice without what later ones say."""
    for b in range(len(up)):
        own = down[b]
        for t in range(len(s.program) - 1, -1, -1):
            k = s.program[t]
            last = p.cliques[k + 1] - 1
            if local or s.closed[t]:
                at = s.block[t] + p.message[last]
                for e in range(p.separator[last]):
                    own[at + e] = 1.0
                below[b, s.number[t] + last - p.cliques[k]] = 0
            for c in range(last, p.cliques[k] - 1, -1):
                R, S, from_ = p.residual[c], p.separator[c], s.block[t] + p.message[c]
                said = below[b, s.number[t] + c - p.cliques[k]]
                for i in range(p.inputs[c], p.inputs[c + 1]):
                    if p.family[i] >= 0 or (local and p.place[i] < 0):
                        continue
                    at, m = s.block[t] + p.place[i], p.map[i]
                    for e in range(p.size[i]):
                        own[at + e] = 0.0
                    if p.pair[c] >= 0:
                        j = 2 * p.inputs[c] + 1 - i
                        at_j, low_j = found(p, s, x, t, b, j, low)
                        if low_j + said < LOWEST:
                            return 1
                        other = x.entries if p.family[j] >= 0 else up[b]
                        made = p.map[j], own, from_, p.maps, R, S, p.run[c], own, at, m
                        if j == p.pair[c]:
                            unmix(other, at_j, *made)
                        else:
                            dots(other, at_j, *made)
                    else:
                        if product(p, s, x, up, low, t, b, c, i, table) + said < LOWEST:
                            return 1
                        rows_times(table, R, S, own, from_)
                        scatter(own, at, table, p.maps, m, R * S, p.run[c], p.along[i], 1.0)
                    _, least = scaled(own, at, p.size[i])
                    below[b, s.number[t] + p.sender[i]] = least
    return 0


@jit(fastmath=FAST)
def read(p, s, x, up, low, down, below, base, step, out, table):
    """Add the beliefs of what is wanted onto ``out`` (B, …): reading k of row or instance j goes to base[k] +
    j· step[k], unless that is below 0."""
    for b in range(len(up)):
        for t in range(len(s.program)):
            k = s.program[t]
            for c in range(p.cliques[k], p.cliques[k + 1]):
                known, whole = False, 0.0
                R, S, from_ = p.residual[c], p.separator[c], s.block[t] + p.message[c]
                for q in range(p.sinks[c], p.sinks[c + 1]):
                    to = base[p.sink[q]]
                    if to < 0:
                        continue
                    if not known:
                        lowest = product(p, s, x, up, low, t, b, c, -1, table)
                        if lowest + below[b, s.number[t] + c - p.cliques[k]] < LOWEST:
                            return 1
                        rows_times(table, R, S, down[b], from_)
                        for e in range(R * S):
                            whole += table[e]
                        known = True
                    row = t if p.sink_place[q] < 0 else s.instances[s.first[t] + p.sink_place[q]]
                    at, m = to + row * step[p.sink[q]], p.sink_map[q]
                    one = 1.0 / whole if whole > 0.0 else 0.0
                    scatter(out[b], at, table, p.maps, m, R * S, p.sink_run[q], p.sink_along[q], one)
    return 0
