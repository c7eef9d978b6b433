"""The loops of the compiled Elman sweep for a range of the batch, as `msgpass.kernels.elman` calls them.

Arrays are flat. States, cotangents and dz are laid out as (time, batch, units), where ``units`` is the number
of hidden units rounded up to whole vectors; what is added is zero and stays zero. A step is a product with
packed weights, and then the activation or its derivative. What is worked on sits in scratch memory whose rows
are one vector longer, as rows a power of two apart would share a few sets of the cache.
"""

from msgpass.kernels.product import TILE_ROWS, Rows, Term, add_outer_products, product
from msgpass.kernels.recurrent_rows import copy_rows, to_panels
from msgpass.kernels.runtime import lean_jit as jit
from msgpass.kernels.simd import fma, load, maximum, negative, select, splat_like, store, store_eights, vtanh


@jit
def run_forward(
    x, w_ih, w_hh, bias, h0, mask, h, z, state,
    steps, batch, inputs, hidden, units, begin, end, reverse, tanh, masked, lanes,
):  # fmt: skip
    """Fill rows ``begin:end`` of the batch in ``h``; ``w_ih`` and ``w_hh`` are packed transposes.

    A few rows make small tiles, which wait for memory; their inputs are projected for all times at once, into
    ``h`` itself, so that only the recurrent product is done step by step.
    """
    rows, stride = end - begin, units + lanes
    no_term = Term(x, 0, 0, 0, w_ih)
    at_once = rows == batch and rows < TILE_ROWS
    if at_once:
        projection = Term(x, 0, inputs, inputs, w_ih)
        product(Rows(bias, 0, 0), projection, no_term, Rows(h, 0, units), steps * batch, units, lanes)
    copy_rows(h0, begin * units, units, state, 0, stride, rows, units, lanes)
    recurrent, result = Term(state, 0, stride, hidden, w_hh), Rows(z, 0, stride)
    for k in range(steps):
        row = (steps - 1 - k if reverse else k) * batch + begin
        if at_once:
            start, projection = Rows(h, row * units, units), no_term
        else:
            start, projection = Rows(bias, 0, 0), Term(x, row * inputs, inputs, inputs, w_ih)
        product(start, projection, recurrent, result, rows, units, lanes)
        _activate(z, state, stride, mask, h, row, rows, units, lanes, tanh, masked)


@jit
def run_backward(
    cotangent, x, h, h0, mask, w_ih, w_hh, zeros, dx, carried, dh0, recent, heard, groups, panels, gradients,
    steps, batch, inputs, hidden, units, columns, begin, end, chunk,
    reverse, tanh, masked, want_dx, want_carried, lanes,
):  # fmt: skip
    """Go against the recurrence for rows ``begin:end`` of the batch; weights are packed as they are.

    ``recent`` is dz of one step and ``heard`` what the step before it hears, at first from states that were
    held. The weight gradients of ``chunk`` steps wait in ``groups`` (dz) and ``panels`` (the x and h that it
    is multiplied by) until they are one product with a long inner index instead of many with a short one.
    ``gradients`` is that of ``w_ih`` (units × ``columns``, the padded inputs), of ``w_hh`` and of the bias,
    one after the other.
    """
    rows, stride = end - begin, units + lanes
    no_term, later = Term(recent, 0, 0, 0, w_hh), Term(recent, 0, stride, units, w_hh)
    held = Rows(heard, 0, stride) if masked else Rows(zeros, 0, 0)
    dw_ih = gradients[: units * columns]
    dw_hh = gradients[units * columns : units * (columns + units)]
    dbias = gradients[units * (columns + units) :]
    recent[:] = 0
    heard[:] = 0
    stop = steps
    while stop > 0:
        start = max(0, stop - chunk)
        count = (stop - start) * rows
        states = panels[columns * count :]
        group_stride = 8 * count + 16
        for k in range(stop - 1, start - 1, -1):
            row = (steps - 1 - k if reverse else k) * batch + begin
            p = (k - start) * rows
            if k < steps - 1:
                product(held, later, no_term, Rows(heard, 0, stride), rows, units, lanes)
            if want_carried:
                copy_rows(heard, 0, stride, carried, row * units, units, rows, units, lanes)
            _differentiate(
                cotangent, h, mask, row, recent, heard, groups, 8 * p, group_stride, dbias, rows, units,
                lanes, tanh, masked,
            )  # fmt: skip
            if want_dx:
                inward = Term(recent, 0, stride, units, w_ih)
                told = Rows(dx, row * columns, columns)
                product(Rows(zeros, 0, 0), inward, no_term, told, rows, columns, lanes)
            to_panels(x, row * inputs, rows, inputs, panels, p, count, lanes)
            if k == 0:
                to_panels(h0, begin * units, rows, units, states, p, count, lanes)
            else:
                before = row + batch if reverse else row - batch
                to_panels(h, before * units, rows, units, states, p, count, lanes)
        add_outer_products(groups, group_stride, units, panels, count, dw_ih, columns, lanes)
        add_outer_products(groups, group_stride, units, states, count, dw_hh, units, lanes)
        stop = start
    product(held, later, no_term, Rows(dh0, begin * units, units), rows, units, lanes)


# --- passes over the rows of one step


@jit(forceinline=True)
def _activate(z, state, stride, mask, h, row, rows, units, lanes, tanh, masked):
    """Apply the activation to ``z``; write the result to the state and to ``h``."""
    for r in range(rows):
        held = masked and mask[row + r] == 0
        for n in range(0, units, lanes):
            value = load(z, r * stride + n)
            value = vtanh(value) if tanh else maximum(splat_like(value, 0.0), value)
            if held:
                value = load(state, r * stride + n)
            store(state, r * stride + n, value)
            store(h, (row + r) * units + n, value)


@jit(forceinline=True)
def _differentiate(
    cotangent, h, mask, row, recent, heard, groups, place, group_stride, dbias, rows, units, lanes, tanh,
    masked,
):  # fmt: skip
    """dz = act'(z)·λ of one step, also laid out as a left factor of `add_outer_products`.

    The cotangent is added here and not where the product starts: it comes from main memory, and this pass
    reads it in order.
    """
    stride = units + lanes
    for r in range(rows):
        i, s = (row + r) * units, r * stride
        held = masked and mask[row + r] == 0
        for n in range(0, units, lanes):
            value = load(h, i + n)
            zero = splat_like(value, 0.0)
            adjoint = load(cotangent, i + n) + load(heard, s + n)
            if masked:
                store(heard, s + n, adjoint if held else zero)
            if tanh:
                adjoint = adjoint * fma(negative(value), value, splat_like(value, 1.0))
            else:
                adjoint = select(value > zero, adjoint, zero)
            if held:
                adjoint = zero
            store(recent, s + n, adjoint)
            store(dbias, n, load(dbias, n) + adjoint)
            store_eights(groups, place + 8 * r + (n // 8) * group_stride, group_stride, adjoint)
