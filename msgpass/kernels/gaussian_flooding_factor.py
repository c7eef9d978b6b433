"""One message of Gaussian loopy belief propagation, compiled: a kernel for two scalars, one for all shapes.

Both write the new message of an edge and give the square of its change in standard deviations, or
``NOT_POSITIVE``. The square saves a root a message.
"""

from __future__ import annotations

from msgpass.kernels.gaussian_flooding_reference import NOISE
from msgpass.kernels.gaussian_flooding_types import SINGULAR
from msgpass.kernels.runtime import lean_jit

NOT_POSITIVE = -1.0


@lean_jit(inline="always")
def beyond(new, old, said):
    """|new − old|, 0 where it is rounding."""
    change = abs(new - old)
    return change if change > NOISE * (abs(new) + abs(said)) else 0.0


@lean_jit
def scalar_message(edges, forms, f, place, known, now, new_h, new_p):
    """Message of a factor over two scalars to the variable at ``place`` (0 or 1)."""
    first = edges.first[f]
    own, other = first + place, first + 1 - place
    form = forms.pairs[edges.form_h[f]]
    said_p = known.precision[edges.block[other]] - now.precision[edges.precision[other]]
    said_h = known.h[edges.cell[other]] - now.h[edges.h[other]]
    diagonal = form[1 - place]
    low = diagonal + said_p
    if not low > SINGULAR * abs(diagonal):
        return NOT_POSITIVE
    share = 1 / low
    p = (form[5] + form[place] * said_p) * share
    h = (form[6 + place] + form[3 + place] * said_p - form[2] * said_h) * share
    at_h, at_p = edges.h[own], edges.precision[own]
    old_h, old_p = now.h[at_h], now.precision[at_p]
    rest_h, rest_p = known.h[edges.cell[own]] - old_h, known.precision[edges.block[own]] - old_p
    new_h[at_h], new_p[at_p] = h, p
    believed = rest_p + p
    if not believed > 0:
        return NOT_POSITIVE
    unit = 1 / believed
    shift, spread = beyond(h, old_h, rest_h), beyond(p, old_p, rest_p) * unit
    return max(shift * shift * unit, spread * spread)


@lean_jit
def block_message(edges, forms, f, place, known, now, new_h, new_p, work, b, cells, scale):
    """Message of a factor of any shape to the variable at ``place``.

    ``work`` (D, D), ``b`` (D,), ``cells`` (D,) and ``scale`` (D,) are scratch; the variable's own cells come
    last in them, and are what is left when all others have been eliminated.
    """
    first, end = edges.first[f], edges.first[f + 1]
    wide = 0
    for e in range(first, end):
        wide += edges.size[e]
    own = first + place
    s = edges.size[own]
    rest = wide - s
    at = start = 0
    for e in range(first, end):
        for i in range(edges.size[e]):
            if e == own:
                cells[rest + i] = start + i
            else:
                cells[at] = start + i
                at += 1
        start += edges.size[e]
    form_h, form_p = edges.form_h[f], edges.form_precision[f]
    for i in range(wide):
        b[i] = forms.h[form_h + cells[i]]
        row = form_p + cells[i] * wide
        for j in range(i + 1):
            work[i, j] = forms.precision[row + cells[j]]
    at = 0
    for e in range(first, end):
        if e == own:
            continue
        n, cell, block, h, p = edges.size[e], edges.cell[e], edges.block[e], edges.h[e], edges.precision[e]
        for i in range(n):
            b[at + i] += known.h[cell + i] - now.h[h + i]
            for j in range(i + 1):
                work[at + i, at + j] += known.precision[block + i * n + j] - now.precision[p + i * n + j]
        at += n
    for i in range(rest):
        scale[i] = work[i, i]
    for c in range(rest):
        pivot = work[c, c]
        if not pivot > SINGULAR * scale[c]:
            return NOT_POSITIVE
        share = 1 / pivot
        for i in range(c + 1, wide):
            factor = work[i, c] * share
            if factor != 0:
                for j in range(c + 1, i + 1):
                    work[i, j] -= factor * work[j, c]
                b[i] -= factor * b[c]
    return _written(edges, own, s, rest, known, now, new_h, new_p, work, b, scale)


@lean_jit
def _written(edges, own, s, rest, known, now, new_h, new_p, work, b, scale):
    """Write what is left as the message; the square of its change."""
    at_h, at_p, cell, block = edges.h[own], edges.precision[own], edges.cell[own], edges.block[own]
    largest = 0.0
    for i in range(s):
        place = at_p + i * s + i
        believed = known.precision[block + i * s + i] - now.precision[place] + work[rest + i, rest + i]
        if not believed > 0:
            return NOT_POSITIVE
        scale[i] = 1 / believed
        new, old = b[rest + i], now.h[at_h + i]
        shift = beyond(new, old, known.h[cell + i] - old)
        largest = max(largest, shift * shift * scale[i])
        new_h[at_h + i] = new
        for j in range(i + 1):
            new, old = work[rest + i, rest + j], now.precision[at_p + i * s + j]
            spread = beyond(new, old, known.precision[block + i * s + j] - old)
            largest = max(largest, spread * spread * scale[i] * scale[j])
            new_p[at_p + i * s + j] = new
            new_p[at_p + j * s + i] = new
    return largest


@lean_jit
def message(edges, forms, f, place, known, now, new_h, new_p, work, b, cells, scale):
    """Message of a factor by the kernel of its shape."""
    if edges.scalar[f]:
        return scalar_message(edges, forms, f, place, known, now, new_h, new_p)
    return block_message(edges, forms, f, place, known, now, new_h, new_p, work, b, cells, scale)
