"""Max-product over a clique program, compiled, in logarithms: sums and maxima, so that nothing is scaled and
scores are exact sums.
"""

import numpy as np

from msgpass.kernels.clique_patterns import ALONG, CONSTANT
from msgpass.kernels.clique_program import (
    CHILDREN,
    DOWN,
    FACTORS,
    FIRST,
    PARENT,
    PATTERN,
    RESIDUAL,
    SEPARATOR,
    SIZE,
    TABLE,
    UP,
)
from msgpass.kernels.runtime import jit


@jit
def add(table, t, source, s, pattern, maps, first):
    """table += source spread over it; with ``first``, table = source spread."""
    n_outer, n_inner, kind, outer, inner = pattern[0], pattern[1], pattern[2], pattern[3], pattern[4]
    for o in range(n_outer):
        at, row = s + maps[outer + o], t + o * n_inner
        if kind == CONSTANT:
            x = source[at]
            if first:
                for i in range(n_inner):
                    table[row + i] = x
            else:
                for i in range(n_inner):
                    table[row + i] += x
        elif kind == ALONG:
            if first:
                for i in range(n_inner):
                    table[row + i] = source[at + i]
            else:
                for i in range(n_inner):
                    table[row + i] += source[at + i]
        elif first:
            for i in range(n_inner):
                table[row + i] = source[at + maps[inner + i]]
        else:
            for i in range(n_inner):
                table[row + i] += source[at + maps[inner + i]]


@jit
def max_out(table, t, target, s, size, pattern, maps):
    """target = table, maximised over what target does not have."""
    n_outer, n_inner, kind, outer, inner = pattern[0], pattern[1], pattern[2], pattern[3], pattern[4]
    for i in range(size):
        target[s + i] = -np.inf
    for o in range(n_outer):
        at, row = s + maps[outer + o], t + o * n_inner
        if kind == CONSTANT:
            x = -np.inf
            for i in range(n_inner):
                x = max(x, table[row + i])
            target[at] = max(target[at], x)
        elif kind == ALONG:
            for i in range(n_inner):
                target[at + i] = max(target[at + i], table[row + i])
        else:
            for i in range(n_inner):
                j = at + maps[inner + i]
                target[j] = max(target[j], table[row + i])


@jit
def gather(own, memory, c, cliques, factors, children, patterns, maps):
    """The sum of a clique's factors and of what its children send, into its table."""
    row, end = cliques[c], cliques[c + 1]
    t, first = row[TABLE], True
    for f in range(row[FACTORS], end[FACTORS]):
        add(memory, t, own, factors[f, 0], patterns[factors[f, 1]], maps, first)
        first = False
    for k in range(row[CHILDREN], end[CHILDREN]):
        d = children[k]
        add(memory, t, memory, cliques[d, UP], patterns[cliques[d, PATTERN]], maps, first)
        first = False
    if first:
        for i in range(row[SIZE]):
            memory[t + i] = 0.0


@jit
def collect(inputs, work, cliques, factors, children, patterns, maps):
    """Leaves to roots in every member of a batch."""
    for b in range(len(work)):
        memory = work[b]
        for c in range(len(cliques) - 1):
            gather(inputs[b % len(inputs)], memory, c, cliques, factors, children, patterns, maps)
            t, u, n = cliques[c, TABLE], cliques[c, UP], cliques[c, SEPARATOR]
            if n == 1:
                x = -np.inf
                for i in range(cliques[c, SIZE]):
                    x = max(x, memory[t + i])
                memory[u] = x
                continue
            for i in range(n):
                memory[u + i] = memory[t + i]
            for r in range(n, cliques[c, SIZE], n):
                for i in range(n):
                    memory[u + i] = max(memory[u + i], memory[t + r + i])


@jit
def trace(work, cliques, variables, sizes, states):
    """From the roots, the first best states of each residual given its separator; of tables as collected."""
    for b in range(len(work)):
        memory = work[b]
        for c in range(len(cliques) - 2, -1, -1):
            row, end = cliques[c], cliques[c + 1, FIRST]
            middle, n, t = row[FIRST] + row[RESIDUAL], row[SEPARATOR], row[TABLE]
            at = 0
            for j in range(middle, end):
                at = at * sizes[variables[j]] + states[b, variables[j]]
            best, chosen = -np.inf, at
            for r in range(at, row[SIZE], n):
                if memory[t + r] > best:
                    best, chosen = memory[t + r], r
            chosen //= n
            for j in range(middle - 1, row[FIRST] - 1, -1):
                v = variables[j]
                states[b, v] = chosen % sizes[v]
                chosen //= sizes[v]


@jit
def tell(memory, row):
    """Take a clique's own message out of what its parent says, and add the rest to its table."""
    n, u, d, t = row[SEPARATOR], row[UP], row[DOWN], row[TABLE]
    for i in range(n):
        x = memory[u + i]
        memory[d + i] = memory[d + i] - x if x > -np.inf else -np.inf
    for r in range(0, row[SIZE], n):
        for i in range(n):
            memory[t + r + i] += memory[d + i]


@jit
def distribute(work, cliques, patterns, maps):
    """Roots to leaves; tables become beliefs."""
    for b in range(len(work)):
        memory = work[b]
        for c in range(len(cliques) - 2, -1, -1):
            row = cliques[c]
            p = row[PARENT]
            if p < 0:
                memory[row[DOWN]] = 0.0
                continue
            max_out(
                memory, cliques[p, TABLE], memory, row[DOWN], row[SEPARATOR], patterns[row[PATTERN]], maps
            )
            tell(memory, row)


@jit
def project(work, jobs, patterns, maps, out):
    """Beliefs of smaller tables, the best at 0: (B, …)."""
    for b in range(len(work)):
        own = out[b]
        for k in range(len(jobs)):
            s, size = jobs[k, 1], jobs[k, 2]
            max_out(work[b], jobs[k, 0], own, s, size, patterns[jobs[k, 3]], maps)
            top = -np.inf
            for i in range(size):
                top = max(top, own[s + i])
            if top > -np.inf:
                for i in range(size):
                    own[s + i] -= top
