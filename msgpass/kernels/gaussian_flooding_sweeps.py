"""Gaussian loopy belief propagation, compiled: all messages at once, or one factor after another.

Every sweep gives the square of its largest change and −1, or, where it cannot go on, the edge whose message
has no place.
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels.gaussian_flooding_factor import message
from msgpass.kernels.gaussian_flooding_types import FIRST, GROWTH
from msgpass.kernels.runtime import lean_jit

SETTLED, ENDED, NOT_POSITIVE, DIVERGED = 1, 0, 2, 3


@lean_jit
def add_up(edges, local, known, now):
    """Beliefs from messages."""
    for i in range(len(local.h)):
        known.h[i] = local.h[i]
    for i in range(len(local.precision)):
        known.precision[i] = local.precision[i]
    for e in range(len(edges.variable)):
        n, cell, block, h, p = edges.size[e], edges.cell[e], edges.block[e], edges.h[e], edges.precision[e]
        for i in range(n):
            known.h[cell + i] += now.h[h + i]
        for i in range(n * n):
            known.precision[block + i] += now.precision[p + i]


@lean_jit
def flood(edges, forms, local, known, now, fresh, damping, work, b, cells, scale):
    """All messages from those of the sweep before."""
    add_up(edges, local, known, now)
    largest = 0.0
    for f in range(len(edges.first) - 1):
        for place in range(edges.first[f + 1] - edges.first[f]):
            change = message(
                edges, forms, f, place, known, now, fresh.h, fresh.precision, work, b, cells, scale
            )
            if not change >= 0:
                return change, edges.first[f] + place
            largest = max(largest, change)
    for i in range(len(now.h)):
        now.h[i] = damping * now.h[i] + (1 - damping) * fresh.h[i]
    for i in range(len(now.precision)):
        now.precision[i] = damping * now.precision[i] + (1 - damping) * fresh.precision[i]
    return largest, -1


@lean_jit
def sequential(edges, forms, local, known, now, fresh, damping, backward, work, b, cells, scale):
    """One factor after another, each with the newest messages."""
    add_up(edges, local, known, now)
    largest, count = 0.0, len(edges.first) - 1
    for k in range(count):
        f = count - 1 - k if backward else k
        first, end = edges.first[f], edges.first[f + 1]
        for place in range(end - first):
            change = message(
                edges, forms, f, place, known, now, fresh.h, fresh.precision, work, b, cells, scale
            )
            if not change >= 0:
                return change, first + place
            largest = max(largest, change)
        for e in range(first, end):
            take(edges, e, known, now, fresh, damping)
    return largest, -1


@lean_jit
def take(edges, e, known, now, fresh, damping):
    """Replace the message of an edge, and its part of the belief."""
    n, cell, block, h, p = edges.size[e], edges.cell[e], edges.block[e], edges.h[e], edges.precision[e]
    for i in range(n):
        new = damping * now.h[h + i] + (1 - damping) * fresh.h[h + i]
        known.h[cell + i] += new - now.h[h + i]
        now.h[h + i] = new
    for i in range(n * n):
        new = damping * now.precision[p + i] + (1 - damping) * fresh.precision[p + i]
        known.precision[block + i] += new - now.precision[p + i]
        now.precision[p + i] = new


@lean_jit
def sweeps(
    edges, forms, local, known, now, fresh, one_by_one, damping, tol, max_iter, history, work, b, cells, scale
):
    """Sweep until nothing changes: (sweeps, how it ended, edge)."""
    top = 0.0
    for t in range(max_iter):
        if one_by_one:
            change, edge = sequential(
                edges, forms, local, known, now, fresh, damping, t % 2 == 1, work, b, cells, scale
            )
        else:
            change, edge = flood(edges, forms, local, known, now, fresh, damping, work, b, cells, scale)
        if edge >= 0:
            return t, DIVERGED if change != change else NOT_POSITIVE, edge
        change = np.sqrt(change)
        history[t] = change
        if change <= tol:
            return t + 1, SETTLED, -1
        if t < FIRST:
            top = max(top, change)
        if not change <= GROWTH * top:
            return t + 1, DIVERGED, -1
    return max_iter, ENDED, -1
