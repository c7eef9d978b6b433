"""The loops of the compiled GRU sweep for a range of the batch, as `msgpass.kernels.gru` calls them.

Arrays are flat. Rows of states are ``units`` long, the hidden units rounded up to whole vectors; what is
added stays zero. Units are taken a panel of two vectors at a time: the four pre-activations of a panel (r, z,
n's two halves) are products of all rows with packed weights, x and h in one inner loop where they add up, and
go through the gates while they are in the first cache. Scratch rows are one vector longer, as rows a power of
two apart would share a few sets of the cache.
"""

from msgpass.kernels.product import Rows, Term, add_outer_products, product
from msgpass.kernels.recurrent_rows import copy_rows, to_groups, to_panels
from msgpass.kernels.runtime import lean_jit as jit
from msgpass.kernels.simd import broadcast, fma, load, negative, select, splat_like, store, vsigmoid, vtanh


@jit
def run_forward(
    x, w_ih, w_hh, bias, h0, mask, h, kept, z, state,
    steps, batch, inputs, hidden, units, begin, end, reverse, masked, keep, lanes,
):  # fmt: skip
    """Fill rows ``begin:end`` of the batch in ``h``, and with ``keep`` the gates (r, z, n, q) in ``kept``.

    ``w_ih`` and ``w_hh`` are packed transposes, one gate after the other; ``bias`` is that of r, of z and of
    n's two halves. ``state`` has room for two states, as the old one is read until the last panel.
    """
    rows, stride, width = end - begin, units + lanes, 2 * lanes
    z_stride = 9 * lanes
    now, new = 0, rows * stride
    copy_rows(h0, begin * units, units, state, now, stride, rows, units, lanes)
    for k in range(steps):
        row = (steps - 1 - k if reverse else k) * batch + begin
        for n in range(0, units, width):
            columns = min(width, units - n)
            for gate in range(2):
                place = gate * units + n
                product(
                    Rows(bias, place, 0),
                    Term(x, row * inputs, inputs, inputs, w_ih[place * inputs :]),
                    Term(state, now, stride, hidden, w_hh[place * hidden :]),
                    Rows(z, gate * width, z_stride),
                    rows, columns, lanes,
                )  # fmt: skip
            place = 2 * units + n
            product(
                Rows(bias, place, 0),
                Term(x, row * inputs, inputs, inputs, w_ih[place * inputs :]),
                Term(x, 0, 0, 0, w_ih),
                Rows(z, 2 * width, z_stride),
                rows, columns, lanes,
            )  # fmt: skip
            product(
                Rows(bias, place + units, 0),
                Term(state, now, stride, hidden, w_hh[place * hidden :]),
                Term(x, 0, 0, 0, w_ih),
                Rows(z, 3 * width, z_stride),
                rows, columns, lanes,
            )  # fmt: skip
            for m in range(rows):
                for v in range(0, columns, lanes):
                    i = m * z_stride + v
                    r = vsigmoid(load(z, i))
                    u = vsigmoid(load(z, i + width))
                    q = load(z, i + 3 * width)
                    candidate = vtanh(fma(r, q, load(z, i + 2 * width)))
                    old = load(state, now + m * stride + n + v)
                    # Not n + z (h − n): a shut gate shall hold its state to the last bit.
                    value = fma(u, old, (splat_like(u, 1.0) - u) * candidate)
                    if masked:
                        on = broadcast(mask, row + m) > splat_like(value, 0.0)
                        value = select(on, value, old)
                    store(state, new + m * stride + n + v, value)
                    store(h, (row + m) * units + n + v, value)
                    if keep:
                        j = (row + m) * 4 * units + n + v
                        store(kept, j, r)
                        store(kept, j + units, u)
                        store(kept, j + 2 * units, candidate)
                        store(kept, j + 3 * units, q)
        now, new = new, now


