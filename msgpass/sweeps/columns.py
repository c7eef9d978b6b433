"""Several cotangents in one sweep: accumulators with a last axis of columns.

Messages have that axis too, so that whatever adds them up need not know of it. Local Jacobians are shared: a
linearised recurrence multiplies matrices where it would multiply vectors, and a vectorised step takes the
columns as more instances. In memory the columns come first: each is an array by itself, for sweeps that carry
one cotangent.
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
    wanted : set of str, optional
        Names of which it is wanted what arrives where instances share them, which takes one VJP a column; all
        by default.
    """

    def __init__(self, values, columns: int, wanted: set[str] | None = None):
        super().__init__(values)
        self.columns, self.wanted = columns, wanted
        self.each = [Column(self, c) for c in range(columns)]

    def lend(self, name: str, message: np.ndarray) -> bool:
        """Nothing is borrowed."""
        return False

    def complete(self, name: str):
        """The accumulator of all columns."""
        for column in self.each:
            column.settle(name)
        return self[name]

    def add(self, name: str, message: np.ndarray) -> None:
        """Nothing is taken over."""
        self[name] += message

    def stacked(self, name: str) -> np.ndarray:
        """(columns, *shape)."""
        if not dict.__contains__(self, name):
            like = np.asarray(self.values_of[name])
            dict.__setitem__(self, name, np.zeros((self.columns, *like.shape), like.dtype))
        return dict.__getitem__(self, name)

    def __getitem__(self, name):
        whole = self.stacked(name)
        return whole.transpose(*range(1, whole.ndim), 0)

    def __setitem__(self, name, value) -> None:
        own = self[name]
        if not _same(value, own):
            own[...] = value

    def flat(self, name: str) -> np.ndarray:
        """(rows, numbers a row, columns)."""
        whole = self.stacked(name)
        return np.moveaxis(whole.reshape(self.columns, whole.shape[1], -1), 0, -1)

    def vjp(self, family, inputs, stacked, cotangents, n: int | None) -> list:
        """Messages with a last axis of columns."""
        rows_alone = self.wanted is not None and not any(
            a.name in self.wanted for a, s in zip(family.args, stacked, strict=True) if not s
        )
        if n is not None and rows_alone and family.potential.vectorized:
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
        """Nothing is taken over."""
        own = self[name]
        own += message.reshape(own.shape)

    def peek(self, name: str) -> np.ndarray:
        """To be read only."""
        return self[name]

    def settle(self, name: str) -> None:
        """Add what a compiled sweep left to be added."""
        super().complete(name)

    def complete(self, name: str):
        """The column by itself."""
        self.settle(name)
        return self[name]

    def __getitem__(self, name):
        return self.whole.stacked(name)[self.c, ...]  # an array of a single number, too

    def __setitem__(self, name, value) -> None:
        own = self[name]
        if not _same(value, own):
            own[...] = value


def _same(a, b: np.ndarray) -> bool:
    """Views of one memory, as ``store[name] += message`` hands back."""
    return isinstance(a, np.ndarray) and a.shape == b.shape and a.ctypes.data == b.ctypes.data


def _zero(message, like):
    return np.zeros_like(np.asarray(like)) if message is None else message


def one_by_one(store: Store, later: Store) -> list[tuple[Store, Store]]:
    """The columns of both, or both as they are."""
    if isinstance(store, ColumnStore) and isinstance(later, ColumnStore):
        return list(zip(store.each, later.each, strict=True))
    return [(store, later)]
