"""Sum-product over a clique program, compiled, in logarithms: for what would vanish as plain numbers."""

from math import exp, log

import numpy as np

from msgpass.kernels.clique_max import gather, max_out, tell
from msgpass.kernels.clique_patterns import CONSTANT, MAPPED
from msgpass.kernels.clique_program import DOWN, FIRST, PARENT, PATTERN, RESIDUAL, SEPARATOR, SIZE, TABLE, UP
from msgpass.kernels.runtime import jit


@jit
def sum_out(table, t, target, s, size, pattern, maps, spare):
    """target = log Σ exp of table over what target does not have; ``spare`` has room for target."""
    max_out(table, t, target, s, size, pattern, maps)
    n_outer, n_inner, kind, outer, inner = pattern[0], pattern[1], pattern[2], pattern[3], pattern[4]
    for i in range(size):
        spare[i] = 0.0
    for o in range(n_outer):
        at, row = maps[outer + o], t + o * n_inner
        for i in range(n_inner):
            x = table[row + i]
            if x > -np.inf:
                j = at + (0 if kind == CONSTANT else maps[inner + i] if kind == MAPPED else i)
                spare[j] += exp(x - target[s + j])
    for i in range(size):
        if spare[i] > 0.0:
            target[s + i] += log(spare[i])


@jit
def collect(inputs, work, cliques, factors, children, patterns, maps):
    """Leaves to roots in every member of a batch."""
    for b in range(len(work)):
        memory = work[b]
        for c in range(len(cliques) - 1):
            gather(inputs[b % len(inputs)], memory, c, cliques, factors, children, patterns, maps)
            t, u, n = cliques[c, TABLE], cliques[c, UP], cliques[c, SEPARATOR]
            for i in range(n):
                top = -np.inf
                for r in range(i, cliques[c, SIZE], n):
                    top = max(top, memory[t + r])
                total = 0.0
                for r in range(i, cliques[c, SIZE], n):
                    if memory[t + r] > -np.inf:
                        total += exp(memory[t + r] - top)
                memory[u + i] = top + log(total) if total > 0.0 else -np.inf


@jit
def distribute(work, cliques, patterns, maps):
    """Roots to leaves; tables become beliefs."""
    spare = np.empty(cliques[:, SEPARATOR].max())
    for b in range(len(work)):
        memory = work[b]
        for c in range(len(cliques) - 2, -1, -1):
            row = cliques[c]
            p, n = row[PARENT], row[SEPARATOR]
            if p < 0:
                memory[row[DOWN]] = 0.0
                continue
            sum_out(memory, cliques[p, TABLE], memory, row[DOWN], n, patterns[row[PATTERN]], maps, spare)
            tell(memory, row)


@jit
def project(work, jobs, patterns, maps, out):
    """Beliefs of smaller tables, normalised, not their logarithms: (B, …)."""
    spare = np.empty(jobs[:, 2].max())
    for b in range(len(work)):
        own = out[b]
        for k in range(len(jobs)):
            s, size = jobs[k, 1], jobs[k, 2]
            sum_out(work[b], jobs[k, 0], own, s, size, patterns[jobs[k, 3]], maps, spare)
            top, total = -np.inf, 0.0
            for i in range(size):
                top = max(top, own[s + i])
            if top == -np.inf:
                continue
            for i in range(size):
                total += exp(own[s + i] - top)
            for i in range(size):
                own[s + i] -= top + log(total)


@jit
def draw(work, cliques, variables, sizes, uniforms, states):
    """From the roots, each residual given its separator: uniforms (n, cliques), states (n, variables)."""
    for k in range(len(states)):
        for c in range(len(cliques) - 2, -1, -1):
            row, end = cliques[c], cliques[c + 1, FIRST]
            middle, n, t = row[FIRST] + row[RESIDUAL], row[SEPARATOR], row[TABLE]
            at = 0
            for j in range(middle, end):
                at = at * sizes[variables[j]] + states[k, variables[j]]
            top = -np.inf
            for r in range(at, row[SIZE], n):
                top = max(top, work[t + r])
            total = 0.0
            for r in range(at, row[SIZE], n):
                total += exp(work[t + r] - top)
            left, chosen = uniforms[k, c] * total, -1
            for r in range(at, row[SIZE], n):
                x = exp(work[t + r] - top)
                if x > 0.0:
                    chosen = r
                    left -= x
                    if left < 0.0:
                        break
            chosen //= n
            for j in range(middle - 1, row[FIRST] - 1, -1):
                v = variables[j]
                states[k, v] = chosen % sizes[v]
                chosen //= sizes[v]
