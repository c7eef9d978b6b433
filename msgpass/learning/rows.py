"""Data to learn from: one column a variable, one row an independent look at the graph.

Equal rows are one row with a weight: a network of eight binary variables has at most 3⁸ different ones,
missing cells included, however long the data are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError, UnavailableError, UnsupportedError
from msgpass.graph import FactorGraph, check_observation
from msgpass.nodes import Observation, Parameter, Sequence


@dataclass(frozen=True)
class Rows:
    """Different rows and their weights.

    Attributes
    ----------
    columns : dict of str to array, (rows, *shape of the node's data)
    weights : array, (rows,)
    first : array of int, (rows,)
        Where each stands in the data.
    """

    columns: dict[str, np.ndarray]
    weights: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)

    def values(self, r: int) -> dict[str, np.ndarray]:
        """What ``run`` takes of row r."""
        return {name: column[r] for name, column in self.columns.items()}


def read_rows(graph: FactorGraph, data: Any, weights=None) -> Rows:
    """Check data against the graph and gather equal rows.

    Parameters
    ----------
    graph : FactorGraph
    data : mapping from names to arrays, data frame, or None
        A column of a discrete variable or observation holds states, −1 (or NaN, or masked) for missing ones;
        of a real observation numbers, NaN for missing. Columns of sequences are (N, T). None: the graph's
        own observations are all there is.
    weights : array, (N,), optional
        How often each row counts, 1 by default.
    """
    if data is None:
        return Rows({}, np.ones(1), np.zeros(1, np.int64))
    columns = {name: _column(graph, name, column) for name, column in _columns(data).items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name!r} {length}" for name, length in lengths.items()) or "no column at all"
        raise ShapeError(f"data: all columns have a value a row, but their lengths are {told}")
    n = next(iter(lengths.values()))
    if n == 0:
        raise DataError("data: there is no row to learn from")
    return distinct(columns, _weights(weights, n), np.arange(n))


def distinct(columns: dict[str, np.ndarray], weights: np.ndarray, first: np.ndarray) -> Rows:
    """Equal rows as one, where all columns hold states."""
    n = len(weights)
    if not columns:
        return Rows({}, weights.sum(keepdims=True), first[:1])
    if any(column.dtype.kind == "f" for column in columns.values()):
        return Rows(columns, weights, first)
    _, places, inverse = np.unique(_keys(columns, n), return_index=True, return_inverse=True)
    together = np.bincount(inverse.ravel(), weights, len(places))
    return Rows({name: column[places] for name, column in columns.items()}, together, first[places])


def unseen(graph: FactorGraph, rows: Rows, given: list[str]) -> Rows:
    """The same data with everything missing that is not given."""
    if absent := [n for n in given if n not in rows.columns and not _observed(graph, n)]:
        raise UnavailableError(
            f"given names {absent[0]!r}, which is no column of the data and no observation"
        )
    columns = {n: c for n, c in rows.columns.items() if n in given}
    places = [s.node.name for f in graph.factors.values() for s in f.args]
    for node in graph.nodes.values():
        if not isinstance(node, Observation) or node.name in given:
            continue
        if places.count(node.name) > 1:
            raise UnsupportedError(
                f"the likelihood of {node.name!r} needs it summed out, but it stands in "
                f"{places.count(node.name)} places, each of which would be summed by itself: make it a "
                f"variable, whose data are a column, or condition on it with given=[{node.name!r}]"
            )
        missing = -1 if node.discrete else np.nan
        columns[node.name] = np.full((len(rows), *node.shape), missing)
    return distinct(columns, rows.weights, rows.first)


def _observed(graph: FactorGraph, name: str) -> bool:
    return isinstance(graph.nodes.get(name), Observation)


def _keys(columns: dict[str, np.ndarray], n: int) -> np.ndarray:
    """A number for each row, the same for equal rows: digits of mixed radix, renumbered before they
    overflow. Sorting numbers takes a tenth of what sorting rows does."""
    keys, size = np.zeros(n, np.int64), 1
    for column in columns.values():
        for digits in column.reshape(n, -1).T:
            radix = int(digits.max(initial=0)) + 2
            if size * radix > 1 << 62:
                kept, keys = np.unique(keys, return_inverse=True)
                size = len(kept)
            keys, size = keys * radix + digits + 1, size * radix
    return keys


def _columns(data) -> dict[str, Any]:
    if isinstance(data, Mapping):
        return {str(getattr(name, "name", name)): column for name, column in data.items()}
    names = getattr(data, "columns", None)  # a frame of pandas or polars
    if names is None:
        raise DataError(
            f"data is a dict from names to arrays, or a frame with a column a variable, got {type(data)}"
        )
    return {str(name): data[name] for name in names}


def _column(graph: FactorGraph, name: str, column) -> np.ndarray:
    node = graph.nodes.get(name)
    latent = [n.name for n in graph.nodes.values() if not isinstance(n, Parameter)]
    if node is None:
        raise UnavailableError(
            f"data has a column {name!r}, but the graph has no such variable; it has {', '.join(latent)}"
        )
    if isinstance(node, Parameter) or not (node.discrete or isinstance(node, Observation)):
        raise DataError(
            f"data has a column {name!r}, but {node.describe()} is not seen: columns are of discrete "
            f"variables and of observations"
        )
    if not isinstance(column, np.ma.MaskedArray):
        column = np.asarray(column)
        column = column.astype(np.int64) if column.dtype.kind == "b" else column
    checked = check_observation(name, column, node.states)
    rows = (node.clock.total,) if isinstance(node, Sequence) else ()
    if checked.shape[1:] != rows + node.shape or checked.ndim == 0:
        raise ShapeError(
            f"data[{name!r}] has shape {checked.shape}, wanted a row for each look at {node.describe()}: "
            f"(N{''.join(f', {k}' for k in (*rows, *node.shape))})"
        )
    return checked


def _weights(weights, n: int) -> np.ndarray:
    if weights is None:
        return np.ones(n)
    array = np.asarray(weights, np.float64)
    if array.shape != (n,) or not np.isfinite(array).all() or (array < 0).any() or not array.any():
        raise DataError(
            f"weights are {n} numbers ≥ 0, one a row of the data and not all zero, got shape {array.shape}"
        )
    return array


def blank(graph: FactorGraph, rows: Rows) -> bool:
    """Whether no value is seen in any row, nor in an observation of the graph that has no column."""
    own = [n.value for n in graph.nodes.values() if isinstance(n, Observation) and n.name not in rows.columns]
    arrays = [np.asarray(a) for a in (*own, *rows.columns.values())]
    return all(np.isnan(a).all() if a.dtype.kind == "f" else (a < 0).all() for a in arrays)
