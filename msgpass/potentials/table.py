"""``Table``: a log potential over discrete variables, an array with one axis a variable."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, ProbabilityError, ShapeError
from msgpass.nodes import Parameter, Slice
from msgpass.potentials.base import Potential, as_part, discrete_inputs, real_source
from msgpass.potentials.grouped_table import GroupedTable
from msgpass.potentials.sparse_table import SparseTable


class Table(Potential):
    """Log values over discrete variables, one axis each in the order in which the factor names them.

    Parameters
    ----------
    log_values : array, Parameter, or slice of a real sequence
        A real variable that a step computes is shared by all steps, as a parameter is. With one axis more
        than the factor has variables, the first is the step. Over an aligned batch,
        (batch…, states…) gives each member its own table where that cannot be read as one table a step;
        (steps, batch…, states…) gives both.

    Examples
    --------
    >>> Table.from_probabilities([[0.7, 0.3], [0.3, 0.7]]).parts["log_values"].shape
    (2, 2)
    """

    def __init__(self, log_values):
        self.parts = {"log_values": as_part("a table's log values", log_values, allow_minus_inf=True)}

    @classmethod
    def from_probabilities(cls, p) -> Table:
        """Take the logarithm of probabilities whose last axis (or all of them together) sums to one."""
        return cls(log_probabilities(p))

    @staticmethod
    def sparse(log_values, rows, cols) -> SparseTable:
        """A table over two variables of which few entries are possible; see :class:`SparseTable`."""
        return SparseTable(log_values, rows, cols)

    @staticmethod
    def grouped(log_values, groups) -> GroupedTable:
        """A table whose values are shared by groups of states; see :class:`GroupedTable`."""
        return GroupedTable(log_values, groups)

    def of(self, log_values) -> Table:
        """The same table with other log values."""
        return Table(log_values)

    @property
    def source(self) -> np.ndarray | Parameter | Slice:
        """Where the log values come from."""
        return self.parts["log_values"]

    def check(self, factor) -> None:
        """Shapes, states, and slices that pair up."""
        discrete_inputs(factor)
        states = tuple(s.node.states for s in factor.args)
        batch = self.batch(factor)
        shape = self.source.shape
        wanted = [states, *([batch + states] if batch else [])]
        if isinstance(self.source, Slice):
            real_source(factor, self.source)
            wanted = list(dict.fromkeys([batch + states, states]))
        else:
            wanted += [(factor.n, *w) for w in wanted]
        if shape not in wanted:
            raise ShapeError(
                f"factor {factor.name!r}: the table has shape {shape}, but its variables "
                f"{', '.join(s.name for s in factor.args)} "
                f"want {' or '.join(map(str, dict.fromkeys(wanted)))} (states in the order of the "
                "variables; one leading axis more is the step)"
            )

    def stepped(self, factor) -> bool:
        """The table's first axis is the step; where it could also be the aligned batch, the step has
        precedence.
        """
        states = tuple(s.node.states for s in factor.args)
        if isinstance(self.source, Slice):
            return self.source.kind != "single"
        return self.source.shape in {(factor.n, *states), (factor.n, *self.batch(factor), *states)} - {states}

    @staticmethod
    def batch(factor) -> tuple[int, ...]:
        """The aligned batch that the factor's variables share."""
        shapes = {s.shape for s in factor.args}
        if len(shapes) > 1:
            given = ", ".join(f"{s.name} {s.shape}" for s in factor.args)
            raise ShapeError(
                f"factor {factor.name!r}: batch shapes differ: {given}; an aligned batch has one member of "
                "every variable and observation in each place"
            )
        return shapes.pop() if shapes else ()


def log_probabilities(p) -> np.ndarray:
    """log p, after a check that p is non-negative and sums to one along its last axis (or as a whole)."""
    p = np.asarray(p)
    if p.dtype.kind not in "iubf":
        raise DataError(f"probabilities must be numbers, got dtype {p.dtype}")
    p = p.astype(np.float32 if p.dtype == np.float32 else np.float64)
    if p.ndim == 0 or not np.isfinite(p).all() or (p < 0).any():
        what = (
            "a single number"
            if p.ndim == 0
            else f"{p[~(p >= 0)].ravel()[0] if (~(p >= 0)).any() else 'an infinite value'}"
        )
        raise ProbabilityError(f"probabilities must be non-negative and finite, got {what}")
    tolerance = 1e-6 if p.dtype == np.float64 else 1e-4
    sums = p.sum(axis=-1)
    if np.abs(sums - 1).max() > tolerance and abs(p.sum() - 1) > tolerance:
        worst = float(np.ravel(sums)[np.argmax(np.abs(np.ravel(sums) - 1))])
        raise ProbabilityError(
            f"probabilities must sum to 1 along the last axis, got a sum of {worst:.6g}; "
            "normalise, or give log values to Table(...)"
        )
    with np.errstate(divide="ignore"):
        return np.log(p)
