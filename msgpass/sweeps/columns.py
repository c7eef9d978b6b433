"""Several cotangents in one sweep: accumulators with a last axis of columns.

Messages have that axis too, so that whatever adds them up need not know of it. Local Jacobians are shared: a
linearised recurrence multiplies matrices where it would multiply vectors, and a vectorised step takes the
columns as more instances.
"""

from __future__ import annotations

import numpy as np

from msgpass.sweeps.local import vjp_many, vjp_one
from msgpass.sweeps.real import Store


class ColumnStore(Store):
    """Accumulators (*shape, columns) by node name.

    Parameters
    ----------
    values : Values
    columns : int
    shared : bool
        What arrives at inputs that instances share (parameters) is wanted, which takes one VJP a column.
    """

    def __init__(self, values, columns: int, shared: bool = True):
        super().__init__(values)
        self.columns, self.shared = columns, shared
        self.each = [Column(self, c) for c in range(columns)]

    def lend(self, name: str, message: np.ndarray) -> bool:
        """Nothing is borrowed."""
        return False

    def add(self, name: str, message: np.ndarray) -> None:
        """A message with its columns is added."""
        self[name] += message.reshape(self[name].shape)

    def complete(self, name: str):
        """The accumulator of all columns."""
        for column in self.each:
            column.settle(name)
        return self[name]

    def __getitem__(self, name):
        if not self.has(name):
            like = np.asarray(self.values_of[name])
            self[name] = np.zeros((*like.shape, self.columns), like.dtype)
        return dict.__getitem__(self, name)

    def flat(self, name: str) -> np.ndarray:
        """(rows, numbers a row, columns)."""
        whole = self[name]
        return whole.reshape(len(whole), -1, self.columns)

    def vjp(self, family, inputs, stacked, cotangents, n: int | None) -> list:
        """Messages with a last axis of columns."""
        if n is not None and not self.shared and family.potential.vectorized:
            return self.vjp_of_rows(family, inputs, stacked, cotangents, n)
        found = []
        for c in range(self.columns):
            own = [np.ascontiguousarray(cotangent[..., c]) for cotangent in cotangents]
            found.append(
                vjp_one(family, inputs, own) if n is None else vjp_many(family, inputs, stacked, own, n)
            )
        return [
            None if all(g is None for g in messages) else np.stack([_zero(g, v) for g in messages], axis=-1)
            for messages, v in zip(zip(*found, strict=True), inputs, strict=True)
        ]

    def vjp_of_rows(self, family, inputs, stacked, cotangents, n: int) -> list:
        """The same in one call, for inputs that have rows of their own; None for shared ones."""
        C = self.columns
        many = [np.concatenate([v] * C) if s else v for v, s in zip(inputs, stacked, strict=True)]
        rows = [np.moveaxis(c, -1, 0).reshape(C * n, *c.shape[1:-1]) for c in cotangents]
        found = vjp_one(family, many, rows) if n else [None] * len(inputs)
        return [
            None if g is None or not s else np.moveaxis(np.reshape(g, (C, n, *np.shape(g)[1:])), 0, -1)
            for g, s in zip(found, stacked, strict=True)
        ]


class Column(Store):
    """One column, for sweeps that carry one cotangent."""

    def __init__(self, whole: ColumnStore, c: int):
        super().__init__(whole.values_of)
        self.whole, self.c = whole, c

    def has(self, name: str) -> bool:
        """Something has arrived in any column."""
        return self.whole.has(name)

    def lend(self, name: str, message: np.ndarray) -> bool:
        """Nothing is borrowed."""
        return False

    def add(self, name: str, message: np.ndarray) -> None:
        """A message is added to its column."""
        self[name] += message.reshape(self[name].shape)

    def peek(self, name: str) -> np.ndarray:
        """To be read only."""
        return self[name]

    def settle(self, name: str) -> None:
        """Add what a compiled sweep left to be added."""
        super().complete(name)

    def complete(self, name: str):
        """The column by itself."""
        self.settle(name)
        return np.ascontiguousarray(self[name])

    def __getitem__(self, name):
        return self.whole[name][..., self.c]

    def __setitem__(self, name, value) -> None:
        self.whole[name][..., self.c] = value


def _zero(message, like):
    return np.zeros_like(np.asarray(like)) if message is None else message


def pull(sweep, store: Store, later: Store) -> None:
    """A compiled recurrence's backward sweep, column by column where there are several."""
    if isinstance(store, ColumnStore) and isinstance(later, ColumnStore):
        for one, one_later in zip(store.each, later.each, strict=True):
            sweep.backward(one, one_later)
    else:
        sweep.backward(store, later)
