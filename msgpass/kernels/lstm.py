"""Compiled sweeps of long short-term memory, forward and adjoint.

They stand in for the two functions of `msgpass.kernels.lstm_reference`, where the formulas are, and agree
with them to rounding. One compilation serves all sizes of a precision. Weights are packed at each call. A
large batch is cut in two for two threads, at a place that depends on the sizes alone: the bits do not depend
on the processors.
"""

import numpy as np

from msgpass.kernels.few_rows import MOST_ROWS, NOBODY
from msgpass.kernels.lstm_few import backward_few, backward_work, forward_few, forward_work
from msgpass.kernels.lstm_reference import LstmGradients, LstmStates
from msgpass.kernels.lstm_sweep import run_backward, run_forward
from msgpass.kernels.recurrence_layout import GatedLayout, all_contiguous
from msgpass.kernels.runtime import aligned_empty, carve, compiling, recycled_empty, run_pair

FEW = 64
"""Units of a batch of up to three rows whose sweep has loops of its own; larger ones wait for their weights,
which tiles read once for all rows."""

CACHE = 1 << 24
"""Bytes of gates from which on they are written past the cache, as they will not be there when the backward
sweep comes: 5 % of the forward sweep of 1000 steps of 16 rows of 128 units."""

CHUNK_ROWS = 128
"""Rows (steps × batch) whose weight gradients are added up in one product. The time hardly changes between 64
and 256; at 512 units 128 rows took a tenth less than 256, which leave the second cache."""


def forward(
    x: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    bias: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    reverse: bool = False,
    keep: bool = True,
) -> LstmStates:
    """All states of the recurrence.

    Parameters
    ----------
    x : ndarray, shape (T, B, I)
        Inputs; time, batch, features. Its dtype, float32 or float64, is that of the computation.
    w_ih, w_hh, bias : ndarray, shapes (4 H, I), (4 H, H), (4 H,)
        Weights as torch lays them out (i, f, g, o); ``bias`` is the sum of torch's two.
    h0, c0 : ndarray, shape (B, H)
        States before the first step.
    mask : ndarray, shape (T, B), optional
        Where it is 0, a step holds its states.
    reverse : bool
        Run from the last time to the first, as the second direction of a bidirectional layer does. All arrays
        stay in the order of time.
    keep : bool
        Keep the gates, 4 T B H numbers, for `backward`.

    Returns
    -------
    LstmStates

    Raises
    ------
    ShapeError
        If the shapes do not fit together.
    DataError
        For another dtype.

    Examples
    --------
    >>> w = np.zeros((4, 1))
    >>> bias = np.array([0.0, 0.0, np.inf, 0.0])  # g is 1; the other gates are half open
    >>> forward(np.zeros((3, 1, 1)), w, w, bias, np.zeros((1, 1)), np.zeros((1, 1))).c.ravel()
    array([0.5  , 0.75 , 0.875])
    """
    layout = _layout(x, w_ih, w_hh, h0, c0, mask)
    layout.check("bias", bias, (4 * layout.hidden,))
    steps, batch, units, dtype = layout.steps, layout.batch, layout.units, layout.dtype
    if _few(layout):
        return _forward_few(layout, x, w_ih, w_hh, bias, h0, c0, mask, reverse, keep)
    parts = layout.parts()
    used = keep or batch < 8  # a few rows project their inputs into it
    h, c = (recycled_empty((steps, batch, units), dtype) for _ in range(2))
    gates = recycled_empty((steps, batch, 4, units) if used else (0, 0, 4, units), dtype)
    arrays = (
        layout.flat(x),
        layout.packed(w_ih, transposed=True),
        layout.packed(w_hh, transposed=True),
        layout.rows(bias),
        layout.states(h0),
        layout.states(c0),
        np.zeros(0, dtype) if mask is None else layout.flat(mask),
        h.reshape(-1),
        c.reshape(-1),
        gates.reshape(-1),
    )
    sizes = (steps, batch, layout.inputs, layout.hidden, units)
    past_cache = bool(keep) and gates.nbytes > CACHE
    options = (bool(reverse), mask is not None, bool(keep), past_cache, layout.lanes)
    calls = []
    for blocks in parts:
        rows = blocks[0][1] - blocks[0][0]
        stride = units + layout.lanes
        work = carve(dtype, rows * (4 * units + layout.lanes), rows * stride, rows * stride)
        calls.append([(*arrays, *work, *sizes, *block, *options) for block in blocks])
    _run(run_forward, calls)
    hidden = layout.hidden
    return LstmStates(layout.trimmed(h, hidden), layout.trimmed(c, hidden), gates if keep else None)


