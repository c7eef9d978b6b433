"""The LSTM sweep of one, two or three rows: as `msgpass.kernels.lstm_sweep`, with weights packed, states and
gradients made in one call each, and nothing between a state and the next but sums and the gates.
"""

from functools import cache

from msgpass.kernels.few_rows import (
    add_row_product,
    aligned_start,
    copy_trimmed,
    load_row,
    panel_place,
    rows_to_panels,
    store_row,
    vectors_of,
)
from msgpass.kernels.lstm_gates import vgates
from msgpass.kernels.product import Rows, Term, add_outer_products, pack, product
from msgpass.kernels.recurrent_rows import to_groups
from msgpass.kernels.runtime import lean_jit
from msgpass.kernels.simd import broadcast, fma, load, negative, splat_like, store, vtanh

BLOCK = 64
"""Steps whose weight gradients are added up in one product."""


@cache
def forward_work(batch: int, inputs: int, hidden: int, dtype) -> int:
    """Numbers of scratch memory that `forward_few` needs."""
    units = vectors_of(hidden, dtype)
    return units * (4 * (inputs + hidden) + 5 + 3 * batch) + 64


@lean_jit(forceinline=True)
def _add_gates(a, b, c, d, row, i, inner, right, j, width, gap):
    """Four vectors plus ``row[i : i + inner]`` times one vector of columns of each of four packed factors,
    ``gap`` numbers apart; the terms go to two sums in turn.
    """
    zero = splat_like(a, 0.0)
    e, f, g, h = zero, zero, zero, zero
    for k in range(0, inner - 1, 2):
        p = j + k * width
        scale = broadcast(row, i + k)
        a = fma(scale, load(right, p), a)
        b = fma(scale, load(right, p + gap), b)
        c = fma(scale, load(right, p + 2 * gap), c)
        d = fma(scale, load(right, p + 3 * gap), d)
        p += width
        scale = broadcast(row, i + k + 1)
        e = fma(scale, load(right, p), e)
        f = fma(scale, load(right, p + gap), f)
        g = fma(scale, load(right, p + 2 * gap), g)
        h = fma(scale, load(right, p + 3 * gap), h)
    if inner % 2:
        p = j + (inner - 1) * width
        scale = broadcast(row, i + inner - 1)
        a = fma(scale, load(right, p), a)
        b = fma(scale, load(right, p + gap), b)
        c = fma(scale, load(right, p + 2 * gap), c)
        d = fma(scale, load(right, p + 3 * gap), d)
    return a + e, b + f, c + g, d + h


