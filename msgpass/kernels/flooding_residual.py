"""The message that would change most first, compiled (Elidan, McGraw and Koller 2006).

Edges stand in a heap by the change that is pending on them, four below each and their keys beside them, which
takes half the misses of a binary one; ``spot`` says where each is.
"""

import numpy as np

from msgpass.kernels.flooding_ordered import answer, change, listen, send
from msgpass.kernels.runtime import lean_jit

WIDE = 4
"""Places below each place of the heap."""


@lean_jit(forceinline=True)
def rise(heap, keys, spot, at):
    """Move what stands at a place of the heap up to where it belongs; where that is."""
    e, key = heap[at], keys[at]
    while at > 0:
        above = (at - 1) // WIDE
        if keys[above] >= key:
            break
        heap[at], keys[at] = heap[above], keys[above]
        spot[heap[at]] = at
        at = above
    heap[at], keys[at] = e, key
    spot[e] = at
    return at


@lean_jit(forceinline=True)
def sink(heap, keys, spot, at):
    """Move what stands at a place of the heap down to where it belongs."""
    e, key = heap[at], keys[at]
    while True:
        first = WIDE * at + 1
        if first >= heap.size:
            break
        best = first
        for below in range(first + 1, min(first + WIDE, heap.size)):
            if keys[below] > keys[best]:
                best = below
        if keys[best] <= key:
            break
        heap[at], keys[at] = heap[best], keys[best]
        spot[heap[at]] = at
        at = best
    heap[at], keys[at] = e, key
    spot[e] = at


@lean_jit
def look(p, f, but, total, dead, messages, pending, moved, maximise, damping, said, values, index):
    """Pending messages of factor f, and their changes, but along ``but``; whether one leaves no state."""
    listen(p, f, total, dead, messages, said)
    contradictory = False
    for e in range(p.ends[f], p.ends[f + 1]):
        if e == but:
            continue
        out = pending[p.place[e] :]
        contradictory |= answer(p, f, e, said, maximise, values, index, out) == -np.inf
        moved[e] = change(messages, p.place[e], out, p.states[e], damping)
    return contradictory


@lean_jit
def begin(p, total, dead, messages, pending, moved, heap, keys, spot, maximise, damping, said, values, index):
    """All pending messages, and the heap; whether one leaves no state."""
    contradictory = False
    for f in range(p.ends.size - 1):
        contradictory |= look(
            p, f, -1, total, dead, messages, pending, moved, maximise, damping, said, values, index
        )
    for e in range(heap.size):
        heap[e], keys[e] = e, moved[e]
        spot[e] = e
    for at in range((heap.size - 2) // WIDE, -1, -1):
        sink(heap, keys, spot, at)
    return contradictory


@lean_jit
def advance(
    p, most, tol, total, dead, messages, pending, moved, heap, keys, spot, maximise, damping, said, values,
    index,
):  # fmt: skip
    """Send up to ``most`` messages; (how many were sent, whether one left no state)."""
    for sent in range(most):
        e = heap[0]
        if keys[0] <= tol:
            return sent, False
        send(p, e, pending[p.place[e] :], total, dead, messages)
        v, contradictory = p.variable[e], False
        for t in range(p.touch_ends[v], p.touch_ends[v + 1]):
            other = p.touching[t]
            f = p.owner[other]
            # Along its own edge a factor's message does not depend on what v says.
            own = -1 if other == e else other
            contradictory |= look(
                p, f, own, total, dead, messages, pending, moved, maximise, damping, said, values, index
            )
            for changed in range(p.ends[f], p.ends[f + 1]):
                if changed != own:
                    at = spot[changed]
                    keys[at] = moved[changed]  # one at a time, or the heap breaks in two places
                    sink(heap, keys, spot, rise(heap, keys, spot, at))
        if contradictory:
            return sent + 1, True
    return most, False
