"""Compiled sweeps of the gated recurrent unit, forward and adjoint.

They stand in for the two functions of `msgpass.kernels.gru_reference`, where the formulas are, and agree with
them to rounding. One compilation serves all sizes of a precision. Weights are packed at each call. A large
batch is cut in two for two threads, at a place that depends on the sizes alone: the bits do not depend on the
processors. A batch of up to three rows has loops of its own.
"""

import numpy as np

from msgpass.kernels.few_rows import MOST_ROWS, NOBODY
from msgpass.kernels.gru_few import backward_few, backward_work, forward_few, forward_work
from msgpass.kernels.gru_reference import GruGradients
from msgpass.kernels.gru_sweep import run_backward, run_forward
from msgpass.kernels.product import pack
from msgpass.kernels.recurrence_layout import GatedLayout, all_contiguous
from msgpass.kernels.runtime import aligned_empty, aligned_zeros, carve, compiling, recycled_empty, run_pair

NAME = "the GRU sweep"

CHUNK_ROWS = 256
"""Rows (steps × batch) whose weight gradients are added up in one product."""


def forward(
    x: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
    h0: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    reverse: bool = False,
    keep: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """All states of the recurrence.

    Parameters
    ----------
    x : ndarray, shape (T, B, I)
        Inputs; time, batch, features. Its dtype, float32 or float64, is that of the computation.
    w_ih, w_hh, b_ih, b_hh : ndarray, shapes (3 H, I), (3 H, H), (3 H,), (3 H,)
        Weights as torch lays them out: r, z, n.
    h0 : ndarray, shape (B, H)
        State before the first step.
    mask : ndarray, shape (T, B), optional
        Where it is 0 the state is held.
    reverse : bool
        Run from the last time to the first; all arrays stay in the order of time.
    keep : bool
        Return what `backward` needs, four arrays as large as the states.

    Returns
    -------
    h : ndarray, shape (T, B, H)
    kept : ndarray or None
        The gates, for `backward`.

    Raises
    ------
    ShapeError
        If the shapes do not fit together.
    DataError
        For another dtype.

    Examples
    --------
    >>> w, b = np.zeros((3, 1)), np.zeros(3)
    >>> h, _ = forward(np.ones((2, 1, 1)), w, w, b, b, np.ones((1, 1)))
    >>> h.ravel()  # a gate that is half open, and nothing new
    array([0.5 , 0.25])
    """
    layout = _layout(x, w_ih, w_hh, b_ih, b_hh, h0, mask)
    steps, batch, units, lanes, dtype = (
        layout.steps, layout.batch, layout.units, layout.lanes, layout.dtype,
    )  # fmt: skip
    if batch <= MOST_ROWS:
        h = np.empty((steps, batch, layout.hidden), dtype)
        kept = np.empty((steps, batch, 4, units), dtype) if keep else NOBODY[dtype]
        arrays = all_contiguous(dtype, x, w_ih, w_hh, b_ih, b_hh, h0, NOBODY[dtype] if mask is None else mask)
        work = np.empty(forward_work(steps, batch, layout.inputs, layout.hidden, dtype), dtype)
        with compiling(NAME, forward_few, backward_few):
            forward_few(
                *arrays, h, kept.reshape(-1), work, bool(reverse), mask is not None, bool(keep), lanes
            )
        return h, kept if keep else None
    h = recycled_empty((steps, batch, units), dtype)
    kept = recycled_empty((steps, batch, 4, units) if keep else (0, 0, 4, units), dtype)
    arrays = (
        layout.flat(x),
        _packed(layout, w_ih, (1, 1, 1), transposed=True),
        _packed(layout, w_hh, (1, 1, 1), transposed=True),
        _biases(layout, b_ih, b_hh),
        layout.states(h0),
        np.zeros(0, dtype) if mask is None else layout.flat(mask),
        h.reshape(-1),
        kept.reshape(-1),
    )
    sizes = (steps, batch, layout.inputs, layout.hidden, units)
    options = (bool(reverse), mask is not None, bool(keep), lanes)
    calls = []
    for blocks in layout.parts():
        rows = blocks[0][1] - blocks[0][0]
        z, state = carve(dtype, rows * 9 * lanes, 2 * rows * (units + lanes))
        calls.append([(*arrays, z, state, *sizes, *block, *options) for block in blocks])
    _run(run_forward, calls)
    return layout.trimmed(h, layout.hidden), kept if keep else None


def backward(
    cotangent: np.ndarray,
    x: np.ndarray,
    h: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
    kept: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    reverse: bool = False,
    want_inputs: bool = False,
    want_carried: bool = False,
) -> GruGradients:
    """Gradients of a loss of the states, by the adjoint recursion.

    Parameters
    ----------
    cotangent : ndarray, shape (T, B, H)
        The part of ∂L/∂h_t that does not come through later steps.
    x, h0, w_ih, w_hh, b_ih, b_hh, mask, reverse
        As given to `forward`.
    h, kept
        What `forward` returned with ``keep``.
    want_inputs, want_carried : bool
        Return ∂L/∂x_t, and what each step hears from later ones.

    Returns
    -------
    GruGradients

    Raises
    ------
    ShapeError, DataError
        As `forward` does.
    """
    layout = _layout(x, w_ih, w_hh, b_ih, b_hh, h0, mask)
    layout.check("cotangent", cotangent, (layout.steps, layout.batch, layout.hidden))
    layout.check("h", h, (layout.steps, layout.batch, layout.hidden))
    layout.check("kept", kept, (layout.steps, layout.batch, 4, layout.units))
    steps, batch, hidden, units = layout.steps, layout.batch, layout.hidden, layout.units
    dtype, columns, lanes = layout.dtype, layout.columns, layout.lanes
    if batch <= MOST_ROWS:
        return _backward_few(
            layout, cotangent, x, h, h0, w_ih, w_hh, kept, mask, reverse, want_inputs, want_carried
        )
    none = np.zeros(0, dtype)
    dx = recycled_empty((steps, batch, columns) if want_inputs else (0, 0, columns), dtype)
    carried = recycled_empty((steps, batch, units) if want_carried else (0, 0, units), dtype)
    dh0 = aligned_empty((batch, units), dtype)
    arrays = (
        layout.states(cotangent),
        layout.flat(x),
        layout.states(h),
        layout.states(h0),
        none if mask is None else layout.flat(mask),
        kept.reshape(-1),
        _packed(layout, w_ih, (2, 1), transposed=False) if want_inputs else none,
        _packed(layout, w_hh, (3,), transposed=False),
        aligned_zeros(columns, dtype),
        dx.reshape(-1),
        carried.reshape(-1),
        dh0.reshape(-1),
    )
    sizes = (steps, batch, layout.inputs, hidden, units, columns)
    options = (bool(reverse), mask is not None, bool(want_inputs), bool(want_carried), lanes)
    calls, sums = [], []
    for blocks in layout.parts():
        rows = blocks[0][1] - blocks[0][0]
        chunk = min(steps, max(1, CHUNK_ROWS // rows))
        work = carve(
            dtype, rows * (4 * units + lanes), rows * (units + lanes), (chunk * rows + 2) * 4 * units,
            chunk * rows * (columns + units), 3 * units * (columns + units) + 4 * units,
        )  # fmt: skip
        work[-1].fill(0)
        sums.append(work[-1])
        calls.append([(*arrays, *work, *sizes, *block, chunk, *options) for block in blocks])
    _run(run_backward, calls)
    total = sums[0]
    for other in sums[1:]:
        total += other
    dw_ih = total[: 3 * units * columns].reshape(3 * units, columns)
    dw_hh = total[3 * units * columns : -4 * units].reshape(3 * units, units)
    r, z, q, n = total[-4 * units :].reshape(4, units)[:, :hidden]
    return GruGradients(
        w_ih=layout.trimmed_rows(dw_ih, layout.inputs),
        w_hh=layout.trimmed_rows(dw_hh, hidden),
        b_ih=np.concatenate([r, z, n]),
        b_hh=np.concatenate([r, z, q]),
        h0=layout.trimmed(dh0, hidden),
        inputs=layout.trimmed(dx, layout.inputs) if want_inputs else None,
        carried=layout.trimmed(carried, hidden) if want_carried else None,
    )


def _layout(x, w_ih, w_hh, b_ih, b_hh, h0, mask) -> GatedLayout:
    """Checked sizes."""
    layout = GatedLayout(x, w_ih, w_hh, 3)
    layout.check("b_ih", b_ih, (3 * layout.hidden,))
    layout.check("b_hh", b_hh, (3 * layout.hidden,))
    layout.check("h0", h0, (layout.batch, layout.hidden))
    if mask is not None:
        layout.check("mask", mask, (layout.steps, layout.batch))
    return layout


def _packed(layout: GatedLayout, weight: np.ndarray, groups: tuple[int, ...], transposed: bool) -> np.ndarray:
    """Right factors of products, one for each group of gates, one after the other."""
    rows = layout.rows(weight)
    padded = rows.shape[1] if transposed else -(-rows.shape[1] // layout.lanes) * layout.lanes
    out = aligned_empty(len(rows) * padded, layout.dtype)
    start = 0
    for gates in groups:
        end = start + gates * layout.units
        pack(rows[start:end], transposed, layout.lanes, out[start * padded : end * padded])
        start = end
    return out


def _backward_few(
    layout, cotangent, x, h, h0, w_ih, w_hh, kept, mask, reverse, want_inputs, want_carried
) -> GruGradients:  # fmt: skip
    """`backward` for up to `MOST_ROWS` rows."""
    steps, batch, hidden, inputs, dtype = (
        layout.steps,
        layout.batch,
        layout.hidden,
        layout.inputs,
        layout.dtype,
    )
    nobody, rows = NOBODY[dtype], 3 * hidden
    arrays = all_contiguous(dtype, cotangent, x, h, h0, w_ih, w_hh, nobody if mask is None else mask)
    weights = np.empty((rows, inputs), dtype), np.empty((rows, hidden), dtype)
    found = (*weights, np.empty(rows, dtype), np.empty(rows, dtype), np.empty((batch, hidden), dtype))
    dx = np.empty((steps, batch, inputs), dtype) if want_inputs else nobody[None]
    carried = np.empty((steps, batch, hidden), dtype) if want_carried else nobody[None]
    backward_few(
        *arrays, kept.reshape(-1), *found, dx, carried,
        np.empty(backward_work(steps, batch, inputs, hidden, dtype), dtype),
        bool(reverse), mask is not None, bool(want_inputs), bool(want_carried), layout.lanes,
    )  # fmt: skip
    return GruGradients(*found, dx if want_inputs else None, carried if want_carried else None)


def _run(kernel, calls):
    """The calls of one thread here, or those of two at the same time."""
    with compiling(NAME, run_forward, run_backward):
        if len(calls) == 1:
            _run_all(kernel, calls[0])
        else:
            run_pair(_run_all, (kernel, calls[0]), _run_all, (kernel, calls[1]))


def _run_all(kernel, calls):
    for arguments in calls:
        kernel(*arguments)


def _biases(layout: GatedLayout, b_ih, b_hh) -> np.ndarray:
    """Those of r, of z and of both halves of n, each padded to whole vectors."""
    out = aligned_zeros((4, layout.units), layout.dtype)
    inward, recurrent = b_ih.reshape(3, -1), b_hh.reshape(3, -1)
    out[:2, : layout.hidden] = inward[:2] + recurrent[:2]
    out[2, : layout.hidden], out[3, : layout.hidden] = inward[2], recurrent[2]
    return out.reshape(-1)
