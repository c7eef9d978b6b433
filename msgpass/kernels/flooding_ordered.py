"""Messages one factor at a time, compiled: sequential sweeps, and the message that would change most first.

Everything is in logarithms; ``p`` is a :class:`~msgpass.kernels.flooding_program.Program`. Beliefs are kept
up to date message by message: ``total`` their finite parts, ``dead`` how many of their terms are −∞.
"""

import math

import numpy as np

from msgpass.kernels.runtime import lean_jit


@lean_jit(forceinline=True)
def listen(p, f, total, dead, messages, said):
    """What the variables of factor f say to it, laid end to end from ``said[0]``."""
    first = p.place[p.ends[f]]
    for e in range(p.ends[f], p.ends[f + 1]):
        to, at = p.place[e] - first, p.where[p.variable[e]]
        for k in range(p.states[e]):
            m = messages[first + to + k]
            gone = m == -np.inf
            if dead[at + k] > (1.0 if gone else 0.0):
                said[to + k] = -np.inf
            else:
                said[to + k] = total[at + k] - (0.0 if gone else m)


@lean_jit
def answer(p, f, e, said, maximise, values, index, out):
    """The new message along edge e from what all variables say; its best state at 0.

    ``values`` has room for a table, ``index`` for a factor's variables. Returns the largest entry before it
    was taken off, −∞ where no state is left.
    """
    first, last = p.ends[f], p.ends[f + 1]
    base, arity, size = p.place[first], last - first, 1
    for a in range(arity):
        index[a] = 0
        size *= p.states[first + a]
    mine, states = e - first, p.states[e]
    if arity == 2:
        return _across(p, f, e, mine == 0, said, maximise, out)
    for k in range(states):
        out[k] = -np.inf
    for entry in range(size):
        value = p.logs[p.table[f] + entry]
        for a in range(arity):
            if a != mine:
                value += said[p.place[first + a] - base + index[a]]
        values[entry] = value
        k = index[mine]
        out[k] = max(out[k], value)
        for a in range(arity - 1, -1, -1):
            index[a] += 1
            if index[a] < p.states[first + a]:
                break
            index[a] = 0
    if not maximise:
        _sums(p, first, arity, mine, size, states, values, index, out)
    return _topped(out, states)


@lean_jit(forceinline=True)
def _topped(out, states):
    top = -np.inf
    for k in range(states):
        top = max(top, out[k])
    if top > -np.inf:
        for k in range(states):
            out[k] -= top
    return top


@lean_jit(forceinline=True)
def _across(p, f, e, first, said, maximise, out):
    """:func:`answer` where there is one other variable, whose states need no counting."""
    other = e + 1 if first else e - 1
    states, others = p.states[e], p.states[other]
    heard = p.place[other] - p.place[p.ends[f]]
    for k in range(states):
        start, step = (p.table[f] + k * others, 1) if first else (p.table[f] + k, states)
        top = -np.inf
        for y in range(others):
            top = max(top, p.logs[start + y * step] + said[heard + y])
        if not maximise and top > -np.inf:
            found = 0.0
            for y in range(others):
                value = p.logs[start + y * step] + said[heard + y]
                found += 1.0 if value == top else math.exp(value - top)
            top += math.log(found)
        out[k] = top
    return _topped(out, states)


@lean_jit
def _sums(p, first, arity, mine, size, states, values, index, out):
    """log Σ exp of the entries of each state, whose maxima are in ``out``."""
    after = 1
    for a in range(mine + 1, arity):
        after *= p.states[first + a]
    for k in range(states):
        top = out[k]
        if top == -np.inf:
            continue
        found = 0.0
        for before in range(k * after, size, states * after):
            for entry in range(before, before + after):
                found += math.exp(values[entry] - top)
        out[k] = top + math.log(found)


@lean_jit(forceinline=True)
def change(old, at, new, states, damping):
    """By how much a message changes up to a constant, before damping; ``new`` is damped."""
    high, low, fresh, top = -np.inf, np.inf, False, -np.inf
    for k in range(states):
        n, m = new[k], old[at + k]
        if n == -np.inf:
            fresh |= m > -np.inf
            continue
        d = n - (0.0 if m == -np.inf else m)
        high, low = max(high, d), min(low, d)
        if damping > 0.0:
            new[k] = damping * m + (1.0 - damping) * n if m > -np.inf else -np.inf
        top = max(top, new[k])
    if top > -np.inf:
        for k in range(states):
            new[k] -= top
    if fresh:
        return np.inf
    return high - low if high >= low else 0.0


@lean_jit(forceinline=True)
def send(p, e, new, total, dead, messages):
    """Put a message in place, and into its variable's belief."""
    at, to, c = p.where[p.variable[e]], p.place[e], p.counting[p.owner[e]]
    for k in range(p.states[e]):
        old, value = messages[to + k], new[k]
        if old == -np.inf:
            dead[at + k] -= 1.0
        else:
            total[at + k] -= c * old
        if value == -np.inf:
            dead[at + k] += 1.0
        else:
            total[at + k] += c * value
        messages[to + k] = value


@lean_jit
def sweep(p, start, stop, backward, total, dead, messages, maximise, damping, said, values, index, fresh):
    """Factors start, …, stop − 1 in turn, or in the opposite order: all messages of one, then the next.

    Returns (largest change, whether a message left no state).
    """
    largest, contradictory = 0.0, False
    for step in range(stop - start):
        f = stop - 1 - step if backward else start + step
        listen(p, f, total, dead, messages, said)
        base = p.place[p.ends[f]]
        for e in range(p.ends[f], p.ends[f + 1]):
            out = fresh[p.place[e] - base :]
            if answer(p, f, e, said, maximise, values, index, out) == -np.inf:
                contradictory = True
            largest = max(largest, change(messages, p.place[e], out, p.states[e], damping))
        for e in range(p.ends[f], p.ends[f + 1]):
            send(p, e, fresh[p.place[e] - base :], total, dead, messages)
    return largest, contradictory
