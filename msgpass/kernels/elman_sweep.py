"""The loops of the compiled Elman sweep for a range of the batch, as `msgpass.kernels.elman` calls them.

Arrays are flat. States, cotangents and dz are laid out as (time, batch, units), where ``units`` is the number of
hidden units rounded up to whole vectors; what is added is zero and stays zero. A step is a product with packed
weights, and then the activation or its derivative in place.
"""

from msgpass.kernels.product import TILE_ROWS, add_outer_products, product
from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import fma, load, maximum, negative, select, splat_like, store, store_eights, vtanh


@jit(forceinline=True)
def _copy_rows(source, i, source_stride, target, j, target_stride, rows, units, lanes):
    """Copy rows of ``units`` numbers, whole vectors."""
    for r in range(rows):
        for n in range(0, units, lanes):
            store(target, j + r * target_stride + n, load(source, i + r * source_stride + n))


@jit(forceinline=True)
def _activate(z, state, stride, h, i, rows, units, lanes, tanh):
    """Apply the activation to ``z``; write the result to the state and to ``h``."""
    for r in range(rows):
        for n in range(0, units, lanes):
            value = load(z, r * stride + n)
            value = vtanh(value) if tanh else maximum(splat_like(value, 0.0), value)
            store(state, r * stride + n, value)
            store(h, i + r * units + n, value)


@jit
def run_forward(
    x, w_ih, w_hh, bias, h0, h, z, state,
    steps, batch, inputs, hidden, units, begin, end, reverse, tanh, lanes,
):  # fmt: skip
    """Fill rows ``begin:end`` of the batch in ``h``; ``w_ih`` and ``w_hh`` are packed transposes.

    A few rows make small tiles, which wait for memory; their inputs are projected for all times at once instead,
    into ``h`` itself, so that only the recurrent product is done step by step.
    """
    rows = end - begin
    stride = units + lanes  # rows a power of two apart would fall into the same few sets of the cache
    at_once = rows == batch and rows < TILE_ROWS
    if at_once:
        product(bias, 0, 0, x, 0, inputs, inputs, w_ih, h, 0, units, steps * batch, units, lanes)
    _copy_rows(h0, begin * units, units, state, 0, stride, rows, units, lanes)
    for k in range(steps):
        t = steps - 1 - k if reverse else k
        now = (t * batch + begin) * units
        if at_once:
            product(h, now, units, state, 0, stride, hidden, w_hh, z, 0, stride, rows, units, lanes)
        else:
            i = (t * batch + begin) * inputs
            product(bias, 0, 0, x, i, inputs, inputs, w_ih, z, 0, stride, rows, units, lanes)
            product(z, 0, stride, state, 0, stride, hidden, w_hh, z, 0, stride, rows, units, lanes)
        _activate(z, state, stride, h, now, rows, units, lanes, tanh)


@jit(forceinline=True)
def _differentiate(cotangent, h, i, dz, j, stride, groups, g, group_stride, rows, units, lanes, tanh):
    """Turn what comes through later steps, in ``dz``, into dz = act'(z)·λ; write it to groups of eight units too.

    The cotangent is added here and not where the product starts: it comes from main memory, and this pass reads it
    in order.
    """
    for r in range(rows):
        for n in range(0, units, lanes):
            value = load(h, i + n)
            adjoint = load(cotangent, i + n) + load(dz, j + n)
            if tanh:
                d = adjoint * fma(negative(value), value, splat_like(value, 1.0))
            else:
                zero = splat_like(value, 0.0)
                d = select(value > zero, adjoint, zero)
            store(dz, j + n, d)
            store_eights(groups, g + (n // 8) * group_stride, group_stride, d)
        i += units
        j += stride
        g += 8


@jit(forceinline=True)
def _to_panels(source, i, rows, columns, panels, base, p, count, lanes):
    """Lay out rows, which are ``columns`` long, as rows p, p + 1, … of panels of ``count`` rows from ``base`` on."""
    width = 2 * lanes
    for r in range(rows):
        a, b = i + r * columns, base + (p + r) * width
        for _ in range(columns // width):
            store(panels, b, load(source, a))
            store(panels, b + lanes, load(source, a + lanes))
            a += width
            b += count * width
        rest = columns % width
        if rest:
            last = lanes if rest <= lanes else width  # the last panel is narrow where one vector is enough
            if last == lanes:
                b -= (p + r) * lanes
            for q in range(last):
                panels[b + q] = source[a + q] if q < rest else 0


@jit
def _add_rows(source, stride, count, total, units, lanes):
    """``total[n] += Σ_p source[p, n]``: the bias's gradient."""
    for n in range(0, units, lanes):
        even, odd = load(total, n), splat_like(load(total, n), 0.0)
        for p in range(0, count - 1, 2):
            even, odd = even + load(source, p * stride + n), odd + load(source, (p + 1) * stride + n)
        if count % 2:
            even = even + load(source, (count - 1) * stride + n)
        store(total, n, even + odd)


@jit
def run_backward(
    cotangent, x, h, h0, w_hh, dz, recent, later, groups, panels, zeros, dw_ih, dw_hh, dbias, dh0,
    steps, batch, inputs, hidden, units, columns, begin, end, chunk, reverse, tanh, keep, lanes,
):  # fmt: skip
    """Sweep against the recurrence for rows ``begin:end`` of the batch; ``w_hh`` is packed as it is.

    The weight gradients of ``chunk`` steps wait in ``groups`` (dz) and ``panels`` (what it is multiplied by) until
    they are one product with a long inner index instead of many with a short one. ``columns`` is the padded number
    of inputs. ``keep`` says whether to fill ``dz``, of all times.
    """
    rows = end - begin
    stride = units + lanes
    stop = steps
    while stop > 0:
        start = max(0, stop - chunk)
        count = (stop - start) * rows
        states = columns * count
        group_stride = 8 * count + 16  # not a power of two, for the same reason
        for k in range(stop - 1, start - 1, -1):
            t = steps - 1 - k if reverse else k
            here = (t * batch + begin) * units
            p = (k - start) * rows
            now = p * stride
            if k == steps - 1:
                recent[now : now + rows * stride] = 0
            elif k == stop - 1:
                product(zeros, 0, 0, later, 0, stride, hidden, w_hh, recent, now, stride, rows, units, lanes)
            else:
                after = now + rows * stride
                product(zeros, 0, 0, recent, after, stride, hidden, w_hh, recent, now, stride, rows, units, lanes)
            _differentiate(cotangent, h, here, recent, now, stride, groups, p * 8, group_stride, rows, units, lanes, tanh)
            if keep:
                _copy_rows(recent, now, stride, dz, here, units, rows, units, lanes)
            _to_panels(x, (t * batch + begin) * inputs, rows, inputs, panels, 0, p, count, lanes)
            if k == 0:
                _to_panels(h0, begin * units, rows, units, panels, states, p, count, lanes)
            else:
                before = here + batch * units if reverse else here - batch * units
                _to_panels(h, before, rows, units, panels, states, p, count, lanes)
        add_outer_products(groups, group_stride, units, panels[:states], count, dw_ih, columns, lanes)
        add_outer_products(groups, group_stride, units, panels[states:], count, dw_hh, units, lanes)
        _add_rows(recent, stride, count, dbias, units, lanes)
        _copy_rows(recent, 0, stride, later, 0, stride, rows, units, lanes)
        stop = start
    product(zeros, 0, 0, later, 0, stride, hidden, w_hh, dh0, begin * units, units, rows, units, lanes)
