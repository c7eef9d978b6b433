"""Sum- and max-product from slice to slice, compiled, in logarithms: what
:mod:`~msgpass.kernels.interface_sum` does where numbers would vanish, and all of max-product.
"""

from math import exp, inf, log

from msgpass.kernels.interface_sum import address
from msgpass.kernels.runtime import lean_jit as jit


@jit
def add(table, source, at, maps, m, n, first):
    """table += the entries of a source that it meets; with ``first``, table = these."""
    if first:
        for e in range(n):
            table[e] = source[at + maps[m + e]]
    else:
        for e in range(n):
            table[e] += source[at + maps[m + e]]


@jit
def inside(p, s, x, up, t, b, c, without, table):
    """Everything that clique c adds up, but for one input."""
    n = p.residual[c] * p.separator[c]
    first = True
    for i in range(p.inputs[c], p.inputs[c + 1]):
        if i == without:
            continue
        if p.family[i] >= 0:
            add(table, x.entries, address(p, s, x, t, b, i), p.maps, p.map[i], n, first)
        else:
            add(table, up[b], s.block[t] + p.place[i], p.maps, p.map[i], n, first)
        first = False
    if first:
        for e in range(n):
            table[e] = 0.0


@jit
def reduced(table, n, maps, m, target, at, size, maximise, work):
    """target = ⊕ of the entries of a table that meet each of its own (m < 0: entry e meets e mod size)."""
    for k in range(size):
        target[at + k] = -inf
    for e in range(n):
        k = at + (e % size if m < 0 else maps[m + e])
        target[k] = max(target[k], table[e])
    if maximise:
        return
    for k in range(size):
        work[k] = 0.0
    for e in range(n):
        k = e % size if m < 0 else maps[m + e]
        if table[e] > -inf:
            work[k] += exp(table[e] - target[at + k])
    for k in range(size):
        if work[k] > 0.0:
            target[at + k] += log(work[k])


@jit
def shifted(target, at, n, maximise):
    """Take ⊕ out, which is returned."""
    top = -inf
    for k in range(n):
        top = max(top, target[at + k])
    if top == -inf:
        return top
    if not maximise:
        total = 0.0
        for k in range(n):
            total += exp(target[at + k] - top)
        top += log(total)
    for k in range(n):
        target[at + k] -= top
    return top


@jit
def collect(p, s, x, up, scale, maximise, table, work):
    """As of sums."""
    for b in range(len(up)):
        for t in range(len(s.program)):
            k = s.program[t]
            for c in range(p.cliques[k], p.cliques[k + 1]):
                inside(p, s, x, up, t, b, c, -1, table)
                S, at = p.separator[c], s.block[t] + p.message[c]
                reduced(table, p.residual[c] * S, p.maps, -1, up[b], at, S, maximise, work)
                scale[b, t] += shifted(up[b], at, S, maximise)


@jit
def distribute(p, s, x, up, down, local, maximise, table, work):
    """As of sums."""
    for b in range(len(up)):
        own = down[b]
        for t in range(len(s.program) - 1, -1, -1):
            k = s.program[t]
            last = p.cliques[k + 1] - 1
            if local or s.closed[t]:
                at = s.block[t] + p.message[last]
                for e in range(p.separator[last]):
                    own[at + e] = 0.0
            for c in range(last, p.cliques[k] - 1, -1):
                S, from_ = p.separator[c], s.block[t] + p.message[c]
                n = p.residual[c] * S
                for i in range(p.inputs[c], p.inputs[c + 1]):
                    if p.family[i] >= 0 or (local and p.place[i] < 0):
                        continue
                    inside(p, s, x, up, t, b, c, i, table)
                    for e in range(n):
                        table[e] += own[from_ + e % S]
                    at = s.block[t] + p.place[i]
                    reduced(table, n, p.maps, p.map[i], own, at, p.size[i], maximise, work)
                    shifted(own, at, p.size[i], maximise)


@jit
def read(p, s, x, up, down, base, step, out, maximise, table, work):
    """Log beliefs of what is wanted, where :func:`msgpass.kernels.interface_sum.read` would add numbers."""
    for b in range(len(up)):
        for t in range(len(s.program)):
            k = s.program[t]
            for c in range(p.cliques[k], p.cliques[k + 1]):
                known = False
                S, from_ = p.separator[c], s.block[t] + p.message[c]
                n = p.residual[c] * S
                for q in range(p.sinks[c], p.sinks[c + 1]):
                    to = base[p.sink[q]]
                    if to < 0:
                        continue
                    if not known:
                        inside(p, s, x, up, t, b, c, -1, table)
                        for e in range(n):
                            table[e] += down[b, from_ + e % S]
                        known = True
                    row = t if p.sink_place[q] < 0 else s.instances[s.first[t] + p.sink_place[q]]
                    at, size = to + row * step[p.sink[q]], p.sink_size[q]
                    reduced(table, n, p.maps, p.sink_map[q], out[b], at, size, maximise, work)
                    shifted(out[b], at, size, maximise)
