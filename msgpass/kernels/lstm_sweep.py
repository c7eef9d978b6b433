"""The loops of the compiled LSTM sweep for a range of the batch, as `msgpass.kernels.lstm` calls them.

Arrays are flat. States and cotangents are laid out as (time, batch, units), gates as (time, batch, 4, units),
where ``units`` is the number of hidden units rounded up to whole vectors; what is added is zero and stays
zero. A step is one product of inputs and states with packed weights, and then a pass over the gates while
they are in cache. What is worked on sits in scratch memory whose rows are one vector longer, as rows a power
of two apart would share a few sets of the cache.
"""

from msgpass.kernels.lstm_gates import vgates
from msgpass.kernels.product import TILE_ROWS, Rows, Term, add_outer_products, product
from msgpass.kernels.recurrent_rows import copy_rows, to_panels
from msgpass.kernels.runtime import lean_jit
from msgpass.kernels.simd import fma, load, negative, splat_like, store, store_eights, store_past_cache, vtanh


@lean_jit
def run_forward(
    x, w_ih, w_hh, bias, h0, c0, mask, h, c, gates, z, state, cell,
    steps, batch, inputs, hidden, units, begin, end, reverse, masked, keep, past_cache, lanes,
):  # fmt: skip
    """Fill rows ``begin:end`` of the batch in ``h``, ``c`` and, with ``keep``, ``gates``, which go past the
    cache where they are many.

    A few rows make small tiles, which wait for memory; their inputs are projected for all times at once, into
    ``gates``, so that only the recurrent product is done step by step.
    """
    rows, stride, wide = end - begin, units + lanes, 4 * units
    no_term = Term(x, 0, 0, 0, w_ih)
    at_once = rows == batch and rows < TILE_ROWS
    if at_once:
        projection = Term(x, 0, inputs, inputs, w_ih)
        product(Rows(bias, 0, 0), projection, no_term, Rows(gates, 0, wide), steps * batch, wide, lanes)
    copy_rows(h0, begin * units, units, state, 0, stride, rows, units, lanes)
    copy_rows(c0, begin * units, units, cell, 0, stride, rows, units, lanes)
    recurrent, result = Term(state, 0, stride, hidden, w_hh), Rows(z, 0, wide + lanes)
    for k in range(steps):
        row = (steps - 1 - k if reverse else k) * batch + begin
        if at_once:
            start, projection = Rows(gates, row * wide, wide), no_term
        else:
            start, projection = Rows(bias, 0, 0), Term(x, row * inputs, inputs, inputs, w_ih)
        product(start, projection, recurrent, result, rows, wide, lanes)
        _advance(z, state, cell, mask, h, c, gates, row, rows, units, masked, keep, past_cache, lanes)


@lean_jit(forceinline=True)
def _advance(z, state, cell, mask, h, c, gates, row, rows, units, masked, keep, past_cache, lanes):
    """Gates from ``z``, then the states of one step."""
    stride, wide = units + lanes, 4 * units
    for r in range(rows):
        a, b, s = r * (wide + lanes), (row + r) * wide, r * stride
        held = masked and mask[row + r] == 0
        for n in range(0, units, lanes):
            i, f, g, o = vgates(
                load(z, a + n),
                load(z, a + units + n),
                load(z, a + 2 * units + n),
                load(z, a + 3 * units + n),
            )
            new = fma(f, load(cell, s + n), i * g)
            out = o * vtanh(new)
            if past_cache:
                store_past_cache(gates, b + n, i)
                store_past_cache(gates, b + units + n, f)
                store_past_cache(gates, b + 2 * units + n, g)
                store_past_cache(gates, b + 3 * units + n, o)
            elif keep:
                store(gates, b + n, i)
                store(gates, b + units + n, f)
                store(gates, b + 2 * units + n, g)
                store(gates, b + 3 * units + n, o)
            if held:
                new, out = load(cell, s + n), load(state, s + n)
            store(cell, s + n, new)
            store(state, s + n, out)
            store(c, (row + r) * units + n, new)
            store(h, (row + r) * units + n, out)


