"""Compiled sweeps of the Elman recurrence h_t = act(W_ih x_t + b + W_hh h_{t−1}), forward and adjoint.

They stand in for the two functions of `msgpass.kernels.elman_reference`, where the formulas are, and agree
with them to rounding. One compilation serves all sizes of a precision. Weights are packed at each call. A
large batch is cut in two for two threads, at a place that depends on the sizes alone: the bits do not depend
on the processors. A batch of up to three rows has loops of its own.
"""

from functools import lru_cache

import numpy as np

from msgpass.errors import DataError
from msgpass.kernels.elman_few import backward_few, backward_work, forward_few, forward_work
from msgpass.kernels.elman_reference import ACTIVATIONS, ElmanGradients
from msgpass.kernels.elman_sweep import run_backward, run_forward
from msgpass.kernels.few_rows import MOST_ROWS, NOBODY
from msgpass.kernels.recurrence_layout import GatedLayout, all_contiguous
from msgpass.kernels.runtime import aligned_empty, aligned_zeros, carve, compiling, recycled_empty, run_pair

NAME = "the Elman sweep"

CHUNK_ROWS = 256
"""Rows (steps × batch) whose weight gradients are added up in one product. More rows mean fewer passes over
the gradients, fewer rows stay in cache; between 128 and 384 the time hardly changes."""


def forward(
    x: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    bias: np.ndarray,
    h0: np.ndarray,
    activation: str = "tanh",
    mask: np.ndarray | None = None,
    *,
    reverse: bool = False,
) -> np.ndarray:
    """All states of the recurrence.

    Parameters
    ----------
    x : ndarray, shape (T, B, I)
        Inputs; time, batch, features. Its dtype, float32 or float64, is that of the computation.
    w_ih, w_hh, bias : ndarray, shapes (H, I), (H, H), (H,)
        Weights as torch lays them out; ``bias`` is the sum of torch's two.
    h0 : ndarray, shape (B, H)
        State before the first step.
    activation : {"tanh", "relu"}
    mask : ndarray, shape (T, B), optional
        Where it is 0 the state is held.
    reverse : bool
        Run from the last time to the first, as the second direction of a bidirectional layer does: h_t then
        follows from h_{t+1}. All arrays stay in the order of time. (Reversed views would be copied.)

    Returns
    -------
    ndarray, shape (T, B, H)

    Raises
    ------
    ShapeError
        If the shapes do not fit together.
    DataError
        For another dtype or activation.

    Examples
    --------
    >>> w = np.ones((1, 1))
    >>> forward(np.ones((3, 1, 1)), w, w, np.zeros(1), np.zeros((1, 1)), "relu").ravel()
    array([1., 2., 3.])
    """
    if x.ndim == 3 and x.shape[1] <= MOST_ROWS:
        return _forward_few(x, w_ih, w_hh, bias, h0, activation, mask, reverse)
    layout = _layout(x, w_ih, w_hh, h0, activation, mask)
    layout.check("bias", bias, (layout.hidden,))
    steps, batch, units, hidden, dtype = (
        layout.steps, layout.batch, layout.units, layout.hidden, layout.dtype,
    )  # fmt: skip
    h = recycled_empty((steps, batch, units), dtype)
    arrays = (
        layout.flat(x),
        layout.packed(w_ih, transposed=True),
        layout.packed(w_hh, transposed=True),
        layout.states(bias),
        layout.states(h0),
        np.empty(0, dtype) if mask is None else layout.flat(mask),
        h.reshape(-1),
    )
    sizes = (steps, batch, layout.inputs, hidden, units)
    options = (bool(reverse), activation == "tanh", mask is not None, layout.lanes)
    calls = []
    for blocks in layout.parts():
        rows = blocks[0][1] - blocks[0][0]
        size = rows * (units + layout.lanes)
        z, state = carve(dtype, size, size)
        calls.append([(*arrays, z, state, *sizes, *block, *options) for block in blocks])
    _run(run_forward, calls)
    return layout.trimmed(h, hidden)