@lean_jit
def forward_few(x, w_ih, w_hh, bias, h0, c0, mask, h, c, gates, work, reverse, masked, lanes):
    """Fill ``h``, ``c`` and ``gates``, (T, B, 4, units); see `msgpass.kernels.lstm.forward`. ``mask`` is
    (T, B), or (0, 0) if nothing is held.

    The inputs are projected for all times at once, into ``gates``.
    """
    steps, batch, inputs = x.shape
    hidden = w_hh.shape[1]
    units = -(-hidden // lanes) * lanes
    wide, gap = 4 * units, units * hidden
    x, h, c, gates = x.reshape(-1), h.reshape(-1), c.reshape(-1), gates.reshape(-1)
    h0, c0 = h0.reshape(-1), c0.reshape(-1)
    work = work[aligned_start(work) :]
    inward, work = work[: wide * inputs], work[wide * inputs :]
    recurrent, work = work[: wide * hidden], work[wide * hidden :]
    scratch, work = work[:units], work[units:]
    start, states = work[:wide], work[wide:]
    now, new, cell = 0, batch * units, 2 * batch * units
    no_term = Term(x, 0, 0, 0, inward)
    for g in range(4):
        own = inward[g * units * inputs : (g + 1) * units * inputs]
        pack(w_ih[g * hidden : (g + 1) * hidden], True, lanes, own)
        pack(w_hh[g * hidden : (g + 1) * hidden], True, lanes, recurrent[g * gap : (g + 1) * gap])
        for n in range(0, units, lanes):
            store(start, g * units + n, load_row(bias, g * hidden, n, hidden, scratch, 0, lanes))
        projection, out = Term(x, 0, inputs, inputs, own), Rows(gates, g * units, wide)
        product(Rows(start, g * units, 0), projection, no_term, out, steps * batch, units, lanes)
    for m in range(batch):
        for n in range(0, units, lanes):
            store(states, now + m * units + n, load_row(h0, m * hidden, n, hidden, scratch, 0, lanes))
            store(states, cell + m * units + n, load_row(c0, m * hidden, n, hidden, scratch, 0, lanes))
    for k in range(steps):
        t = steps - 1 - k if reverse else k
        for m in range(batch):
            row = t * batch + m
            held = masked and mask[t, m] == 0
            s, b = now + m * units, row * wide
            for n in range(0, units, lanes):
                j, width = panel_place(n, hidden, units, lanes)
                zi, zf = load(gates, b + n), load(gates, b + units + n)
                zg, zo = load(gates, b + 2 * units + n), load(gates, b + 3 * units + n)
                zi, zf, zg, zo = _add_gates(zi, zf, zg, zo, states, s, hidden, recurrent, j, width, gap)
                i, f, g, o = vgates(zi, zf, zg, zo)
                store(gates, b + n, i)
                store(gates, b + units + n, f)
                store(gates, b + 2 * units + n, g)
                store(gates, b + 3 * units + n, o)
                value = fma(f, load(states, cell + m * units + n), i * g)
                out = o * vtanh(value)
                if held:
                    value, out = load(states, cell + m * units + n), load(states, s + n)
                store(states, cell + m * units + n, value)
                store(states, new + m * units + n, out)
                store_row(c, row * hidden, n, hidden, value, scratch, 0, lanes)
                store_row(h, row * hidden, n, hidden, out, scratch, 0, lanes)
        now, new = new, now


@cache
def backward_work(steps: int, batch: int, inputs: int, hidden: int, dtype) -> int:
    """Numbers of scratch memory that `backward_few` needs."""
    units, columns, count = vectors_of(hidden, dtype), vectors_of(inputs, dtype), min(steps, BLOCK) * batch
    size = 4 * hidden * (units + columns) + units + columns + 3 * batch * units
    size += 4 * units * (columns + units + 1) + (count + batch) * 4 * units
    return size + (count + 2) * 4 * units + (count + units) * (columns + units) + 64


@lean_jit
def backward_few(
    local_h, local_c, x, h, c, gates, h0, c0, w_ih, w_hh, mask,
    dw_ih, dw_hh, dbias, dh0, dc0, dx, heard_h, heard_c, work,
    reverse, masked, has_h, has_c, want_x, carry, lanes,
):  # fmt: skip
    """Fill the gradients, and ``dx``, ``heard_h`` and ``heard_c`` where they are wanted; see
    `msgpass.kernels.lstm.backward`.
    """
    steps, batch, inputs = x.shape
    hidden = w_hh.shape[1]
    units, columns = -(-hidden // lanes) * lanes, -(-inputs // lanes) * lanes
    wide, gap, gap_x = 4 * units, units * hidden, columns * hidden
    x, h, h0, c, c0, gates = (
        x.reshape(-1), h.reshape(-1), h0.reshape(-1), c.reshape(-1), c0.reshape(-1), gates.reshape(-1),
    )  # fmt: skip
    local_h, local_c, dx = local_h.reshape(-1), local_c.reshape(-1), dx.reshape(-1)
    heard_h, heard_c, dh0, dc0 = heard_h.reshape(-1), heard_c.reshape(-1), dh0.reshape(-1), dc0.reshape(-1)
    block = min(steps, BLOCK)
    work = work[aligned_start(work) :]
    recurrent, work = work[: 4 * gap], work[4 * gap :]
    inward, work = work[: 4 * gap_x], work[4 * gap_x :]
    scratch, work = work[: units + columns], work[units + columns :]
    held, work = work[: batch * units], work[batch * units :]
    cells, work = work[: batch * units], work[batch * units :]
    sum_ih, work = work[: wide * columns], work[wide * columns :]
    sum_hh, work = work[: wide * units], work[wide * units :]
    sum_bias, work = work[:wide], work[wide:]
    dz, work = work[: (block + 1) * batch * wide], work[(block + 1) * batch * wide :]
    groups, panels = work[: (block * batch + 2) * wide], work[(block * batch + 2) * wide :]
    for g in range(4):
        pack(w_hh[g * hidden : (g + 1) * hidden], False, lanes, recurrent[g * gap : (g + 1) * gap])
        if want_x:
            pack(w_ih[g * hidden : (g + 1) * hidden], False, lanes, inward[g * gap_x : (g + 1) * gap_x])
    zero = splat_like(load(gates, 0), 0.0)
    one = splat_like(zero, 1.0)
    for array in (held, cells, sum_ih, sum_hh, sum_bias, dz):
        for i in range(0, len(array), lanes):
            store(array, i, zero)
    behind = block * batch * wide  # dz of the step after a block lies behind those of the block
    latest = behind
    for stop in range(steps, 0, -BLOCK):
        start = max(0, stop - BLOCK)
        count = (stop - start) * batch
        low = (steps - stop if reverse else start) * batch  # first row of this block in memory
        for i in range(0, batch * wide, lanes):
            store(dz, behind + i, load(dz, latest + i))
        latest = behind
        for k in range(stop - 1, start - 1, -1):
            t = steps - 1 - k if reverse else k
            before = t + 1 if reverse else t - 1
            for m in range(batch):
                row = t * batch + m
                s, b, now, later = m * units, row * wide, (row - low) * wide, latest + m * wide
                off = masked and mask[t, m] == 0
                for n in range(0, units, lanes):
                    j, width = panel_place(n, hidden, units, lanes)
                    at_h = load(held, s + n) if masked else zero
                    for g in range(4):
                        at_h = add_row_product(
                            at_h, dz, later + g * units, hidden, recurrent, j + g * gap, width
                        )
                    at_c = load(cells, s + n)
                    if carry:
                        store_row(heard_h, row * hidden, n, hidden, at_h, scratch, 0, lanes)
                        store_row(heard_c, row * hidden, n, hidden, at_c, scratch, 0, lanes)
                    if has_h:
                        at_h = at_h + load_row(local_h, row * hidden, n, hidden, scratch, 0, lanes)
                    if has_c:
                        at_c = at_c + load_row(local_c, row * hidden, n, hidden, scratch, 0, lanes)
                    if off:
                        store(held, s + n, at_h)
                        store(cells, s + n, at_c)
                        for g in range(4):
                            store(dz, now + g * units + n, zero)
                        continue
                    i, f = load(gates, b + n), load(gates, b + units + n)
                    g, o = load(gates, b + 2 * units + n), load(gates, b + 3 * units + n)
                    tanh_c = vtanh(load_row(c, row * hidden, n, hidden, scratch, 0, lanes))
                    if k == 0:
                        old = load_row(c0, m * hidden, n, hidden, scratch, 0, lanes)
                    else:
                        old = load_row(c, (before * batch + m) * hidden, n, hidden, scratch, 0, lanes)
                    total = fma(at_h * o, fma(negative(tanh_c), tanh_c, one), at_c)
                    di = total * (g * fma(negative(i), i, i))
                    df = total * (old * fma(negative(f), f, f))
                    dg = total * (i * fma(negative(g), g, one))
                    do = at_h * (tanh_c * fma(negative(o), o, o))
                    store(dz, now + n, di)
                    store(dz, now + units + n, df)
                    store(dz, now + 2 * units + n, dg)
                    store(dz, now + 3 * units + n, do)
                    store(cells, s + n, total * f)
                    if masked:
                        store(held, s + n, zero)
                if want_x:
                    for n in range(0, columns, lanes):
                        j, width = panel_place(n, hidden, columns, lanes)
                        value = zero
                        for g in range(4):
                            value = add_row_product(
                                value, dz, now + g * units, hidden, inward, j + g * gap_x, width
                            )
                        store_row(dx, row * inputs, n, inputs, value, scratch, 0, lanes)
            latest = (t * batch - low) * wide
        for n in range(0, wide, lanes):
            even, odd = load(sum_bias, n), zero
            for p in range(0, count - 1, 2):
                even, odd = even + load(dz, p * wide + n), odd + load(dz, (p + 1) * wide + n)
            if count % 2:
                even = even + load(dz, (count - 1) * wide + n)
            store(sum_bias, n, even + odd)
        group_stride = 8 * count + 16
        states = panels[columns * count :]
        to_groups(dz, 0, wide, count, wide, groups, 0, group_stride, lanes)
        rows_to_panels(x, low * inputs, count, inputs, panels, 0, count, lanes)
        # Row p of dz goes with the state before it; at one end that is the start.
        edge = 0 if start > 0 else batch
        at = count - edge if reverse else 0
        rows_to_panels(h0, 0, edge, hidden, states, at, count, lanes)
        first = (low + batch if reverse else low + edge - batch) * hidden
        rows_to_panels(h, first, count - edge, hidden, states, 0 if reverse else edge, count, lanes)
        add_outer_products(groups, group_stride, wide, panels, count, sum_ih, columns, lanes)
        add_outer_products(groups, group_stride, wide, states, count, sum_hh, units, lanes)
    for m in range(batch):
        s = m * units
        for n in range(0, units, lanes):
            j, width = panel_place(n, hidden, units, lanes)
            at_h = load(held, s + n)
            for g in range(4):
                at_h = add_row_product(
                    at_h, dz, latest + m * wide + g * units, hidden, recurrent, j + g * gap, width
                )
            store_row(dh0, m * hidden, n, hidden, at_h, scratch, 0, lanes)
            store_row(dc0, m * hidden, n, hidden, load(cells, s + n), scratch, 0, lanes)
    for g in range(4):
        rows = slice(g * hidden, (g + 1) * hidden)
        copy_trimmed(sum_ih, g * units * columns, columns, hidden, inputs, dw_ih[rows])
        copy_trimmed(sum_hh, g * units * units, units, hidden, hidden, dw_hh[rows])
        for q in range(hidden):
            dbias[g * hidden + q] = sum_bias[g * units + q]