def backward(
    local_h: np.ndarray | None,
    local_c: np.ndarray | None,
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    gates: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    reverse: bool = False,
    inputs: bool = False,
    carried: bool = False,
) -> LstmGradients:
    """Gradients of a loss of the states, by the adjoint recursion.

    Parameters
    ----------
    local_h, local_c : ndarray, shape (T, B, H), or None
        The parts of ∂L/∂h_t and ∂L/∂c_t that do not come through later steps.
    x, h0, c0, w_ih, w_hh, mask, reverse
        As given to `forward`.
    h, c, gates : ndarray
        What `forward` returned.
    inputs : bool
        Return the gradients of x too.
    carried : bool
        Return what later steps say to each state too, two more arrays as large as ``h``.

    Returns
    -------
    LstmGradients

    Raises
    ------
    ShapeError, DataError
        As `forward` does.
    """
    layout = _layout(x, w_ih, w_hh, h0, c0, mask)
    steps, batch, units, columns, dtype = (
        layout.steps,
        layout.batch,
        layout.units,
        layout.columns,
        layout.dtype,
    )
    shape = steps, batch, layout.hidden
    for name, array in (("h", h), ("c", c), ("local_h", local_h), ("local_c", local_c)):
        if array is not None:
            layout.check(name, array, shape)
    layout.check("gates", gates, (steps, batch, 4, units))
    if _few(layout):
        return _backward_few(
            layout, local_h, local_c, x, h, c, gates, h0, c0, w_ih, w_hh, mask, reverse, inputs, carried
        )
    none = np.zeros(0, dtype)
    dx = recycled_empty((steps, batch, columns) if inputs else (0, 0, columns), dtype)
    heard = recycled_empty((2, steps, batch, units) if carried else (2, 0, 0, units), dtype)
    starts = aligned_empty((2, batch, units), dtype)
    arrays = (
        none if local_h is None else layout.states(local_h),
        none if local_c is None else layout.states(local_c),
        layout.flat(x),
        layout.states(h),
        layout.states(c),
        gates.reshape(-1),
        layout.states(h0),
        layout.states(c0),
        none if mask is None else layout.flat(mask),
        layout.packed(w_ih, transposed=False) if inputs else none,
        layout.packed(w_hh, transposed=False),
        dx.reshape(-1),
        *starts.reshape(2, -1),
        *heard.reshape(2, -1),
    )
    sizes = (steps, batch, layout.inputs, layout.hidden, units, columns)
    options = (bool(reverse), mask is not None, local_h is not None, local_c is not None)
    options = (*options, bool(inputs), bool(carried), layout.lanes)
    calls, sums = [], []
    for blocks in layout.parts():
        rows, stride = blocks[0][1] - blocks[0][0], units + layout.lanes
        chunk = min(steps, max(1, CHUNK_ROWS // rows))
        work = carve(
            dtype,
            rows * (4 * units + layout.lanes),
            rows * stride,
            rows * stride,
            (chunk * rows + 2) * 4 * units,
            chunk * rows * (columns + units),
            max(units, columns),
        )
        sums.append(recycled_empty((columns + units + 1) * 4 * units, dtype))
        calls.append(
            [
                (*arrays, *work, sums[-1], *sizes, *block, chunk, k == 0, *options)
                for k, block in enumerate(blocks)
            ]
        )
    _run(run_backward, calls)
    total = sums[0]
    for other in sums[1:]:
        total += other
    dw_ih = total[: 4 * units * columns].reshape(4 * units, columns)
    dw_hh = total[4 * units * columns : -4 * units].reshape(4 * units, units)
    return LstmGradients(
        w_ih=layout.trimmed_rows(dw_ih, layout.inputs),
        w_hh=layout.trimmed_rows(dw_hh, layout.hidden),
        bias=layout.trimmed(total[-4 * units :].reshape(4, units), layout.hidden).reshape(-1),
        h0=layout.trimmed(starts[0], layout.hidden),
        c0=layout.trimmed(starts[1], layout.hidden),
        x=layout.trimmed(dx, layout.inputs) if inputs else None,
        carried_h=layout.trimmed(heard[0], layout.hidden) if carried else None,
        carried_c=layout.trimmed(heard[1], layout.hidden) if carried else None,
    )


def _few(layout) -> bool:
    return layout.batch <= MOST_ROWS and layout.batch * layout.hidden <= FEW


def _forward_few(layout, x, w_ih, w_hh, bias, h0, c0, mask, reverse, keep) -> LstmStates:
    steps, batch, hidden, dtype = layout.steps, layout.batch, layout.hidden, layout.dtype
    h, c = np.empty((steps, batch, hidden), dtype), np.empty((steps, batch, hidden), dtype)
    gates = np.empty((steps, batch, 4, layout.units), dtype)
    work = np.empty(forward_work(batch, layout.inputs, hidden, dtype), dtype)
    arrays = all_contiguous(dtype, x, w_ih, w_hh, bias, h0, c0, NOBODY[dtype] if mask is None else mask)
    with compiling("the LSTM sweep", forward_few, backward_few):
        forward_few(*arrays, h, c, gates, work, bool(reverse), mask is not None, layout.lanes)
    return LstmStates(h, c, gates if keep else None)


def _backward_few(
    layout, local_h, local_c, x, h, c, gates, h0, c0, w_ih, w_hh, mask, reverse, inputs, carried
) -> LstmGradients:
    shape, dtype = (layout.steps, layout.batch, layout.hidden), layout.dtype
    none = NOBODY[dtype]
    found = LstmGradients(
        np.empty(w_ih.shape, dtype),
        np.empty(w_hh.shape, dtype),
        np.empty(len(w_hh), dtype),
        np.empty(h0.shape, dtype),
        np.empty(c0.shape, dtype),
        np.empty(x.shape, dtype) if inputs else None,
        np.empty(shape, dtype) if carried else None,
        np.empty(shape, dtype) if carried else None,
    )
    work = np.empty(backward_work(layout.steps, layout.batch, layout.inputs, layout.hidden, dtype), dtype)
    given = (h if local_h is None else local_h, h if local_c is None else local_c)  # one type of arrays
    arrays = all_contiguous(dtype, *given, x, h, c, gates, h0, c0, w_ih, w_hh, none if mask is None else mask)
    results = found[:5]
    results += (found.x if inputs else none[None], *(found[6:] if carried else (none[None], none[None])))
    options = (bool(reverse), mask is not None, local_h is not None, local_c is not None, bool(inputs))
    with compiling("the LSTM sweep", forward_few, backward_few):
        backward_few(*arrays, *results, work, *options, bool(carried), layout.lanes)
    return found


def _layout(x, w_ih, w_hh, h0, c0, mask) -> GatedLayout:
    layout = GatedLayout(x, w_ih, w_hh, 4)
    layout.check("h0", h0, (layout.batch, layout.hidden))
    layout.check("c0", c0, (layout.batch, layout.hidden))
    if mask is not None:
        layout.check("mask", mask, (layout.steps, layout.batch))
    return layout


def _run(kernel, calls):
    """The calls of one thread here, or those of two at the same time."""
    with compiling("the LSTM sweep", run_forward, run_backward):
        if len(calls) == 1:
            _run_all(kernel, calls[0])
        else:
            run_pair(_run_all, (kernel, calls[0]), _run_all, (kernel, calls[1]))


def _run_all(kernel, calls):
    for arguments in calls:
        kernel(*arguments)
