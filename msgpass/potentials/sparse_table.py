"""``SparseTable``: a log potential over two discrete variables of which only listed entries are possible."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, GraphError, ShapeError
from msgpass.nodes import Parameter, Slice
from msgpass.potentials.base import Potential, as_part, discrete_inputs, no_batch, real_source


class SparseTable(Potential):
    """Log values of the possible entries (rows[e], cols[e]) of a table over two discrete variables.

    Every entry that is not listed is −∞: impossible, and not 0 as in a matrix of numbers, which is why the
    indices are given as they are and no matrix is taken. Which entries are listed belongs to the graph; their
    values may differ from run to run, and may be −∞ as well. What arrives at a parameter has its shape: the
    expected number of times each entry is used.

    On a sequence linked step to step by one sparse table, a run costs time and memory in proportion to the
    listed entries: banded transitions of 10⁴ states, or the expanded states (regime, age) of a semi-Markov
    chain. Anywhere else (trees, windows, checkpoints, algebras of one's own) the table is written out in
    full, as long as that is small.

    Parameters
    ----------
    log_values : array, Parameter, or slice of a real sequence, shape (nnz,) or (steps, nnz)
    rows, cols : array of int, shape (nnz,)
        States of the first and of the second variable; no pair twice.

    Examples
    --------
    A walk on a line of a hundred thousand places:

    >>> from msgpass import FactorGraph, Table, run
    >>> g, S = FactorGraph(), 10**5
    >>> z = g.sequence("z", length=3, states=S)
    >>> here = np.arange(S - 1)
    >>> move = Table.sparse(np.full(2 * (S - 1), np.log(0.5)), np.r_[here, here + 1], np.r_[here + 1, here])
    >>> _ = g.factor(move, z[:-1], z[1:])
    >>> start = np.full(S, -np.inf)
    >>> start[S // 2] = 0
    >>> _ = g.factor(Table(start), z[0])
    >>> m = run(g)
    >>> round(float(m.total), 9), np.flatnonzero(m.belief["z"][2] > -np.inf).tolist()
    (0.0, [49998, 50000, 50002])
    """

    def __init__(self, log_values, rows, cols):
        self.parts = {"log_values": as_part("a sparse table's log values", log_values, allow_minus_inf=True)}
        self.rows, self.cols = _indices("rows", rows), _indices("cols", cols)
        if len(self.rows) != len(self.cols) or not len(self.rows):
            raise ShapeError(
                f"a sparse table has one row and one column an entry, and at least one entry; got "
                f"{len(self.rows)} rows and {len(self.cols)} columns"
            )

    @property
    def source(self) -> np.ndarray | Parameter | Slice:
        """Where the log values come from."""
        return self.parts["log_values"]

    def of(self, log_values) -> SparseTable:
        """The same entries with other log values."""
        return SparseTable(log_values, self.rows, self.cols)

    def check(self, factor) -> None:
        """Two discrete variables, indices within their states, one value an entry."""
        discrete_inputs(factor)
        no_batch(factor)
        if len(factor.args) != 2:
            raise GraphError(
                f"factor {factor.name!r}: a SparseTable relates two variables, such as z[:-1], z[1:]; got "
                f"{', '.join(s.name for s in factor.args) or 'none'}"
            )
        for s, index, role in zip(factor.args, (self.rows, self.cols), ("rows", "cols"), strict=True):
            if index.max() >= s.node.states:
                raise ShapeError(
                    f"factor {factor.name!r}: {role} holds the state {index.max()}, but those of {s.name} "
                    f"run from 0 to {s.node.states - 1}"
                )
        places = self.rows * np.int64(factor.args[1].node.states) + self.cols
        ordered = np.sort(places)
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(twice):
            e = int(np.flatnonzero(places == ordered[twice[0]])[0])
            raise DataError(
                f"factor {factor.name!r}: the entry ({self.rows[e]}, {self.cols[e]}) is listed twice; add "
                "the values of equal entries first (np.logaddexp.at)"
            )
        shape, nnz = self.source.shape, len(self.rows)
        if isinstance(self.source, Slice):
            real_source(factor, self.source)
            wanted: list[tuple[int, ...]] = [(nnz,)]
        else:
            wanted = [(nnz,), (factor.n, nnz)]
        if shape not in wanted:
            raise ShapeError(
                f"factor {factor.name!r}: the log values have shape {shape}, but {nnz} entries want "
                f"{' or '.join(map(str, wanted))} (one leading axis more is the step)"
            )

    def stepped(self, factor) -> bool:
        """The first axis of the log values is the step."""
        if isinstance(self.source, Slice):
            return self.source.kind != "single"
        return len(self.source.shape) == 2


def _indices(role: str, values) -> np.ndarray:
    array = np.array(values)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise ShapeError(
            f"{role} of a sparse table must be one array of whole numbers, got shape {array.shape} of dtype "
            f"{array.dtype}"
        )
    array = array.astype(np.int64)
    if (array < 0).any():
        raise DataError(f"{role} of a sparse table holds {array.min()}; states are counted from 0")
    return array