def backward(
    cotangent: np.ndarray,
    x: np.ndarray,
    h: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    activation: str = "tanh",
    mask: np.ndarray | None = None,
    *,
    want_inputs: bool = False,
    want_carried: bool = False,
    reverse: bool = False,
) -> ElmanGradients:
    """Gradients of a loss of the states, by the adjoint recursion.

    Parameters
    ----------
    cotangent : ndarray, shape (T, B, H)
        The part of ∂L/∂h_t that does not come through later steps.
    x, h0, w_ih, w_hh, activation, mask, reverse
        As given to `forward`.
    h : ndarray, shape (T, B, H)
        What `forward` returned.
    want_inputs, want_carried : bool
        Return ∂L/∂x_t, and what each step hears from later ones.

    Returns
    -------
    ElmanGradients

    Raises
    ------
    ShapeError, DataError
        As `forward` does.
    """
    if x.ndim == 3 and x.shape[1] <= MOST_ROWS:
        return _backward_few(
            cotangent, x, h, h0, w_ih, w_hh, activation, mask, reverse, want_inputs, want_carried
        )
    layout = _layout(x, w_ih, w_hh, h0, activation, mask)
    steps, batch, hidden, dtype = layout.steps, layout.batch, layout.hidden, layout.dtype
    layout.check("cotangent", cotangent, (steps, batch, hidden))
    layout.check("h", h, (steps, batch, hidden))
    units, columns = layout.units, layout.columns
    none = np.empty(0, dtype)
    dx = recycled_empty((steps, batch, columns) if want_inputs else (0, 0, columns), dtype)
    carried = recycled_empty((steps, batch, units) if want_carried else (0, 0, units), dtype)
    dh0 = aligned_empty((batch, units), dtype)
    arrays = (
        layout.states(cotangent),
        layout.flat(x),
        layout.states(h),
        layout.states(h0),
        none if mask is None else layout.flat(mask),
        layout.packed(w_ih, transposed=False) if want_inputs else none,
        layout.packed(w_hh, transposed=False),
        aligned_zeros(max(units, columns), dtype),
        dx.reshape(-1),
        carried.reshape(-1),
        dh0.reshape(-1),
    )
    sizes = (steps, batch, layout.inputs, hidden, units, columns)
    options = (
        bool(reverse), activation == "tanh", mask is not None, bool(want_inputs), bool(want_carried),
        layout.lanes,
    )  # fmt: skip
    calls, sums = [], []
    for blocks in layout.parts():
        rows = blocks[0][1] - blocks[0][0]
        chunk = min(steps, max(1, CHUNK_ROWS // rows))
        size = rows * (units + layout.lanes)
        work = carve(
            dtype, size, size, (chunk * rows + 2) * units, chunk * rows * (columns + units),
            (columns + units + 1) * units,
        )  # fmt: skip
        work[-1].fill(0)
        sums.append(work[-1])
        calls.append([(*arrays, *work, *sizes, *block, chunk, *options) for block in blocks])
    _run(run_backward, calls)
    total = sums[0]
    for other in sums[1:]:
        total += other
    dw_ih = total[: units * columns].reshape(units, columns)
    dw_hh = total[units * columns : -units].reshape(units, units)
    return ElmanGradients(
        w_ih=layout.trimmed_rows(dw_ih, layout.inputs),
        w_hh=layout.trimmed_rows(dw_hh, hidden),
        bias=layout.trimmed(total[-units:], hidden),
        h0=layout.trimmed(dh0, hidden),
        inputs=layout.trimmed(dx, layout.inputs) if want_inputs else None,
        carried=layout.trimmed(carried, hidden) if want_carried else None,
    )


def _layout(x, w_ih, w_hh, h0, activation, mask) -> GatedLayout:
    """Checked sizes."""
    if activation not in ACTIVATIONS:
        raise DataError(
            f"activation {activation!r} has no compiled sweep; choose one of {sorted(ACTIVATIONS)}"
        )
    layout = GatedLayout(x, w_ih, w_hh, 1)
    layout.check("h0", h0, (layout.batch, layout.hidden))
    if mask is not None:
        layout.check("mask", mask, (layout.steps, layout.batch))
    return layout


def _forward_few(x, w_ih, w_hh, bias, h0, activation, mask, reverse) -> np.ndarray:
    """`forward` for up to `MOST_ROWS` rows."""
    dtype = x.dtype
    lanes, size, _ = few_sizes(
        x.shape, w_ih.shape, w_hh.shape, h0.shape, dtype, activation, None if mask is None else mask.shape
    )
    if bias.shape != w_hh.shape[:1]:
        _layout(x, w_ih, w_hh, h0, activation, mask).check("bias", bias, w_hh.shape[:1])
    h = np.empty((*x.shape[:2], len(w_hh)), dtype)
    arrays = all_contiguous(dtype, x, w_ih, w_hh, bias, h0, NOBODY[dtype] if mask is None else mask)
    with compiling(NAME, forward_few, backward_few):
        forward_few(
            *arrays, h, np.empty(size, dtype), bool(reverse), activation == "tanh", mask is not None, lanes
        )
    return h


def _backward_few(
    cotangent, x, h, h0, w_ih, w_hh, activation, mask, reverse, want_inputs, want_carried
) -> ElmanGradients:  # fmt: skip
    """`backward` for up to `MOST_ROWS` rows."""
    (steps, batch, inputs), hidden, dtype = x.shape, len(w_hh), x.dtype
    lanes, _, size = few_sizes(
        x.shape, w_ih.shape, w_hh.shape, h0.shape, dtype, activation, None if mask is None else mask.shape
    )
    shape = steps, batch, hidden
    if cotangent.shape != shape or h.shape != shape:
        layout = _layout(x, w_ih, w_hh, h0, activation, mask)
        layout.check("cotangent", cotangent, shape)
        layout.check("h", h, shape)
    nobody = NOBODY[dtype]
    arrays = all_contiguous(dtype, cotangent, x, h, h0, w_ih, w_hh, nobody if mask is None else mask)
    weights = np.empty((hidden, inputs), dtype), np.empty((hidden, hidden), dtype), np.empty(hidden, dtype)
    dh0 = np.empty((batch, hidden), dtype)
    dx = np.empty((steps, batch, inputs), dtype) if want_inputs else nobody[None]
    carried = np.empty(shape, dtype) if want_carried else nobody[None]
    backward_few(
        *arrays, *weights, dh0, dx, carried, np.empty(size, dtype),
        bool(reverse), activation == "tanh", mask is not None, bool(want_inputs), bool(want_carried), lanes,
    )  # fmt: skip
    return ElmanGradients(*weights, dh0, dx if want_inputs else None, carried if want_carried else None)


@lru_cache(64)
def few_sizes(x, w_ih, w_hh, h0, dtype, activation, mask) -> tuple[int, int, int]:
    """Lanes and scratch memory of a few rows, of shapes that fit; a small net asks again and again."""
    arrays = (np.broadcast_to(np.zeros((), dtype), shape) for shape in (x, w_ih, w_hh, h0))
    layout = _layout(*arrays, activation, None if mask is None else np.broadcast_to(0.0, mask))
    sizes = layout.steps, layout.batch, layout.inputs, layout.hidden, dtype
    return layout.lanes, forward_work(*sizes), backward_work(*sizes)


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
