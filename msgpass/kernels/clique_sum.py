"""Sum-product over a clique program, compiled, with numbers and not their logarithms.

Each message is scaled by a power of two so that its largest entry lies in [½, 1). With that and with inputs
whose largest entry is 1, no product is smaller than 2^Σ of the exponents of the smallest entries (zeros left
out) of what is multiplied. Where that could be below 2^LOWEST the sweep stops and returns 1, for logarithms
to do it over; otherwise nothing has vanished that is not zero, and the division below is exact about zeros.

A clique tells its children its belief, each child's own message divided out on the separator (Jensen,
Lauritzen & Olesen 1990); where that message is 0 so is the belief, and 0 is what comes out.
"""

from math import frexp, ldexp

import numpy as np

from msgpass.kernels.clique_patterns import ALONG, CONSTANT
from msgpass.kernels.clique_program import (
    CHILDREN,
    DOWN,
    FACTORS,
    FIRST,
    PARENT,
    PART,
    PATTERN,
    RESIDUAL,
    SEPARATOR,
    SIZE,
    TABLE,
    UP,
)
from msgpass.kernels.runtime import jit

LOWEST = -960
FAST = {"contract", "reassoc", "nsz", "arcp"}


@jit(fastmath=FAST)
def multiply(table, t, source, s, pattern, maps, first):
    """table *= source spread over it; with ``first``, table = source spread."""
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
                    table[row + i] *= x
        elif kind == ALONG:
            if first:
                for i in range(n_inner):
                    table[row + i] = source[at + i]
            else:
                for i in range(n_inner):
                    table[row + i] *= source[at + i]
        elif first:
            for i in range(n_inner):
                table[row + i] = source[at + maps[inner + i]]
        else:
            for i in range(n_inner):
                table[row + i] *= source[at + maps[inner + i]]


@jit(fastmath=FAST)
def sum_out(table, t, target, s, size, pattern, maps):
    """target = table, summed over what target does not have."""
    n_outer, n_inner, kind, outer, inner = pattern[0], pattern[1], pattern[2], pattern[3], pattern[4]
    for i in range(size):
        target[s + i] = 0.0
    for o in range(n_outer):
        at, row = s + maps[outer + o], t + o * n_inner
        if kind == CONSTANT:
            x = 0.0
            for i in range(n_inner):
                x += table[row + i]
            target[at] += x
        elif kind == ALONG:
            for i in range(n_inner):
                target[at + i] += table[row + i]
        else:
            for i in range(n_inner):
                target[at + maps[inner + i]] += table[row + i]


@jit
def scale(work, s, size):
    """Scale by a power of two to a largest entry in [½, 1): its exponent, and that of the smallest entry that
    is not zero."""
    high, low = 0.0, np.inf
    for i in range(size):
        x = work[s + i]
        high = max(high, x)
        low = min(low, x if x > 0.0 else np.inf)
    if high == 0.0:
        return 0, 0
    e = frexp(high)[1]
    factor = ldexp(1.0, -e)
    for i in range(size):
        work[s + i] *= factor
    return e, frexp(low)[1] - 1 - e


@jit
def collect(inputs, lows, work, cliques, factors, children, patterns, maps, exponents, bounds):
    """Leaves to roots in every member of a batch; 1 where something may vanish.

    inputs (B or 1, …), lows (B or 1, instances) of ints, work (B, memory), exponents (B, trees) to be added
    to, bounds (B, 2 cliques): exponents of the smallest entries of messages, then of cliques' tables.
    """
    for b in range(len(work)):
        own, memory, given = inputs[b % len(inputs)], work[b], lows[b % len(lows)]
        for c in range(len(cliques) - 1):
            row, end = cliques[c], cliques[c + 1]
            t, size = row[TABLE], row[SIZE]
            bound, first = 0, True
            for f in range(row[FACTORS], end[FACTORS]):
                low = given[factors[f, 2]]
                if bound + low < LOWEST:
                    e, bound = scale(memory, t, size)
                    exponents[b, row[PART]] += e
                    if bound + low < LOWEST:
                        return 1
                multiply(memory, t, own, factors[f, 0], patterns[factors[f, 1]], maps, first)
                bound += low
                first = False
            for k in range(row[CHILDREN], end[CHILDREN]):
                d = children[k]
                low = bounds[b, d]
                if bound + low < LOWEST:
                    e, bound = scale(memory, t, size)
                    exponents[b, row[PART]] += e
                    if bound + low < LOWEST:
                        return 1
                multiply(memory, t, memory, cliques[d, UP], patterns[cliques[d, PATTERN]], maps, first)
                bound += low
                first = False
            if first:
                for i in range(size):
                    memory[t + i] = 1.0
            u, n = row[UP], row[SEPARATOR]
            if n == 1:
                x = 0.0
                for i in range(size):
                    x += memory[t + i]
                memory[u] = x
            else:
                for i in range(n):
                    memory[u + i] = memory[t + i]
                for r in range(n, size, n):
                    for i in range(n):
                        memory[u + i] += memory[t + r + i]
            e, low = scale(memory, u, n)
            exponents[b, row[PART]] += e
            bounds[b, c] = low
            bounds[b, len(cliques) - 1 + c] = bound
    return 0


@jit
def distribute(work, cliques, patterns, maps, bounds):
    """Roots to leaves; tables become beliefs. 1 where something may vanish."""
    n_cliques = len(cliques) - 1
    for b in range(len(work)):
        memory = work[b]
        for c in range(n_cliques - 1, -1, -1):
            row = cliques[c]
            p, n, u, d = row[PARENT], row[SEPARATOR], row[UP], row[DOWN]
            if p < 0:
                memory[d] = 1.0
                continue
            sum_out(memory, cliques[p, TABLE], memory, d, n, patterns[row[PATTERN]], maps)
            for i in range(n):
                x = memory[u + i]
                memory[d + i] = memory[d + i] / x if x > 0.0 else 0.0
            _, low = scale(memory, d, n)
            bounds[b, n_cliques + c] += low
            if bounds[b, n_cliques + c] < LOWEST:
                return 1
            t = row[TABLE]
            for r in range(0, row[SIZE], n):
                for i in range(n):
                    memory[t + r + i] *= memory[d + i]
    return 0


@jit
def project(work, jobs, patterns, maps, out):
    """Beliefs of smaller tables, normalised: (B, …)."""
    for b in range(len(work)):
        memory, own = work[b], out[b]
        for k in range(len(jobs)):
            s, size = jobs[k, 1], jobs[k, 2]
            sum_out(memory, jobs[k, 0], own, s, size, patterns[jobs[k, 3]], maps)
            total = 0.0
            for i in range(size):
                total += own[s + i]
            if total > 0.0:
                for i in range(size):
                    own[s + i] /= total


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
            total = 0.0
            for r in range(at, row[SIZE], n):
                total += work[t + r]
            left, chosen = uniforms[k, c] * total, -1
            for r in range(at, row[SIZE], n):
                x = work[t + r]
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
