"""Gaussian loopy belief propagation, compiled: the message that would change most goes first.

The messages that wait are in a binary heap that knows where each edge stands in it (Elidan, McGraw and Koller
2006).
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels.gaussian_flooding_factor import message
from msgpass.kernels.gaussian_flooding_sweeps import DIVERGED, ENDED, NOT_POSITIVE, SETTLED, add_up
from msgpass.kernels.gaussian_flooding_types import FIRST, GROWTH
from msgpass.kernels.runtime import lean_jit


@lean_jit
def rise(heap, where, key, place):
    """Move an entry up to where it belongs."""
    e = heap[place]
    while place > 0:
        above = (place - 1) // 2
        if key[heap[above]] >= key[e]:
            break
        heap[place] = heap[above]
        where[heap[place]] = place
        place = above
    heap[place] = e
    where[e] = place


@lean_jit
def sink(heap, where, key, place):
    """Move an entry down to where it belongs."""
    e, n = heap[place], len(heap)
    while True:
        below = 2 * place + 1
        if below >= n:
            break
        if below + 1 < n and key[heap[below + 1]] > key[heap[below]]:
            below += 1
        if key[heap[below]] <= key[e]:
            break
        heap[place] = heap[below]
        where[heap[place]] = place
        place = below
    heap[place] = e
    where[e] = place


@lean_jit
def put(heap, where, key, e, value):
    """Give an edge another key."""
    before = key[e]
    key[e] = value
    if value > before:
        rise(heap, where, key, where[e])
    elif value < before:
        sink(heap, where, key, where[e])


@lean_jit
def know(edges, v, local, known, now):
    """The belief of a variable from its messages."""
    first = edges.starts[v]
    e = edges.around[first]
    n, cell, block = edges.size[e], edges.cell[e], edges.block[e]
    for i in range(n):
        known.h[cell + i] = local.h[cell + i]
    for i in range(n * n):
        known.precision[block + i] = local.precision[block + i]
    for k in range(first, edges.starts[v + 1]):
        e = edges.around[k]
        for i in range(n):
            known.h[cell + i] += now.h[edges.h[e] + i]
        for i in range(n * n):
            known.precision[block + i] += now.precision[edges.precision[e] + i]


@lean_jit
def residual(
    edges,
    forms,
    local,
    known,
    now,
    fresh,
    damping,
    tol,
    most,
    history,
    key,
    heap,
    where,
    work,
    b,
    cells,
    scale,
):
    """(messages sent, entries of the history, how it ended, edge)."""
    count = len(edges.variable)
    add_up(edges, local, known, now)
    for e in range(count):
        f = edges.factor[e]
        change = message(
            edges, forms, f, e - edges.first[f], known, now, fresh.h, fresh.precision, work, b, cells, scale
        )
        if not change >= 0:
            return 0, 0, DIVERGED if change != change else NOT_POSITIVE, e
        key[e] = change
    for place in range(count // 2 - 1, -1, -1):
        sink(heap, where, key, place)
    top, sent, told = 0.0, 0, 0
    while True:
        e = heap[0]
        change = np.sqrt(key[e])
        done = change <= tol or sent >= most
        if done or sent % count == 0:
            history[told] = change
            told += 1
            if told <= FIRST:
                top = max(top, change)
            if change <= tol:
                return sent, told, SETTLED, -1
            if not change <= GROWTH * top:
                return sent, told, DIVERGED, -1
        if done:
            return sent, told, ENDED, -1
        n, h, p = edges.size[e], edges.h[e], edges.precision[e]
        for i in range(n):
            now.h[h + i] = damping * now.h[h + i] + (1 - damping) * fresh.h[h + i]
        for i in range(n * n):
            now.precision[p + i] = damping * now.precision[p + i] + (1 - damping) * fresh.precision[p + i]
        # fresh holds the undamped message: what is left of its change is the damping's share.
        put(heap, where, key, e, key[e] * damping * damping)
        sent += 1
        v = edges.variable[e]
        know(edges, v, local, known, now)
        for k in range(edges.starts[v], edges.starts[v + 1]):
            f = edges.factor[edges.around[k]]
            if f == edges.factor[e]:
                continue
            for other in range(edges.first[f], edges.first[f + 1]):
                if other == edges.around[k]:
                    continue
                change = message(
                    edges,
                    forms,
                    f,
                    other - edges.first[f],
                    known,
                    now,
                    fresh.h,
                    fresh.precision,
                    work,
                    b,
                    cells,
                    scale,
                )
                if not change >= 0:
                    return sent, told, DIVERGED if change != change else NOT_POSITIVE, other
                put(heap, where, key, other, change)