@jit
def run_backward(
    cotangent, x, h, h0, mask, kept, w_ih, w_hh, zeros, dx, carried, dh0,
    recent, held, groups, panels, gradients,
    steps, batch, inputs, hidden, units, columns, begin, end, chunk,
    reverse, masked, want_dx, want_carried, lanes,
):  # fmt: skip
    """Go against the recurrence for rows ``begin:end`` of the batch.

    ``w_hh`` is packed as it is, 3 ``units`` rows, and so are r and z of ``w_ih``, and n behind them.
    ``recent`` holds the cotangents of r, z, q and n of the present step, side by side, ``held`` what the
    state before hears without a weight. The weight gradients of ``chunk`` steps wait in ``groups`` and
    ``panels`` until they are one product with a long inner index. ``gradients`` is that of ``w_ih``, of
    ``w_hh`` and of the biases (r, z, q, n), one after the other.
    """
    rows, stride, wide = end - begin, units + lanes, 4 * units + lanes
    none = Term(recent, 0, 0, 0, w_hh)
    later = Term(recent, 0, wide, 3 * units, w_hh)
    dw_ih = gradients[: 3 * units * columns]
    dw_hh = gradients[3 * units * columns : 3 * units * (columns + units)]
    dbias = gradients[3 * units * (columns + units) :]
    held[:] = 0
    stop = steps
    while stop > 0:
        start = max(0, stop - chunk)
        count = (stop - start) * rows
        states = panels[columns * count :]
        group_stride = 8 * count + 16
        for k in range(stop - 1, start - 1, -1):
            t = steps - 1 - k if reverse else k
            row = t * batch + begin
            p = (k - start) * rows
            if k < steps - 1:
                product(Rows(held, 0, stride), later, none, Rows(held, 0, stride), rows, units, lanes)
            if want_carried:
                copy_rows(held, 0, stride, carried, row * units, units, rows, units, lanes)
            before = h0[begin * units :] if k == 0 else h[(row + (batch if reverse else -batch)) * units :]
            _differentiate(
                cotangent, before, mask, kept, row, recent, held, dbias, rows, units, stride, wide, masked,
                lanes,
            )  # fmt: skip
            to_groups(recent, 0, wide, rows, 4 * units, groups, 8 * p, group_stride, lanes)
            if want_dx:
                product(
                    Rows(zeros, 0, 0),
                    Term(recent, 0, wide, 2 * units, w_ih),
                    Term(recent, 3 * units, wide, units, w_ih[2 * units * columns :]),
                    Rows(dx, row * columns, columns),
                    rows, columns, lanes,
                )  # fmt: skip
            to_panels(x, row * inputs, rows, inputs, panels, p, count, lanes)
            to_panels(before, 0, rows, units, states, p, count, lanes)
        half = 2 * units
        add_outer_products(groups, group_stride, half, panels, count, dw_ih, columns, lanes)
        add_outer_products(
            groups[3 * units // 8 * group_stride :], group_stride, units, panels, count,
            dw_ih[half * columns :], columns, lanes,
        )  # fmt: skip
        add_outer_products(groups, group_stride, 3 * units, states, count, dw_hh, units, lanes)
        stop = start
    product(Rows(held, 0, stride), later, none, Rows(dh0, begin * units, units), rows, units, lanes)


@jit(forceinline=True)
def _differentiate(
    cotangent, before, mask, kept, row, recent, held, dbias, rows, units, stride, wide, masked, lanes
):  # fmt: skip
    """From what later steps say, in ``held``, to the cotangents of r, z, q, n and what is held on."""
    for n in range(0, units, lanes):
        dr_sum, dz_sum = load(dbias, n), load(dbias, n + units)
        dq_sum, dn_sum = load(dbias, n + 2 * units), load(dbias, n + 3 * units)
        one = splat_like(dr_sum, 1.0)
        for m in range(rows):
            i, j, p = m * wide + n, m * stride + n, (row + m) * 4 * units + n
            r, z = load(kept, p), load(kept, p + units)
            candidate, q = load(kept, p + 2 * units), load(kept, p + 3 * units)
            adjoint = load(cotangent, (row + m) * units + n) + load(held, j)
            dz = adjoint * (load(before, m * units + n) - candidate) * (z * (one - z))
            dn = adjoint * (one - z) * fma(negative(candidate), candidate, one)
            back = adjoint * z
            if masked:
                on = broadcast(mask, row + m) > splat_like(one, 0.0)
                dz = select(on, dz, splat_like(one, 0.0))
                dn = select(on, dn, splat_like(one, 0.0))
                back = select(on, back, adjoint)
            dq, dr = dn * r, dn * q * (r * (one - r))
            store(recent, i, dr)
            store(recent, i + units, dz)
            store(recent, i + 2 * units, dq)
            store(recent, i + 3 * units, dn)
            store(held, j, back)
            dr_sum, dz_sum = dr_sum + dr, dz_sum + dz
            dq_sum, dn_sum = dq_sum + dq, dn_sum + dn
        store(dbias, n, dr_sum)
        store(dbias, n + units, dz_sum)
        store(dbias, n + 2 * units, dq_sum)
        store(dbias, n + 3 * units, dn_sum)
