"""The GRU sweep of one, two or three rows: as `msgpass.kernels.gru_sweep`, with weights packed, states and
gradients made in one call each, and nothing between a state and the next but sums and the gates.
"""

from functools import cache

from msgpass.kernels.few_rows import (
    aligned_start,
    copy_trimmed,
    load_row,
    rows_to_panels,
    states_before_to_panels,
    store_row,
    vectors_of,
)
from msgpass.kernels.product import Rows, Term, add_outer_products, pack, product
from msgpass.kernels.recurrent_rows import to_groups
from msgpass.kernels.runtime import lean_jit as jit
from msgpass.kernels.simd import broadcast, fma, load, negative, splat_like, store, vsigmoid, vtanh

BLOCK = 64
"""Steps whose inputs are projected at once, and whose weight gradients are added up in one product."""


@cache
def forward_work(steps: int, batch: int, inputs: int, hidden: int, dtype) -> int:
    """Numbers of scratch memory that `forward_few` needs."""
    units = vectors_of(hidden, dtype)
    rows = batch * min(steps, BLOCK)
    return units * (3 * inputs + 3 * hidden + 5 + 2 * batch + 3 * rows) + 64


@jit
def forward_few(x, w_ih, w_hh, b_ih, b_hh, h0, mask, h, kept, work, reverse, masked, keep, lanes):
    """Fill ``h``, and ``kept`` with ``keep``; see `msgpass.kernels.gru.forward`. ``mask`` is (T, B), or
    (0, 0) if nothing is held.
    """
    steps, batch, inputs = x.shape
    hidden = w_hh.shape[1]
    units = -(-hidden // lanes) * lanes
    x, h, h0, kept = x.reshape(-1), h.reshape(-1), h0.reshape(-1), kept.reshape(-1)
    work = work[aligned_start(work) :]
    inward, work = work[: 3 * units * inputs], work[3 * units * inputs :]
    recurrent, work = work[: 3 * units * hidden], work[3 * units * hidden :]
    scratch, work = work[:units], work[units:]
    bias, work = work[: 4 * units], work[4 * units :]
    state, projected = work[: 2 * batch * units], work[2 * batch * units :]
    now, new = 0, batch * units
    for gate in range(3):
        own = gate * units * inputs
        pack(w_ih[gate * hidden : (gate + 1) * hidden], True, lanes, inward[own : own + units * inputs])
        _interleave(w_hh, gate, hidden, units, recurrent, lanes)
    for n in range(0, units, lanes):
        for gate in range(3):
            sums = load_row(b_ih, gate * hidden, n, hidden, scratch, 0, lanes)
            other = load_row(b_hh, gate * hidden, n, hidden, scratch, 0, lanes)
            store(bias, gate * units + n, sums + other if gate < 2 else sums)
            store(bias, 3 * units + n, other)
        for m in range(batch):
            store(state, m * units + n, load_row(h0, m * hidden, n, hidden, scratch, 0, lanes))
    zero = splat_like(load(bias, 0), 0.0)
    one = splat_like(zero, 1.0)
    for begin in range(0, steps, BLOCK):
        end = min(begin + BLOCK, steps)
        first = (steps - end if reverse else begin) * batch
        for gate in range(3):
            own = gate * units * inputs
            product(
                Rows(bias, gate * units, 0),
                Term(x, first * inputs, inputs, inputs, inward[own : own + units * inputs]),
                Term(x, 0, 0, 0, inward),
                Rows(projected, gate * units, 3 * units),
                (end - begin) * batch, units, lanes,
            )  # fmt: skip
        for k in range(begin, end):
            t = steps - 1 - k if reverse else k
            for m in range(batch):
                row = t * batch + m
                s, p = now + m * units, (row - first) * 3 * units
                held = masked and mask[t, m] == 0
                for n in range(0, units, lanes):
                    r, r_odd = load(projected, p + n), zero
                    z, z_odd = load(projected, p + units + n), zero
                    q, q_odd = load(bias, 3 * units + n), zero
                    j = n * 3 * hidden
                    for i in range(0, hidden - 1, 2):
                        even, odd = broadcast(state, s + i), broadcast(state, s + i + 1)
                        r, r_odd = (
                            fma(even, load(recurrent, j), r),
                            fma(odd, load(recurrent, j + 3 * lanes), r_odd),
                        )
                        z = fma(even, load(recurrent, j + lanes), z)
                        z_odd = fma(odd, load(recurrent, j + 4 * lanes), z_odd)
                        q = fma(even, load(recurrent, j + 2 * lanes), q)
                        q_odd = fma(odd, load(recurrent, j + 5 * lanes), q_odd)
                        j += 6 * lanes
                    if hidden % 2:
                        even = broadcast(state, s + hidden - 1)
                        r = fma(even, load(recurrent, j), r)
                        z = fma(even, load(recurrent, j + lanes), z)
                        q = fma(even, load(recurrent, j + 2 * lanes), q)
                    r, z, q = vsigmoid(r + r_odd), vsigmoid(z + z_odd), q + q_odd
                    old = load(state, s + n)
                    candidate = vtanh(fma(r, q, load(projected, p + 2 * units + n)))
                    value = old if held else fma(z, old, (one - z) * candidate)
                    store(state, new + m * units + n, value)
                    store_row(h, row * hidden, n, hidden, value, scratch, 0, lanes)
                    if keep:
                        a = row * 4 * units + n
                        store(kept, a, r)
                        store(kept, a + units, z)
                        store(kept, a + 2 * units, candidate)
                        store(kept, a + 3 * units, q)
            now, new = new, now


@jit(forceinline=True)
def _interleave(weight, gate, hidden, units, out, lanes):
    """The gate's transpose, a vector of units at a time, beside those of the other two gates."""
    for n in range(0, units, lanes):
        for i in range(hidden):
            j = (n * hidden + i * lanes) * 3 + gate * lanes
            for q in range(lanes):
                out[j + q] = weight[gate * hidden + n + q, i] if n + q < hidden else 0


@cache
def backward_work(steps: int, batch: int, inputs: int, hidden: int, dtype) -> int:
    """Numbers of scratch memory that `backward_few` needs."""
    units, columns, block = vectors_of(hidden, dtype), vectors_of(inputs, dtype), min(steps, BLOCK)
    size = 3 * hidden * (units + columns) + units + columns + batch * units
    size += 3 * units * (columns + units) + 4 * units + (block + 1) * batch * 4 * units
    return size + (block * batch + 2) * 4 * units + block * batch * (columns + units) + 64


@jit
def backward_few(
    cotangent, x, h, h0, w_ih, w_hh, mask, kept, dw_ih, dw_hh, db_ih, db_hh, dh0, dx, carried, work,
    reverse, masked, want_dx, want_carried, lanes,
):  # fmt: skip
    """Fill the gradients, and ``dx`` and ``carried`` where they are wanted; see
    `msgpass.kernels.gru.backward`.
    """
    steps, batch, inputs = x.shape
    hidden = w_hh.shape[1]
    units, columns = -(-hidden // lanes) * lanes, -(-inputs // lanes) * lanes
    x, h, h0, dx, carried = x.reshape(-1), h.reshape(-1), h0.reshape(-1), dx.reshape(-1), carried.reshape(-1)
    cotangent, dh0, kept = cotangent.reshape(-1), dh0.reshape(-1), kept.reshape(-1)
    block, wide = min(steps, BLOCK), 4 * units
    work = work[aligned_start(work) :]
    recurrent, work = work[: 3 * hidden * units], work[3 * hidden * units :]
    inward, work = work[: 3 * hidden * columns], work[3 * hidden * columns :]
    scratch, work = work[: units + columns], work[units + columns :]
    held, work = work[: batch * units], work[batch * units :]
    sum_ih, work = work[: 3 * units * columns], work[3 * units * columns :]
    sum_hh, work = work[: 3 * units * units], work[3 * units * units :]
    sum_bias, work = work[:wide], work[wide:]
    size = (block + 1) * batch * wide
    dz, work = work[:size], work[size:]
    groups, panels = work[: (block * batch + 2) * wide], work[(block * batch + 2) * wide :]
    _interleave_rows(w_hh, hidden, hidden, units, recurrent, lanes)
    if want_dx:
        _interleave_rows(w_ih, hidden, inputs, columns, inward, lanes)
    zero = splat_like(load(recurrent, 0), 0.0)
    one = splat_like(zero, 1.0)
    for array in (held, sum_ih, sum_hh, sum_bias, dz):
        for i in range(0, len(array), lanes):
            store(array, i, zero)
    latest = 0  # where dz of the step after this one lies
    for stop in range(steps, 0, -BLOCK):
        start = max(0, stop - BLOCK)
        count = (stop - start) * batch
        low = (steps - stop if reverse else start) * batch  # first row of this block in memory
        # dz of the step after the block waits behind those of the block.
        for i in range(0, batch * wide, lanes):
            store(dz, block * batch * wide + i, load(dz, latest + i))
        latest = block * batch * wide
        for k in range(stop - 1, start - 1, -1):
            t = steps - 1 - k if reverse else k
            for m in range(batch):
                row = t * batch + m
                s, now = m * units, (row - low) * wide
                off = masked and mask[t, m] == 0
                for n in range(0, units, lanes):
                    a = row * wide + n
                    r, z = load(kept, a), load(kept, a + units)
                    candidate, q = load(kept, a + 2 * units), load(kept, a + 3 * units)
                    local = load_row(cotangent, row * hidden, n, hidden, scratch, 0, lanes)
                    if k == 0:
                        before = load_row(h0, m * hidden, n, hidden, scratch, 0, lanes)
                    else:
                        earlier = (row + (batch if reverse else -batch)) * hidden
                        before = load_row(h, earlier, n, hidden, scratch, 0, lanes)
                    slope_z = (before - candidate) * (z * (one - z))
                    slope_n = (one - z) * fma(negative(candidate), candidate, one)
                    slope_r = q * (r * (one - r))
                    heard = _hear(
                        load(held, s + n), dz, latest + m * wide, units, hidden, recurrent, n, lanes
                    )
                    if want_carried:
                        store_row(carried, row * hidden, n, hidden, heard, scratch, 0, lanes)
                    adjoint = heard + local
                    dn = zero if off else adjoint * slope_n
                    store(dz, now + n, dn * slope_r)
                    store(dz, now + units + n, zero if off else adjoint * slope_z)
                    store(dz, now + 2 * units + n, dn * r)
                    store(dz, now + 3 * units + n, dn)
                    store(held, s + n, adjoint if off else adjoint * z)
                if want_dx:
                    for n in range(0, columns, lanes):
                        value = _tell(zero, dz, now, units, hidden, inward, n, lanes)
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
        states_before_to_panels(h0, h, hidden, batch, start == 0, reverse, low, count, states, lanes)
        add_outer_products(groups, group_stride, 2 * units, panels, count, sum_ih, columns, lanes)
        add_outer_products(
            groups[3 * units // 8 * group_stride :], group_stride, units, panels, count,
            sum_ih[2 * units * columns :], columns, lanes,
        )  # fmt: skip
        add_outer_products(groups, group_stride, 3 * units, states, count, sum_hh, units, lanes)
    for m in range(batch):
        for n in range(0, units, lanes):
            value = _hear(
                load(held, m * units + n), dz, latest + m * wide, units, hidden, recurrent, n, lanes
            )
            store_row(dh0, m * hidden, n, hidden, value, scratch, 0, lanes)
    for gate in range(3):
        own = slice(gate * hidden, (gate + 1) * hidden)
        copy_trimmed(sum_ih, gate * units * columns, columns, hidden, inputs, dw_ih[own])
        copy_trimmed(sum_hh, gate * units * units, units, hidden, hidden, dw_hh[own])
        for q in range(hidden):
            db_ih[gate * hidden + q] = sum_bias[(gate if gate < 2 else 3) * units + q]
            db_hh[gate * hidden + q] = sum_bias[gate * units + q]


@jit(forceinline=True)
def _interleave_rows(weight, hidden, columns, padded, out, lanes):
    """Three gates' rows i side by side, a vector of columns at a time."""
    for n in range(0, padded, lanes):
        for gate in range(3):
            for i in range(hidden):
                j = (n * hidden + i * lanes) * 3 + gate * lanes
                for q in range(lanes):
                    out[j + q] = weight[gate * hidden + i, n + q] if n + q < columns else 0


@jit(forceinline=True)
def _hear(total, dz, a, units, hidden, right, n, lanes):
    """``total`` plus the cotangents of r, z and q times one vector of columns of W_hh."""
    return _three(total, dz, a, a + units, a + 2 * units, hidden, right, n, lanes)


@jit(forceinline=True)
def _tell(total, dz, a, units, hidden, right, n, lanes):
    """``total`` plus the cotangents of r, z and n times one vector of columns of W_ih."""
    return _three(total, dz, a, a + units, a + 3 * units, hidden, right, n, lanes)


@jit(forceinline=True)
def _three(total, dz, a, b, c, hidden, right, n, lanes):
    """Three rows times an interleaved factor; the terms go to six sums in turn."""
    u, u_odd = total, splat_like(total, 0.0)
    v, v_odd, w, w_odd = u_odd, u_odd, u_odd, u_odd
    j = n * 3 * hidden
    for i in range(0, hidden - 1, 2):
        u = fma(broadcast(dz, a + i), load(right, j), u)
        v = fma(broadcast(dz, b + i), load(right, j + lanes), v)
        w = fma(broadcast(dz, c + i), load(right, j + 2 * lanes), w)
        u_odd = fma(broadcast(dz, a + i + 1), load(right, j + 3 * lanes), u_odd)
        v_odd = fma(broadcast(dz, b + i + 1), load(right, j + 4 * lanes), v_odd)
        w_odd = fma(broadcast(dz, c + i + 1), load(right, j + 5 * lanes), w_odd)
        j += 6 * lanes
    if hidden % 2:
        u = fma(broadcast(dz, a + hidden - 1), load(right, j), u)
        v = fma(broadcast(dz, b + hidden - 1), load(right, j + lanes), v)
        w = fma(broadcast(dz, c + hidden - 1), load(right, j + 2 * lanes), w)
    return ((u + u_odd) + (v + v_odd)) + (w + w_odd)