@lean_jit
def run_backward(
    local_h, local_c, x, h, c, gates, h0, c0, mask, w_ih, w_hh, dx, dh0, dc0, heard_h, heard_c,
    dz, at_h, at_c, groups, panels, zeros, gradients,
    steps, batch, inputs, hidden, units, columns, begin, end, chunk,
    fresh, reverse, masked, has_h, has_c, want_x, carry, lanes,
):  # fmt: skip
    """Go against the recurrence for rows ``begin:end`` of the batch; weights are packed as they are.

    ``at_h`` and ``at_c`` hold what a step hears from the one after it. The weight gradients of ``chunk``
    steps wait in ``groups`` (dz) and ``panels`` (the x and h that it is multiplied by) until they are one
    product with a long inner index instead of many with a short one. ``gradients`` is that of ``w_ih``
    (4 units × ``columns``, the padded inputs), of ``w_hh`` and of the bias, one after the other; it starts at
    zero where it is ``fresh``.
    """
    rows, stride, wide = end - begin, units + lanes, 4 * units
    no_term = Term(dz, 0, 0, 0, w_hh)
    term = Term(dz, 0, wide + lanes, wide, w_hh)
    dw_ih = gradients[: wide * columns]
    dw_hh = gradients[wide * columns : wide * (columns + units)]
    dbias = gradients[wide * (columns + units) :]
    held = Rows(at_h, 0, stride) if masked else Rows(zeros, 0, 0)
    if fresh:
        gradients[:] = 0
    zeros[:] = 0
    at_h[: rows * stride] = 0
    at_c[: rows * stride] = 0
    stop = steps
    while stop > 0:
        start = max(0, stop - chunk)
        count = (stop - start) * rows
        states = panels[columns * count :]
        group_stride = 8 * count + 16
        for k in range(stop - 1, start - 1, -1):
            row = (steps - 1 - k if reverse else k) * batch + begin
            p = (k - start) * rows
            if carry:
                copy_rows(at_h, 0, stride, heard_h, row * units, units, rows, units, lanes)
                copy_rows(at_c, 0, stride, heard_c, row * units, units, rows, units, lanes)
            before = begin if k == 0 else row + batch if reverse else row - batch
            _retreat(
                local_h, local_c, c, c0 if k == 0 else c, before * units, gates, mask, row, rows, units,
                dz, at_h, at_c, groups, 8 * p, group_stride, dbias, masked, has_h, has_c, lanes,
            )  # fmt: skip
            product(held, term, no_term, Rows(at_h, 0, stride), rows, units, lanes)
            if want_x:
                inward = Term(dz, 0, wide + lanes, wide, w_ih)
                product(
                    Rows(zeros, 0, 0), inward, no_term, Rows(dx, row * columns, columns), rows, columns, lanes
                )
            to_panels(x, row * inputs, rows, inputs, panels, p, count, lanes)
            to_panels(h0 if k == 0 else h, before * units, rows, units, states, p, count, lanes)
        add_outer_products(groups, group_stride, wide, panels, count, dw_ih, columns, lanes)
        add_outer_products(groups, group_stride, wide, states, count, dw_hh, units, lanes)
        stop = start
    copy_rows(at_h, 0, stride, dh0, begin * units, units, rows, units, lanes)
    copy_rows(at_c, 0, stride, dc0, begin * units, units, rows, units, lanes)


@lean_jit(forceinline=True)
def _retreat(
    local_h, local_c, c, c_before, before, gates, mask, row, rows, units,
    dz, at_h, at_c, groups, place, group_stride, dbias, masked, has_h, has_c, lanes,
):  # fmt: skip
    """dz of one step, also laid out as a left factor of `add_outer_products`; ``at_h`` is left at what a held
    step hands on, and ``at_c`` at what the step before hears.
    """
    stride, wide = units + lanes, 4 * units
    for r in range(rows):
        a, b, s, u = r * (wide + lanes), (row + r) * wide, r * stride, (row + r) * units
        held = masked and mask[row + r] == 0
        for n in range(0, units, lanes):
            heard, cell = load(at_h, s + n), load(at_c, s + n)
            if has_h:
                heard = heard + load(local_h, u + n)
            if has_c:
                cell = cell + load(local_c, u + n)
            zero, one = splat_like(heard, 0.0), splat_like(heard, 1.0)
            i, f = load(gates, b + n), load(gates, b + units + n)
            g, o = load(gates, b + 2 * units + n), load(gates, b + 3 * units + n)
            t = vtanh(load(c, u + n))
            total = fma(heard * o, fma(negative(t), t, one), cell)
            di = total * g * fma(negative(i), i, i)
            df = total * load(c_before, before + r * units + n) * fma(negative(f), f, f)
            dg = total * i * fma(negative(g), g, one)
            do = heard * t * fma(negative(o), o, o)
            if held:
                di, df, dg, do = zero, zero, zero, zero
                store(at_h, s + n, heard)
                store(at_c, s + n, cell)
            else:
                store(at_h, s + n, zero)
                store(at_c, s + n, total * f)
            m = place + 8 * r + (n // 8) * group_stride
            step = (units // 8) * group_stride
            store(dz, a + n, di)
            store_eights(groups, m, group_stride, di)
            store(dbias, n, load(dbias, n) + di)
            store(dz, a + units + n, df)
            store_eights(groups, m + step, group_stride, df)
            store(dbias, units + n, load(dbias, units + n) + df)
            store(dz, a + 2 * units + n, dg)
            store_eights(groups, m + 2 * step, group_stride, dg)
            store(dbias, 2 * units + n, load(dbias, 2 * units + n) + dg)
            store(dz, a + 3 * units + n, do)
            store_eights(groups, m + 3 * step, group_stride, do)
            store(dbias, 3 * units + n, load(dbias, 3 * units + n) + do)
