"""Compiled sweeps of the Elman recurrence h_t = act(W_ih x_t + b + W_hh h_{t−1}), forward and adjoint.

The formulas are those of `msgpass.kernels.elman_reference`, in whose place these two functions stand. Weights are
packed at each call (they change between calls), the batch is cut in two for two threads where there is enough to
do, always at the same place, so that the bits do not depend on the number of processors.

One compilation serves all sizes of a precision.
"""

import numpy as np

from msgpass.errors import DataError, ShapeError
from msgpass.kernels.elman_reference import ACTIVATIONS, ElmanGradients
from msgpass.kernels.elman_sweep import run_backward, run_forward
from msgpass.kernels.product import pack, padded
from msgpass.kernels.runtime import aligned_empty, aligned_zeros, compiling, run_pair
from msgpass.kernels.simd import LANES

MIN_SPLIT_WORK = 3e7
"""Multiply-adds of a forward sweep below which a second thread costs more than it saves."""

CHUNK_ROWS = 256
"""Rows (steps × batch) whose weight gradients are added up in one product: the longer, the fewer passes over the
weights; the shorter, the more of it stays in cache."""


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
        Run from the last time to the first, as the second direction of a bidirectional layer does: h_t then follows
        from h_{t+1}. All arrays stay in the order of time and nothing is copied.

    Returns
    -------
    ndarray, shape (T, B, H)
        Contiguous and 64-byte aligned, if H is a multiple of a vector (16 float32, 8 float64).

    Raises
    ------
    ShapeError
        If shapes do not fit together.
    DataError
        For another dtype or activation.

    Examples
    --------
    >>> h = forward(np.ones((3, 1, 1)), np.eye(1), np.zeros((1, 1)), np.zeros(1), np.zeros((1, 1)), "relu")
    >>> h.ravel()
    array([1., 1., 1.])
    """
    size = _Sizes(x, w_ih, w_hh, h0, activation)
    if bias.shape != (size.hidden,):
        raise ShapeError(f"bias has shape {bias.shape}; wanted {(size.hidden,)}, one number a hidden unit")
    h = aligned_empty((size.steps, size.batch, size.units), size.dtype)
    flat = (
        size.rows_of(x, size.inputs, size.inputs),
        size.packed(w_ih, transposed=True),
        size.packed(w_hh, transposed=True),
        size.rows_of(bias, size.hidden, size.units),
        size.rows_of(h0, size.hidden, size.units),
        h.reshape(-1),
    )
    sizes = (size.steps, size.batch, size.inputs, size.hidden, size.units)
    flags = (bool(reverse), activation == "tanh", size.lanes)
    calls = []
    for begin, end in size.parts:
        z, state = aligned_empty((2, (end - begin) * (size.units + size.lanes)), size.dtype)
        calls.append((*flat, z, state, *sizes, begin, end, *flags))
    with compiling("the Elman sweep", run_forward, run_backward):
        _run(run_forward, calls)
    return size.trim(h)


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
        Also return dz = ∂L/∂z, another array as large as ``h``; without it two steps are kept at a time.

    Returns
    -------
    ElmanGradients

    Raises
    ------
    ShapeError, DataError
        As `forward` does.
    """
    size = _Sizes(x, w_ih, w_hh, h0, activation)
    for name, array in (("cotangent", cotangent), ("h", h)):
        if array.shape != (size.steps, size.batch, size.hidden):
            wanted = (size.steps, size.batch, size.hidden)
            raise ShapeError(f"{name} has shape {array.shape}; wanted {wanted}: time, batch, hidden units")
    columns = padded(size.inputs, size.dtype)
    dz = aligned_empty((size.steps, size.batch, size.units) if want_dz else (1, 1, 1), size.dtype)
    dh0 = aligned_empty((size.batch, size.units), size.dtype)
    flat = (
        size.rows_of(cotangent, size.hidden, size.units),
        size.rows_of(x, size.inputs, size.inputs),
        size.rows_of(h, size.hidden, size.units),
        size.rows_of(h0, size.hidden, size.units),
        size.packed(w_hh, transposed=False),
        dz.reshape(-1),
    )
    sizes = (size.steps, size.batch, size.inputs, size.hidden, size.units, columns)
    flags = (bool(reverse), activation == "tanh", bool(want_dz), size.lanes)
    zeros = aligned_zeros(size.units, size.dtype)
    calls, sums = [], []
    for begin, end in size.parts:
        rows = end - begin
        chunk = min(size.steps, max(1, CHUNK_ROWS // rows))
        recent = aligned_empty(chunk * rows * (size.units + size.lanes), size.dtype)
        later = aligned_empty(rows * (size.units + size.lanes), size.dtype)
        groups = aligned_empty((chunk * rows + 2) * size.units, size.dtype)
        panels = aligned_empty(chunk * rows * (columns + size.units), size.dtype)
        sums.append(aligned_zeros(size.units * (columns + size.units + 1), size.dtype))
        gradients = np.split(sums[-1], [size.units * columns, size.units * (columns + size.units)])
        work = (recent, later, groups, panels, zeros, *gradients, dh0.reshape(-1))
        calls.append((*flat, *work, *sizes, begin, end, chunk, *flags))
    with compiling("the Elman sweep", run_forward, run_backward):
        _run(run_backward, calls)
    total = sums[0] if len(sums) == 1 else sums[0] + sums[1]
    dw_ih, dw_hh, dbias = np.split(total, [size.units * columns, size.units * (columns + size.units)])
    return ElmanGradients(
        w_ih=np.ascontiguousarray(dw_ih.reshape(size.units, columns)[: size.hidden, : size.inputs]),
        w_hh=size.trim(dw_hh.reshape(size.units, size.units)[: size.hidden]),
        bias=dbias[: size.hidden],
        h0=size.trim(dh0),
        dz=size.trim(dz) if want_dz else None,
    )


class _Sizes:
    """The sizes of a sweep, checked, and how its arrays are laid out for the compiled loops."""

    def __init__(self, x, w_ih, w_hh, h0, activation):
        if activation not in ACTIVATIONS:
            raise DataError(f"activation {activation!r} has no compiled sweep; choose from {sorted(ACTIVATIONS)}")
        if x.dtype not in LANES:
            raise DataError(f"x has dtype {x.dtype}; convert it to float32 or float64")
        if x.ndim != 3 or 0 in x.shape:
            raise ShapeError(f"x has shape {x.shape}; wanted (time, batch, inputs), each at least 1")
        self.dtype, self.lanes = x.dtype, LANES[x.dtype]
        self.steps, self.batch, self.inputs = x.shape
        self.hidden = w_hh.shape[0]
        self.units = padded(self.hidden, self.dtype)
        for name, array, wanted in (
            ("w_ih", w_ih, (self.hidden, self.inputs)),
            ("w_hh", w_hh, (self.hidden, self.hidden)),
            ("h0", h0, (self.batch, self.hidden)),
        ):
            if array.shape != wanted or not self.hidden:
                raise ShapeError(f"{name} has shape {array.shape}; with x {x.shape} it should be {wanted}")

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Ranges of the batch, one or two, by size alone."""
        work = self.steps * self.batch * self.hidden * (self.inputs + self.hidden)
        if self.batch < 8 or work < MIN_SPLIT_WORK:
            return [(0, self.batch)]
        middle = -(-self.batch // 8) * 4
        return [(0, middle), (middle, self.batch)]

    def rows_of(self, array, columns, width) -> np.ndarray:
        """Flat, contiguous, writeable (Numba compiles anew for read-only arrays), each row filled up to ``width``."""
        if columns == width:
            if not (array.flags.carray and array.dtype == self.dtype):
                array = np.array(array, self.dtype, order="C")
            return array.reshape(-1)
        filled = aligned_zeros((*array.shape[:-1], width), self.dtype)
        filled[..., :columns] = array
        return filled.reshape(-1)

    def packed(self, weight, transposed) -> np.ndarray:
        rows, columns = weight.shape[::-1] if transposed else weight.shape
        out = aligned_empty(rows * padded(columns, self.dtype), self.dtype)
        pack(self.rows_of(weight, 1, 1).reshape(weight.shape), transposed, self.lanes, out)
        return out

    def trim(self, array) -> np.ndarray:
        """Without the columns that fill up a vector."""
        return array if self.units == self.hidden else np.ascontiguousarray(array[..., : self.hidden])


def _run(kernel, calls):
    if len(calls) == 1:
        kernel(*calls[0])
    else:
        run_pair(kernel, calls[0], kernel, calls[1])
