"""The loops of the compiled Elman sweep for a range of the batch, as `msgpass.kernels.elman` calls them.

Arrays are flat. States, cotangents and dz are laid out as (time, batch, units), where ``units`` is the number
of hidden units rounded up to whole vectors; what is added is zero and stays zero. A step is a product with
packed weights, and then the activation or its derivative. What is worked on sits in scratch memory whose rows
are one vector longer, as rows a power of two apart would share a few sets of the cache.
"""

from msgpass.kernels.product import TILE_ROWS, Rows, Term, add_outer_products, product
from msgpass.kernels.recurrent_rows import add_rows, copy_rows, to_groups, to_panels
from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import fma, load, maximum, negative, select, splat_like, store, vtanh


@jit
def run_forward(
    x, w_ih, w_hh, bias, h0, h, z, state,
    steps, batch, inputs, hidden, units, begin, end, reverse, tanh, lanes,
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
        _activate(z, state, stride, h, row * units, rows, units, lanes, tanh)


@jit
def run_backward(
    cotangent, x, h, h0, w_hh, zeros, dz, dh0, recent, groups, panels, gradients,
    steps, batch, inputs, hidden, units, columns, begin, end, chunk, reverse, tanh, keep, lanes,
):  # fmt: skip
    """Go against the recurrence for rows ``begin:end`` of the batch; ``w_hh`` is packed as it is.

    The weight gradients of ``chunk`` steps wait in ``groups`` (dz) and ``panels`` (the x and h that it is
    multiplied by) until they are one product with a long inner index instead of many with a short one. Row
    blocks 1, 2, … of ``recent`` hold the chunk's dz and block 0 that of the step after the chunk.
    ``gradients`` is that of ``w_ih`` (units × ``columns``, the padded inputs), of ``w_hh`` and of the bias,
    one after the other. ``keep`` says whether to fill ``dz``, of all times.
    """
    rows, stride = end - begin, units + lanes
    block = rows * stride
    no_start, no_term = Rows(zeros, 0, 0), Term(recent, 0, 0, 0, w_hh)
    dw_ih = gradients[: units * columns]
    dw_hh = gradients[units * columns : units * (columns + units)]
    dbias = gradients[units * (columns + units) :]
    stop = steps
    while stop > 0:
        start = max(0, stop - chunk)
        count = (stop - start) * rows
        states = panels[columns * count :]
        group_stride = 8 * count + 16
        for k in range(stop - 1, start - 1, -1):
            row = (steps - 1 - k if reverse else k) * batch + begin
            p = (k - start) * rows
            now = (k - start + 1) * block
            if k == steps - 1:
                recent[now : now + block] = 0
            else:
                later = Term(recent, 0 if k == stop - 1 else now + block, stride, hidden, w_hh)
                product(no_start, later, no_term, Rows(recent, now, stride), rows, units, lanes)
            _differentiate(cotangent, h, row * units, recent, now, stride, rows, units, lanes, tanh)
            to_groups(recent, now, stride, rows, units, groups, 8 * p, group_stride, lanes)
            if keep:
                copy_rows(recent, now, stride, dz, row * units, units, rows, units, lanes)
            to_panels(x, row * inputs, rows, inputs, panels, p, count, lanes)
            if k == 0:
                to_panels(h0, begin * units, rows, units, states, p, count, lanes)
            else:
                before = row + batch if reverse else row - batch
                to_panels(h, before * units, rows, units, states, p, count, lanes)
        add_outer_products(groups, group_stride, units, panels, count, dw_ih, columns, lanes)
        add_outer_products(groups, group_stride, units, states, count, dw_hh, units, lanes)
        add_rows(recent, block, stride, count, dbias, units, lanes)
        copy_rows(recent, block, stride, recent, 0, stride, rows, units, lanes)
        stop = start
    first = Term(recent, 0, stride, hidden, w_hh)
    product(no_start, first, no_term, Rows(dh0, begin * units, units), rows, units, lanes)


# --- passes over the rows of one step


@jit(forceinline=True)
def _activate(z, state, stride, h, i, rows, units, lanes, tanh):
    """Apply the activation to ``z``; write the result to the state and to ``h``."""
    for r in range(rows):
        for n in range(0, units, lanes):
            value = load(z, r * stride + n)
            value = vtanh(value) if tanh else maximum(splat_like(value, 0.0), value)
            store(state, r * stride + n, value)
            store(h, i + r * units + n, value)


@jit(forceinline=True)
def _differentiate(cotangent, h, i, dz, j, stride, rows, units, lanes, tanh):
    """Turn what comes through later steps, in ``dz``, into dz = act'(z)·λ.

    The cotangent is added here and not where the product starts: it comes from main memory, and this pass
    reads it in order.
    """
    for r in range(rows):
        for n in range(0, units, lanes):
            value = load(h, i + r * units + n)
            adjoint = load(cotangent, i + r * units + n) + load(dz, j + r * stride + n)
            if tanh:
                adjoint = adjoint * fma(negative(value), value, splat_like(value, 1.0))
            else:
                zero = splat_like(value, 0.0)
                adjoint = select(value > zero, adjoint, zero)
            store(dz, j + r * stride + n, adjoint)
