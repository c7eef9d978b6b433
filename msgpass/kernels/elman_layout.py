"""How the arrays of an Elman sweep are checked, cut in two, and laid out for the compiled loops."""

from itertools import pairwise

import numpy as np

from msgpass.errors import DataError, ShapeError
from msgpass.kernels.elman_reference import ACTIVATIONS
from msgpass.kernels.product import pack, padded
from msgpass.kernels.runtime import aligned_empty, aligned_zeros
from msgpass.kernels.simd import LANES

MIN_SPLIT_WORK = 5e6
"""Multiply-adds of a forward sweep, some 50 µs, below which a second thread is not worth its hand-over."""

MIN_SPLIT_BATCH = 8
"""Smallest batch that is cut in two: each half is then a whole tile of four rows at least."""


BLOCK_ROWS = 128
"""Rows of the batch that go through time together, so that what a step works on stays in cache."""


class Layout:
    """Sizes of a sweep, from its checked arguments.

    Attributes
    ----------
    steps, batch, inputs, hidden : int
        T, B, I, H.
    units, columns : int
        ``hidden`` and ``inputs`` rounded up to whole vectors.
    dtype, lanes
        Of the computation, and numbers in a vector.
    """

    def __init__(self, x, w_ih, w_hh, h0, activation):
        if activation not in ACTIVATIONS:
            raise DataError(
                f"activation {activation!r} has no compiled sweep; choose one of {sorted(ACTIVATIONS)}"
            )
        if x.dtype not in LANES:
            raise DataError(f"x has dtype {x.dtype}; convert it to float32 or float64")
        if x.ndim != 3 or 0 in x.shape:
            raise ShapeError(f"x has shape {x.shape}; wanted (time, batch, inputs), each at least 1")
        self.dtype, self.lanes = x.dtype, LANES[x.dtype]
        self.steps, self.batch, self.inputs = x.shape
        self.hidden = len(w_hh)
        if not self.hidden:
            raise ShapeError("w_hh is empty; a recurrence has at least one hidden unit")
        self.units, self.columns = padded(self.hidden, self.dtype), padded(self.inputs, self.dtype)
        self.check("w_ih", w_ih, (self.hidden, self.inputs))
        self.check("w_hh", w_hh, (self.hidden, self.hidden))
        self.check("h0", h0, (self.batch, self.hidden))

    def check(self, name: str, array: np.ndarray, wanted: tuple[int, ...]) -> None:
        """Raise `ShapeError` unless ``array`` has the shape ``wanted``."""
        if array.shape != wanted:
            sizes = f"T={self.steps}, B={self.batch}, I={self.inputs}, H={self.hidden}"
            raise ShapeError(f"{name} has shape {array.shape}; with {sizes} it must have {wanted}")

    def parts(self) -> list[list[tuple[int, int]]]:
        """Blocks of rows of the batch for each of one or two threads, the first block the largest.

        They follow from the sizes alone, so that results do not depend on anything else.
        """
        work = self.steps * self.batch * self.hidden * (self.inputs + self.hidden)
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

    def padded_states(self, array: np.ndarray) -> np.ndarray:
        """Flat, each row of ``hidden`` numbers filled up with zeros to ``units``; not copied if nothing is
        added.
        """
        if self.units == self.hidden:
            return self.contiguous(array).reshape(-1)
        filled = aligned_zeros((*array.shape[:-1], self.units), self.dtype)
        filled[..., : self.hidden] = array
        return filled.reshape(-1)

    def packed(self, weight: np.ndarray, transposed: bool) -> np.ndarray:
        """The right factor of a product: ``weight`` or its transpose in panels."""
        inner, columns = weight.shape[::-1] if transposed else weight.shape
        out = aligned_empty(inner * padded(columns, self.dtype), self.dtype)
        pack(self.contiguous(weight), transposed, self.lanes, out)
        return out

    def trimmed(self, array: np.ndarray) -> np.ndarray:
        """Without the units that fill up a vector."""
        return array if self.units == self.hidden else np.ascontiguousarray(array[..., : self.hidden])
