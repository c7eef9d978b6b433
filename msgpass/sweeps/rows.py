"""Reading the rows that a family's instances touch, and adding messages back onto them.

An argument with one row a step is stacked over instances; ``after`` and ``before`` edges stand in for the row
that lies
outside the sequence; singles and ``.all`` are shared by all instances.
"""

from __future__ import annotations

import numpy as np

from msgpass.plan import Arg, Family


def per_instance(family: Family, arg: Arg) -> bool:
    """Whether instances have rows of their own (otherwise they share one value)."""
    if arg.slice.stepped:
        return True
    return arg.slice.kind == "index" and (not family.factor.stepped or arg.clock.ragged)


def rows_of(family: Family, arg: Arg, chosen=None):
    """Row of each chosen instance in the stacked array."""
    rows = arg.rows
    if arg.slice.kind == "index" and family.factor.stepped:
        rows = np.repeat(np.atleast_1d(rows), family.counts) if arg.clock.ragged else rows
    if chosen is None:
        return rows
    if isinstance(rows, slice):
        if isinstance(chosen, slice):
            first, last, _ = chosen.indices(rows.stop - rows.start)
            return (
                slice(rows.start + first, rows.start + last)
                if rows.start + first >= 0
                else np.arange(rows.start + first, rows.start + last)
            )
        return np.arange(rows.start, rows.stop)[chosen]
    return rows[chosen]


def instance_rows(family: Family, arg: Arg):
    """Row of every instance, a slice or an array."""
    rows = rows_of(family, arg)
    return rows if isinstance(rows, slice) else np.atleast_1d(rows)


def instance_numbers(family: Family, arg: Arg) -> np.ndarray:
    """Row of every instance as an array; 0 for a single variable."""
    if arg.rows is None:
        return np.zeros(family.factor.n, np.int64)
    rows = instance_rows(family, arg)
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.asarray(rows, np.int64)


def row_numbers(arg: Arg) -> np.ndarray:
    """Row of every instance of a stepped argument; an edge shows as a row that lies outside its sequence."""
    return np.arange(arg.rows.start, arg.rows.stop) if isinstance(arg.rows, slice) else arg.rows.copy()


def edges_of(family: Family, arg: Arg) -> tuple[np.ndarray, np.ndarray]:
    """(instances that read the edge instead of a row, the sequence of each)."""
    counts = family.counts
    has = np.flatnonzero(counts > 0)
    instances = family.starts[has] + (0 if arg.slice.kind == "after" else counts[has] - 1)
    return instances, has


def read(family: Family, arg: Arg, values, chosen=None) -> np.ndarray:
    """Value of an argument: stacked over the chosen instances (all by default) if they have rows of their
    own.
    """
    array = values[arg.name]
    if arg.rows is None:
        return array
    if arg.slice.kind == "index" and not per_instance(family, arg):
        return array[arg.rows][0]
    if arg.edge is None:
        return array[rows_of(family, arg, chosen)]
    edge = edge_value(family, arg, values)
    if not arg.clock.ragged and chosen is None:
        parts = [edge, array[: arg.clock.total - 1]] if arg.slice.kind == "after" else [array[1:], edge]
        return np.concatenate(parts)
    rows = row_numbers(arg)
    instances, sequences = edges_of(family, arg)
    rows[instances] = 0
    stacked = array[rows]
    stacked[instances] = edge[sequences if len(edge) > 1 else np.zeros_like(sequences)]
    return stacked if chosen is None else stacked[chosen]


def edge_value(family: Family, arg: Arg, values) -> np.ndarray:
    """The edge's value with a leading axis of sequences (of length one where they share it)."""
    value = np.asarray(values[arg.edge.name])
    if arg.edge.rows is not None:
        return value[arg.edge.rows]
    own = value.ndim == len(arg.slice.shape) + 1
    return value if own else value[None]


def add_rows(family: Family, arg: Arg, store, message, chosen=None) -> None:
    """Add an argument's message onto the accumulators in ``store`` (name → array), instances summed where
    they share.
    """
    if message is None or (arg.name not in store and arg.edge is None):
        return
    if arg.rows is None:
        store[arg.name] += message
        return
    if arg.slice.kind == "index":
        target = store[arg.name]
        if not per_instance(family, arg):
            target[arg.rows] += message
        else:
            np.add.at(target, rows_of(family, arg, slice(None) if chosen is None else chosen), message)
        return
    if arg.slice.kind == "pick":
        np.add.at(store[arg.name], rows_of(family, arg, chosen), message)
        return
    if arg.edge is None:
        if (
            chosen is None
            and len(message) == len(store.values_of[arg.name])
            and store.lend(arg.name, message)
        ):
            return
        store[arg.name][rows_of(family, arg, chosen)] += message
        return
    chosen = np.arange(family.factor.n) if chosen is None else np.arange(family.factor.n)[chosen]
    instances, sequences = edges_of(family, arg)
    on_edge = np.isin(chosen, instances)
    if arg.name in store:
        inner = chosen[~on_edge]
        store[arg.name][row_numbers(arg)[inner]] += message[~on_edge]
    if on_edge.any() and arg.edge.name in store:
        which = sequences[np.searchsorted(instances, chosen[on_edge])]
        add_edge(arg, store[arg.edge.name], message[on_edge], which)


def add_edge(arg: Arg, target: np.ndarray, messages: np.ndarray, sequences: np.ndarray) -> None:
    """Add what reaches the edge of each of ``sequences``."""
    if arg.edge.rows is not None:
        rows = np.atleast_1d(
            np.arange(arg.edge.rows.start, arg.edge.rows.stop)
            if isinstance(arg.edge.rows, slice)
            else arg.edge.rows
        )
        np.add.at(target, rows[sequences] if len(rows) > 1 else np.repeat(rows, len(sequences)), messages)
    elif target.ndim == messages.ndim:
        np.add.at(target, sequences, messages)
    else:
        target += messages.sum(axis=0)
