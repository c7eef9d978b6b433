"""The Elman sweep of one, two or three rows: as `msgpass.kernels.elman_sweep`, with weights packed, states
and gradients made in one call each, and nothing between a state and the next but sums and the activation.
"""

from msgpass.kernels.few_rows import (
    add_row_product,
    aligned_start,
    copy_trimmed,
    load_row,
    panel_place,
    rows_to_panels,
    states_before_to_panels,
    store_row,
    vectors_of,
)
from msgpass.kernels.product import Rows, Term, add_outer_products, pack, product
from msgpass.kernels.recurrent_rows import to_groups
from msgpass.kernels.runtime import lean_jit as jit
from msgpass.kernels.simd import fma, load, maximum, negative, select, splat_like, store, vtanh

BLOCK = 64
"""Steps whose inputs are projected at once, and whose weight gradients are added up in one product."""


def forward_work(steps: int, batch: int, inputs: int, hidden: int, dtype) -> int:
    """Numbers of scratch memory that `forward_few` needs."""
    units = vectors_of(hidden, dtype)
    return units * (inputs + hidden + 3 + batch * (min(steps, BLOCK) + 2)) + 64


@jit
def forward_few(x, w_ih, w_hh, bias, h0, mask, h, work, reverse, tanh, masked, lanes):
    """Fill ``h``; see `msgpass.kernels.elman.forward`. ``mask`` is (T, B), or (0, 0) if nothing is held."""
    steps, batch, inputs = x.shape
    hidden = len(w_hh)
    units = -(-hidden // lanes) * lanes
    x, h, h0 = x.reshape(-1), h.reshape(-1), h0.reshape(-1)
    work = work[aligned_start(work) :]
    inward = work[: units * inputs]
    recurrent = work[units * inputs : units * (inputs + hidden)]
    rest = work[units * (inputs + hidden) :]
    scratch, start = rest[:units], rest[units : 2 * units]
    now, new = 3 * units, (3 + batch) * units
    projected = rest[(3 + 2 * batch) * units :]
    pack(w_ih, True, lanes, inward)
    pack(w_hh, True, lanes, recurrent)
    no_term = Term(x, 0, 0, 0, inward)
    for n in range(0, units, lanes):
        store(start, n, load_row(bias, 0, n, hidden, scratch, 0, lanes))
        for m in range(batch):
            store(rest, now + m * units + n, load_row(h0, m * hidden, n, hidden, scratch, 0, lanes))
    for begin in range(0, steps, BLOCK):
        end = min(begin + BLOCK, steps)
        first = (steps - end if reverse else begin) * batch
        inputs_now = Term(x, first * inputs, inputs, inputs, inward)
        product(
            Rows(start, 0, 0), inputs_now, no_term, Rows(projected, 0, units), (end - begin) * batch, units,
            lanes,
        )  # fmt: skip
        for k in range(begin, end):
            t = steps - 1 - k if reverse else k
            for m in range(batch):
                row = t * batch + m
                held = masked and mask[t, m] == 0
                s = now + m * units
                for n in range(0, units, lanes):
                    if held:
                        value = load(rest, s + n)
                    else:
                        j, width = panel_place(n, hidden, units, lanes)
                        value = load(projected, (row - first) * units + n)
                        value = add_row_product(value, rest, s, hidden, recurrent, j, width)
                        value = vtanh(value) if tanh else maximum(splat_like(value, 0.0), value)
                    store(rest, new + m * units + n, value)
                    store_row(h, row * hidden, n, hidden, value, scratch, 0, lanes)
            now, new = new, now


def backward_work(steps: int, batch: int, inputs: int, hidden: int, dtype) -> int:
    """Numbers of scratch memory that `backward_few` needs."""
    units, columns, block = vectors_of(hidden, dtype), vectors_of(inputs, dtype), min(steps, BLOCK)
    size = hidden * (units + columns) + units + columns + (block + 2) * batch * units
    return size + (block * batch + 2) * units + (block * batch + units) * (columns + units) + units + 64


@jit
def backward_few(
    cotangent, x, h, h0, w_ih, w_hh, mask, dw_ih, dw_hh, dbias, dh0, dx, carried, work,
    reverse, tanh, masked, want_dx, want_carried, lanes,
):  # fmt: skip
    """Fill the gradients, and ``dx`` and ``carried`` where they are wanted; see
    `msgpass.kernels.elman.backward`.
    """
    steps, batch, inputs = x.shape
    hidden = len(w_hh)
    units, columns = -(-hidden // lanes) * lanes, -(-inputs // lanes) * lanes
    x, h, h0, dx, carried = x.reshape(-1), h.reshape(-1), h0.reshape(-1), dx.reshape(-1), carried.reshape(-1)
    cotangent, dh0 = cotangent.reshape(-1), dh0.reshape(-1)
    block = min(steps, BLOCK)
    work = work[aligned_start(work) :]
    recurrent, work = work[: hidden * units], work[hidden * units :]
    inward, work = work[: hidden * columns], work[hidden * columns :]
    scratch, work = work[: units + columns], work[units + columns :]
    held, work = work[: batch * units], work[batch * units :]
    sum_ih, work = work[: units * columns], work[units * columns :]
    sum_hh, work = work[: units * units], work[units * units :]
    sum_bias, work = work[:units], work[units:]
    size = (block + 1) * batch * units
    dz, work = work[:size], work[size:]
    groups, panels = work[: (block * batch + 2) * units], work[(block * batch + 2) * units :]
    pack(w_hh, False, lanes, recurrent)
    if want_dx:
        pack(w_ih, False, lanes, inward)
    zero = splat_like(load(recurrent, 0), 0.0)
    for array in (held, sum_ih, sum_hh, sum_bias, dz):
        for i in range(0, len(array), lanes):
            store(array, i, zero)
    latest = 0  # row of dz where that of the step after this one lies
    for stop in range(steps, 0, -BLOCK):
        start = max(0, stop - BLOCK)
        count = (stop - start) * batch
        low = (steps - stop if reverse else start) * batch  # first row of this block in memory
        # dz of the step after the block waits behind those of the block.
        for i in range(0, batch * units, lanes):
            store(dz, block * batch * units + i, load(dz, latest + i))
        latest = block * batch * units
        for k in range(stop - 1, start - 1, -1):
            t = steps - 1 - k if reverse else k
            for m in range(batch):
                row = t * batch + m
                s, now = m * units, (row - low) * units
                off = masked and mask[t, m] == 0
                for n in range(0, units, lanes):
                    j, width = panel_place(n, hidden, units, lanes)
                    value = load_row(h, row * hidden, n, hidden, scratch, 0, lanes)
                    local = load_row(cotangent, row * hidden, n, hidden, scratch, 0, lanes)
                    heard = load(held, s + n) if masked else zero
                    heard = add_row_product(heard, dz, latest + s, hidden, recurrent, j, width)
                    if want_carried:
                        store_row(carried, row * hidden, n, hidden, heard, scratch, 0, lanes)
                    adjoint = heard + local
                    if masked:
                        store(held, s + n, adjoint if off else zero)
                    store(dz, now + n, zero if off else _back(value, adjoint, tanh))
                if want_dx:
                    for n in range(0, columns, lanes):
                        j, width = panel_place(n, hidden, columns, lanes)
                        value = add_row_product(zero, dz, now, hidden, inward, j, width)
                        store_row(dx, row * inputs, n, inputs, value, scratch, 0, lanes)
            latest = (t * batch - low) * units
        for n in range(0, units, lanes):
            even, odd = load(sum_bias, n), zero
            for p in range(0, count - 1, 2):
                even, odd = even + load(dz, p * units + n), odd + load(dz, (p + 1) * units + n)
            if count % 2:
                even = even + load(dz, (count - 1) * units + n)
            store(sum_bias, n, even + odd)
        group_stride = 8 * count + 16
        states = panels[columns * count :]
        to_groups(dz, 0, units, count, units, groups, 0, group_stride, lanes)
        rows_to_panels(x, low * inputs, count, inputs, panels, 0, count, lanes)
        states_before_to_panels(h0, h, hidden, batch, start == 0, reverse, low, count, states, lanes)
        add_outer_products(groups, group_stride, units, panels, count, sum_ih, columns, lanes)
        add_outer_products(groups, group_stride, units, states, count, sum_hh, units, lanes)
    for m in range(batch):
        s = m * units
        for n in range(0, units, lanes):
            j, width = panel_place(n, hidden, units, lanes)
            value = add_row_product(load(held, s + n), dz, latest + s, hidden, recurrent, j, width)
            store_row(dh0, m * hidden, n, hidden, value, scratch, 0, lanes)
    copy_trimmed(sum_ih, 0, columns, hidden, inputs, dw_ih)
    copy_trimmed(sum_hh, 0, units, hidden, hidden, dw_hh)
    for q in range(hidden):
        dbias[q] = sum_bias[q]


@jit(forceinline=True)
def _back(value, adjoint, tanh):
    """act'(z)·λ from the activation's value."""
    zero = splat_like(value, 0.0)
    if tanh:
        return adjoint * fma(negative(value), value, splat_like(value, 1.0))
    return select(value > zero, adjoint, zero)
