"""Whole assignments, compiled: from the last slice to the first, each clique's residual given what is
decided.

Given the messages that run forward, what is decided at one clique is independent of all that is decided
behind it.
"""

from math import exp, inf

from msgpass.kernels.interface_sum import address
from msgpass.kernels.runtime import lean_jit as jit


@jit
def variable(p, t, v, firsts):
    """Number of a clique's variable at slice t."""
    return firsts[p.node[v]] + (t - p.lag[v] if p.lag[v] >= 0 else 0)


@jit
def scores(p, s, x, up, t, b, c, states, firsts, logs, table):
    """What clique c multiplies (adds up, in logs), of every state of its residual given its separator."""
    R, S, at = p.residual[c], p.separator[c], 0
    for v in range(p.variables[c] + p.decided[c], p.variables[c + 1]):
        at = at * p.states[v] + states[variable(p, t, v, firsts)]
    for r in range(R):
        total = 0.0 if logs else 1.0
        for i in range(p.inputs[c], p.inputs[c + 1]):
            met = p.maps[p.map[i] + r * S + at]
            if p.family[i] >= 0:
                own = x.entries[address(p, s, x, t, b, i) + met]
            else:
                own = up[b, s.block[t] + p.place[i] + met]
            total = total + own if logs else total * own
        table[r] = total


@jit
def settle(p, t, c, chosen, states, firsts):
    """Write the states that number ``chosen`` of a residual stands for."""
    for v in range(p.variables[c] + p.decided[c] - 1, p.variables[c] - 1, -1):
        states[variable(p, t, v, firsts)] = chosen % p.states[v]
        chosen //= p.states[v]


@jit
def best(p, s, x, up, states, firsts, b, first, last, table):
    """The best states of everything that is decided after clique ``last`` (counted over all slices) and not
    before ``first``; ties go to the lowest."""
    for t in range(len(s.program) - 1, -1, -1):
        if s.number[t] >= last or s.number[t + 1] <= first:
            continue
        k = s.program[t]
        for c in range(p.cliques[k + 1] - 1, p.cliques[k] - 1, -1):
            number = s.number[t] + c - p.cliques[k]
            if p.decided[c] == 0 or number >= last or number < first:
                continue
            scores(p, s, x, up, t, b, c, states, firsts, True, table)
            chosen = 0
            for r in range(1, p.residual[c]):
                if table[r] > table[chosen]:
                    chosen = r
            settle(p, t, c, chosen, states, firsts)


@jit
def draw(p, s, x, up, states, firsts, uniforms, logs, table):
    """One draw for each row of ``uniforms`` (B, n, cliques)."""
    for b in range(len(up)):
        for d in range(states.shape[1]):
            own = states[b, d]
            for t in range(len(s.program) - 1, -1, -1):
                k = s.program[t]
                for c in range(p.cliques[k + 1] - 1, p.cliques[k] - 1, -1):
                    if p.decided[c] == 0:
                        continue
                    scores(p, s, x, up, t, b, c, own, firsts, logs, table)
                    R, top = p.residual[c], -inf
                    for r in range(R):
                        top = max(top, table[r])
                    total = 0.0
                    for r in range(R):
                        table[r] = exp(table[r] - top) if logs else table[r]
                        total += table[r]
                    left = uniforms[b, d, s.number[t] + c - p.cliques[k]] * total
                    chosen, sums = 0, table[0]
                    while sums <= left and chosen < R - 1:
                        chosen += 1
                        sums += table[chosen]
                    settle(p, t, c, chosen, own, firsts)


@jit
def losses(p, s, x, up, states, firsts, b, first, last, found, table):
    """What every state of every residual gives away against the one that is decided, flat: clique after
    clique, from the last to the first, cliques first ≤ number < last; how many there are."""
    n = 0
    for t in range(len(s.program) - 1, -1, -1):
        if s.number[t] >= last or s.number[t + 1] <= first:
            continue
        k = s.program[t]
        for c in range(p.cliques[k + 1] - 1, p.cliques[k] - 1, -1):
            number = s.number[t] + c - p.cliques[k]
            if p.decided[c] == 0 or number >= last or number < first:
                continue
            scores(p, s, x, up, t, b, c, states, firsts, True, table)
            own = 0
            for v in range(p.variables[c], p.variables[c] + p.decided[c]):
                own = own * p.states[v] + states[variable(p, t, v, firsts)]
            for r in range(p.residual[c]):
                found[n] = inf if r == own else table[own] - table[r]
                n += 1
    return n
