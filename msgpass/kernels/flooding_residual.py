"""The message that would change most first, compiled (Elidan, McGraw and Koller 2006).

Edges stand in a binary heap by the change that is pending on them; ``spot`` says where each is.
"""

import numpy as np

from msgpass.kernels.flooding_ordered import answer, change, listen, send
from msgpass.kernels.runtime import jit


@jit
def rise(heap, spot, residual, at):
    """Move what stands at a place of the heap up to where it belongs."""
    e = heap[at]
    while at > 0:
        above = (at - 1) // 2
        if residual[heap[above]] >= residual[e]:
            break
        heap[at] = heap[above]
        spot[heap[at]] = at
        at = above
    heap[at] = e
    spot[e] = at
    return at


@jit
def sink(heap, spot, residual, at):
    """Move what stands at a place of the heap down to where it belongs."""
    e = heap[at]
    while True:
        below = 2 * at + 1
        if below >= heap.size:
            break
        if below + 1 < heap.size and residual[heap[below + 1]] > residual[heap[below]]:
            below += 1
        if residual[heap[below]] <= residual[e]:
            break
        heap[at] = heap[below]
        spot[heap[at]] = at
        at = below
    heap[at] = e
    spot[e] = at


@jit
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


@jit
def begin(p, total, dead, messages, pending, residual, heap, spot, maximise, damping, said, values, index):
    """All pending messages, and the heap; whether one leaves no state."""
    contradictory = False
    for f in range(p.ends.size - 1):
        contradictory |= look(
            p, f, -1, total, dead, messages, pending, residual, maximise, damping, said, values, index
        )
    for e in range(heap.size):
        heap[e] = e
        spot[e] = e
    for at in range(heap.size // 2 - 1, -1, -1):
        sink(heap, spot, residual, at)
    return contradictory


@jit
def advance(
    p,
    most,
    tol,
    total,
    dead,
    messages,
    pending,
    residual,
    moved,
    heap,
    spot,
    maximise,
    damping,
    said,
    values,
    index,
):
    """Send up to ``most`` messages; (how many were sent, whether one left no state)."""
    for sent in range(most):
        e = heap[0]
        if residual[e] <= tol:
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
                    residual[changed] = moved[changed]  # one at a time, or the heap breaks in two places
                    sink(heap, spot, residual, rise(heap, spot, residual, spot[changed]))
        if contradictory:
            return sent + 1, True
    return most, False
