"""Compiled sweeps of the Elman recurrence h_t = act(W_ih x_t + b + W_hh h_{t−1}), forward and adjoint.

They stand in for the two functions of `msgpass.kernels.elman_reference`, where the formulas are, and agree
with them to rounding. One compilation serves all sizes of a precision. Weights are packed at each call. A
large batch is cut in two for two threads, at a place that depends on the sizes alone: the bits do not depend
on the processors.
"""

import numpy as np

from msgpass.kernels.elman_layout import Layout
from msgpass.kernels.elman_reference import ElmanGradients
from msgpass.kernels.elman_sweep import run_backward, run_forward
from msgpass.kernels.runtime import aligned_empty, aligned_zeros, compiling, run_pair

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
    layout = Layout(x, w_ih, w_hh, h0, activation)
    layout.check("bias", bias, (layout.hidden,))
    h = aligned_empty((layout.steps, layout.batch, layout.units), layout.dtype)
    arrays = (
        layout.contiguous(x).reshape(-1),
        layout.packed(w_ih, transposed=True),
        layout.packed(w_hh, transposed=True),
        layout.padded_states(bias),
        layout.padded_states(h0),
        h.reshape(-1),
    )
    sizes = (layout.steps, layout.batch, layout.inputs, layout.hidden, layout.units)
    options = (bool(reverse), activation == "tanh", layout.lanes)
    calls = []
    for blocks in layout.parts():
        rows = blocks[0][1] - blocks[0][0]
        z, state = aligned_empty((2, rows * (layout.units + layout.lanes)), layout.dtype)
        calls.append([(*arrays, z, state, *sizes, *block, *options) for block in blocks])
    _run(run_forward, calls)
    return layout.trimmed(h)


def backward(
    cotangent: np.ndarray,
    x: np.ndarray,
    h: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    activation: str = "tanh",
    want_dz: bool = False,
    *,
    reverse: bool = False,
) -> ElmanGradients:
    """Gradients of a loss of the states, by the adjoint recursion.

    Parameters
    ----------
    cotangent : ndarray, shape (T, B, H)
        The part of ∂L/∂h_t that does not come through later steps.
    x, h0, w_ih, w_hh, activation, reverse
        As given to `forward`.
    h : ndarray, shape (T, B, H)
        What `forward` returned.
    want_dz : bool
        Return dz = ∂L/∂z too, one more array as large as ``h``; the sweep itself keeps `CHUNK_ROWS` rows of
        it.

    Returns
    -------
    ElmanGradients

    Raises
    ------
    ShapeError, DataError
        As `forward` does.
    """
    layout = Layout(x, w_ih, w_hh, h0, activation)
    layout.check("cotangent", cotangent, (layout.steps, layout.batch, layout.hidden))
    layout.check("h", h, (layout.steps, layout.batch, layout.hidden))
    dtype, units, columns = layout.dtype, layout.units, layout.columns
    dz = aligned_empty((layout.steps, layout.batch, units) if want_dz else (0, 0, units), dtype)
    dh0 = aligned_empty((layout.batch, units), dtype)
    zeros = aligned_zeros(units, dtype)
    arrays = (
        layout.padded_states(cotangent),
        layout.contiguous(x).reshape(-1),
        layout.padded_states(h),
        layout.padded_states(h0),
        layout.packed(w_hh, transposed=False),
        zeros,
        dz.reshape(-1),
        dh0.reshape(-1),
    )
    sizes = (layout.steps, layout.batch, layout.inputs, layout.hidden, units, columns)
    options = (bool(reverse), activation == "tanh", bool(want_dz), layout.lanes)
    calls, sums = [], []
    for blocks in layout.parts():
        rows = blocks[0][1] - blocks[0][0]
        chunk = min(layout.steps, max(1, CHUNK_ROWS // rows))
        recent = aligned_empty((chunk + 1) * rows * (units + layout.lanes), dtype)
        groups = aligned_empty((chunk * rows + 2) * units, dtype)
        panels = aligned_empty(chunk * rows * (columns + units), dtype)
        sums.append(aligned_zeros((columns + units + 1) * units, dtype))
        work = (recent, groups, panels, sums[-1])
        calls.append([(*arrays, *work, *sizes, *block, chunk, *options) for block in blocks])
    _run(run_backward, calls)
    total = sums[0] if len(sums) == 1 else sums[0] + sums[1]
    dw_ih = total[: units * columns].reshape(units, columns)
    dw_hh = total[units * columns : -units].reshape(units, units)
    return ElmanGradients(
        w_ih=np.ascontiguousarray(dw_ih[: layout.hidden, : layout.inputs]),
        w_hh=layout.trimmed(dw_hh[: layout.hidden]),
        bias=layout.trimmed(total[-units:]),
        h0=layout.trimmed(dh0),
        dz=layout.trimmed(dz) if want_dz else None,
    )


def _run(kernel, calls):
    """The calls of one thread here, or those of two at the same time."""
    with compiling("the Elman sweep", run_forward, run_backward):
        if len(calls) == 1:
            _run_all(kernel, calls[0])
        else:
            run_pair(_run_all, (kernel, calls[0]), _run_all, (kernel, calls[1]))


def _run_all(kernel, calls):
    for arguments in calls:
        kernel(*arguments)
