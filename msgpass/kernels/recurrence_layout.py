"""How the arrays of a gated recurrence are checked, cut in two, and laid out for compiled loops.

Units are padded with zeros to whole vectors, each gate on its own: weights become (gates · units) rows, and
states rows of ``units`` numbers.
"""

from itertools import pairwise

import numpy as np

from msgpass.errors import DataError, ShapeError
from msgpass.kernels.product import pack, padded
from msgpass.kernels.runtime import aligned_zeros, recycled_empty
from msgpass.kernels.simd import LANES

MIN_SPLIT_WORK = 5e6
"""Multiply-adds of a forward sweep, some 50 µs, below which a second thread is not worth its hand-over."""

MIN_SPLIT_BATCH = 8
"""Smallest batch that is cut in two: each half is then a whole tile of four rows at least."""

BLOCK_ROWS = 128
"""Rows of the batch that go through time together, so that what a step works on stays in cache."""


def all_contiguous(dtype, *arrays: np.ndarray) -> list[np.ndarray]:
    """As the compiled loops take them; read-only arrays are copied, as Numba would compile anew for them."""
    return [a if a.flags.carray and a.dtype == dtype else np.array(a, dtype, order="C") for a in arrays]


class GatedLayout:
    """Sizes of a sweep, from its checked arguments.

    Attributes
    ----------
    steps, batch, inputs, hidden, gates : int
        T, B, I, H, and rows of the weights in units of H.
    units, columns : int
        ``hidden`` and ``inputs`` rounded up to whole vectors.
    dtype, lanes
        Of the computation, and numbers in a vector.
    """

    def __init__(self, x, w_ih, w_hh, gates: int):
        if x.dtype not in LANES:
            raise DataError(f"x has dtype {x.dtype}; convert it to float32 or float64")
        if x.ndim != 3 or 0 in x.shape:
            raise ShapeError(f"x has shape {x.shape}; wanted (time, batch, inputs), each at least 1")
        self.dtype, self.lanes = x.dtype, LANES[x.dtype]
        self.steps, self.batch, self.inputs = x.shape
        self.gates, self.hidden = gates, w_hh.shape[-1] if w_hh.ndim else 0
        if not self.hidden:
            raise ShapeError("w_hh is empty; a recurrence has at least one hidden unit")
        self.units = -(-self.hidden // self.lanes) * self.lanes
        self.columns = -(-self.inputs // self.lanes) * self.lanes
        self.check("w_hh", w_hh, (gates * self.hidden, self.hidden))
        self.check("w_ih", w_ih, (gates * self.hidden, self.inputs))

    def check(self, name: str, array: np.ndarray, wanted: tuple[int, ...]) -> None:
        """Raise `ShapeError` unless ``array`` has the shape ``wanted``."""
        if array.shape != wanted:
            sizes = f"T={self.steps}, B={self.batch}, I={self.inputs}, H={self.hidden}"
            raise ShapeError(f"{name} has shape {array.shape}; with {sizes} it must have {wanted}")

    def parts(self) -> list[list[tuple[int, int]]]:
        """Blocks of rows of the batch for each of one or two threads, the first block the largest.

        They follow from the sizes alone, so that results do not depend on anything else.
        """
        work = self.steps * self.batch * self.gates * self.hidden * (self.inputs + self.hidden)
        ends = [0, self.batch]
        if self.batch >= MIN_SPLIT_BATCH and work >= MIN_SPLIT_WORK:
            ends.insert(1, -(-self.batch // 8) * 4)
        return [
            [(row, min(row + BLOCK_ROWS, end)) for row in range(begin, end, BLOCK_ROWS)]
            for begin, end in pairwise(ends)
        ]

    def contiguous(self, array: np.ndarray) -> np.ndarray:
        """As the compiled loops take it; read-only arrays are copied, as Numba would compile anew for
        them."""
        if array.flags.carray and array.dtype == self.dtype:
            return array
        return np.array(array, self.dtype, order="C")

    def all_contiguous(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """`contiguous` of each."""
        return all_contiguous(self.dtype, *arrays)

    def flat(self, array: np.ndarray) -> np.ndarray:
        """`contiguous`, in one axis."""
        return self.contiguous(array).reshape(-1)

    def states(self, array: np.ndarray) -> np.ndarray:
        """Flat, each row of ``hidden`` numbers filled up with zeros to ``units``; not copied if nothing is
        added.
        """
        if self.units == self.hidden:
            return self.flat(array)
        filled = aligned_zeros((*array.shape[:-1], self.units), self.dtype)
        filled[..., : self.hidden] = array
        return filled.reshape(-1)

    def rows(self, weight: np.ndarray) -> np.ndarray:
        """Rows by gate, each gate filled up to ``units`` rows."""
        if self.units == self.hidden:
            return self.contiguous(weight)
        filled = aligned_zeros((self.gates, self.units, *weight.shape[1:]), self.dtype)
        filled[:, : self.hidden] = weight.reshape(self.gates, self.hidden, *weight.shape[1:])
        return filled.reshape(-1, *weight.shape[1:])

    def packed(self, weight: np.ndarray, transposed: bool) -> np.ndarray:
        """The right factor of a product: ``weight``, its rows filled up, or its transpose in panels."""
        weight = self.rows(weight)
        inner, columns = weight.shape[::-1] if transposed else weight.shape
        out = recycled_empty(inner * padded(columns, self.dtype), self.dtype)
        pack(weight, transposed, self.lanes, out)
        return out

    def trimmed_rows(self, weight: np.ndarray, columns: int) -> np.ndarray:
        """A weight's gradient without what fills up its rows and columns."""
        if self.units == self.hidden and weight.shape[-1] == columns:
            return weight
        gates = weight.reshape(self.gates, self.units, -1)[:, : self.hidden, :columns]
        return np.ascontiguousarray(gates).reshape(-1, columns)

    def trimmed(self, array: np.ndarray, columns: int) -> np.ndarray:
        """Without the numbers that fill up a vector."""
        return array if array.shape[-1] == columns else np.ascontiguousarray(array[..., :columns])
