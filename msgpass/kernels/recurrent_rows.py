"""Moves of rows in compiled sweeps of recurrences: between arrays of all times and scratch memory, and into
the forms that `msgpass.kernels.product` takes. Rows are whole vectors long, arrays flat, offsets count
numbers.
"""

from msgpass.kernels.runtime import lean_jit
from msgpass.kernels.simd import load, splat_like, store, store_eights


@lean_jit(forceinline=True)
def copy_rows(source, i, source_stride, target, j, target_stride, rows, units, lanes):
    """Copy rows of ``units`` numbers."""
    for r in range(rows):
        for n in range(0, units, lanes):
            store(target, j + r * target_stride + n, load(source, i + r * source_stride + n))


@lean_jit(forceinline=True)
def to_groups(source, i, stride, rows, units, groups, j, group_stride, lanes):
    """Lay out rows as the left factor of `add_outer_products`, from place ``j`` of each group on."""
    for r in range(rows):
        for n in range(0, units, lanes):
            value = load(source, i + r * stride + n)
            store_eights(groups, j + 8 * r + (n // 8) * group_stride, group_stride, value)


@lean_jit(forceinline=True)
def to_panels(source, i, rows, columns, panels, p, count, lanes):
    """Lay out rows, ``columns`` long, as rows p, p + 1, … of panels of ``count`` rows: a packed right
    factor."""
    width = 2 * lanes
    rest = columns % width
    tail = rest % lanes
    for r in range(rows):
        a, b = i + r * columns, (p + r) * width
        for _ in range(columns // width):
            store(panels, b, load(source, a))
            store(panels, b + lanes, load(source, a + lanes))
            a += width
            b += count * width
        if 0 < rest <= lanes:
            b -= (p + r) * lanes  # the last panel is narrow
        if rest >= lanes:
            store(panels, b, load(source, a))
            a += lanes
            b += lanes
        if tail:
            for q in range(tail):
                panels[b + q] = source[a + q]
            for q in range(tail, lanes):
                panels[b + q] = 0


@lean_jit(forceinline=True)
def add_rows(source, i, stride, count, total, units, lanes):
    """``total[n] += Σ_p source[p, n]``: the bias's gradient."""
    for n in range(0, units, lanes):
        even, odd = load(total, n), splat_like(load(total, n), 0.0)
        for p in range(0, count - 1, 2):
            even = even + load(source, i + p * stride + n)
            odd = odd + load(source, i + (p + 1) * stride + n)
        if count % 2:
            even = even + load(source, i + (count - 1) * stride + n)
        store(total, n, even + odd)
