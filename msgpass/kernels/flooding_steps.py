"""The steps of a synchronous sweep, compiled: beliefs from messages, what variables say, how messages cross
tables, how far they moved.

Arrays are flat; ``at`` is the place of every number of a message among the beliefs of all variables,
``width`` the numbers in the messages of one factor, ``ends`` where each of its messages ends.
"""

import math

import numpy as np

from msgpass.kernels.runtime import jit

SMALLEST = 1e-200
"""Sums of products below which some may have vanished that count; they are taken again in logarithms."""


@jit
def add_messages(messages, at, width, counting, total, dead):
    """Add messages onto the beliefs: finite parts, and how many are −∞."""
    for row in range(messages.size // width):
        c = counting[row]
        for k in range(row * width, (row + 1) * width):
            m = messages[k]
            if m == -np.inf:
                dead[at[k]] += 1.0
            else:
                total[at[k]] += c * m


@jit
def incoming(total, dead, messages, at, said):
    """What each variable says to a factor: its belief without the factor's own message."""
    for k in range(messages.size):
        m, v = messages[k], at[k]
        gone = m == -np.inf
        if dead[v] > (1.0 if gone else 0.0):
            said[k] = -np.inf
        else:
            said[k] = total[v] if gone else total[v] - m


@jit
def top(logs, width, ends):
    """Put the best state of each message at 0; one without a state stays as it is."""
    for row in range(0, logs.size, width):
        first = row
        for end in ends:
            best = -np.inf
            for k in range(first, row + end):
                best = max(best, logs[k])
            if best > -np.inf:
                for k in range(first, row + end):
                    logs[k] -= best
            first = row + end


@jit
def sum_pairs(tables, shared, said, left, right, new):
    """Σ over the other variable of tables (left, right) times what it says; nothing in logarithms."""
    size, width = left * right, left + right
    for row in range(said.size // width):
        t, s = 0 if shared else row * size, row * width
        for k in range(width):
            new[s + k] = 0.0
        for x in range(left):
            found, here = 0.0, said[s + x]
            for y in range(right):
                entry = tables[t + x * right + y]
                found += entry * said[s + left + y]
                new[s + left + y] += entry * here
            new[s + x] = found


@jit
def sum_products(tables, shared, said, states, ends, index, new):
    """As :func:`sum_pairs` for any number of variables."""
    arity, width, size = states.size, ends[-1], 1
    for a in range(arity):
        size *= states[a]
    for row in range(said.size // width):
        t, s = 0 if shared else row * size, row * width
        for k in range(width):
            new[s + k] = 0.0
        for a in range(arity):
            index[a] = ends[a] - states[a]
        for entry in range(size):
            weight = tables[t + entry]
            if weight > 0.0:
                for a in range(arity):
                    product = weight
                    for b in range(arity):
                        if b != a:
                            product *= said[s + index[b]]
                    new[s + index[a]] += product
            _next(index, states, ends)


@jit
def best_products(logs, shared, said, states, ends, index, new):
    """Max over the other variables of log tables plus what they say."""
    arity, width, size = states.size, ends[-1], 1
    for a in range(arity):
        size *= states[a]
    for row in range(said.size // width):
        t, s = 0 if shared else row * size, row * width
        for k in range(width):
            new[s + k] = -np.inf
        for a in range(arity):
            index[a] = ends[a] - states[a]
        for entry in range(size):
            for a in range(arity):
                value = logs[t + entry]
                for b in range(arity):
                    if b != a:
                        value += said[s + index[b]]
                new[s + index[a]] = max(new[s + index[a]], value)
            _next(index, states, ends)


@jit
def _next(index, states, ends):
    """The next entry of a table: places of its states in a row of messages."""
    for a in range(states.size - 1, -1, -1):
        index[a] += 1
        if index[a] < ends[a]:
            break
        index[a] = ends[a] - states[a]


@jit
def repair(logs, shared, said, states, ends, index, new, out):
    """Log messages ``out`` of rows where a sum in ``new`` has all but vanished, taken again in logarithms."""
    arity, width, size = states.size, ends[-1], 1
    for a in range(arity):
        size *= states[a]
    for row in range(said.size // width):
        t, s, weak = 0 if shared else row * size, row * width, False
        for k in range(s, s + width):
            weak |= new[k] < SMALLEST
        if not weak:
            continue
        best, sums = np.full(width, -np.inf), np.zeros(width)
        for attempt in range(2):
            for a in range(arity):
                index[a] = ends[a] - states[a]
            for entry in range(size):
                for a in range(arity):
                    value, k = logs[t + entry], index[a]
                    for b in range(arity):
                        if b != a:
                            value += said[s + index[b]]
                    if attempt == 0:
                        best[k] = max(best[k], value)
                    elif value > -np.inf:
                        sums[k] += math.exp(value - best[k])
                _next(index, states, ends)
        for k in range(width):
            out[s + k] = best[k] + math.log(sums[k]) if best[k] > -np.inf else -np.inf


@jit
def settle(new, width, ends, damping, messages):
    """Put new messages, best state at 0, in the place of the old ones.

    Returns
    -------
    largest : float
        Largest change up to a constant, before damping; infinite where a state has become impossible.
    contradictory : bool
        A message leaves no state.
    """
    largest, contradictory = 0.0, False
    for row in range(0, new.size, width):
        first = row
        for end in ends:
            high, low, peak, fresh = -np.inf, np.inf, -np.inf, False
            for k in range(first, row + end):
                n, m = new[k], messages[k]
                if n == -np.inf:
                    fresh |= m > -np.inf
                    continue
                change = n - (0.0 if m == -np.inf else m)
                high, low = max(high, change), min(low, change)
                if damping > 0.0:
                    new[k] = damping * m + (1.0 - damping) * n if m > -np.inf else -np.inf
                peak = max(peak, new[k])
            contradictory |= peak == -np.inf
            largest = max(largest, np.inf if fresh else high - low if high >= low else 0.0)
            shift = peak if peak > -np.inf else 0.0
            for k in range(first, row + end):
                messages[k] = new[k] - shift
            first = row + end
    return largest, contradictory
