"""What a family of tables says in each of its instances, and how counts come back to its parameters.

Observed variables are indexed out of a table. A missing one is summed out: each observed axis carries one
entry more, the log-sum-exp over its states, which index −1 picks.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.errors import DataError
from msgpass.kernels.chain_reference import log_sum_exp
from msgpass.nodes import Slice
from msgpass.plan import Family
from msgpass.sweeps.rows import rows_of
from msgpass.values import below_infinity


class TableInstances:
    """The log tables of a family in one run."""

    def __init__(self, family: Family, values):
        self.family, self.values = family, values
        self.states, self.batch, self.observed, stepped = family.table_layout
        source = family.potential.source
        if isinstance(source, Slice):
            array = values[source.node.name]
            self.array = array[source.rows(family.clock, family.counts)] if stepped else array
            # Arrays and parameters are checked at the border; what a step computes is checked here.
            if not below_infinity(self.array):
                raise DataError(
                    f"the log values of {family.name!r}, read from {source.name}, hold NaN or +∞; "
                    "−∞ is the only infinite value a log table may hold"
                )
        else:
            self.array = family.potential.value("log_values", values)
        self.stepped = stepped
        self.has_batch = self.array.ndim - stepped > len(self.states)

    @cached_property
    def extended(self) -> np.ndarray:
        """The table with one entry more on each observed axis: its log-sum-exp, for missing states."""
        extended = self.array
        for k in self.observed:
            axis = k - len(self.states)
            extended = np.concatenate(
                [extended, np.expand_dims(log_sum_exp(extended, axis), axis)], axis=axis
            )
        return extended

    def data(self, k: int, chosen=None) -> np.ndarray:
        """Observed states of argument k over instances."""
        arg = self.family.args[k]
        array = self.values[arg.name]
        return array if arg.rows is None else array[rows_of(self.family, arg, chosen)]

    def table(self, j: int) -> np.ndarray:
        """Log table of instance j over its latent variables, batch axes in front."""
        table = self.extended[j] if self.stepped else self.extended
        if not self.observed:
            return table
        index = self._index(
            [
                np.asarray(
                    self.data(k) if self.family.args[k].rows is None else self.data(k, slice(j, j + 1))[0]
                )
                for k in self.observed
            ]
        )
        return self._pick(table, index)

    def stacked(self) -> np.ndarray:
        """Log tables of all instances, (n, *batch, latent states…)."""
        n = self.family.factor.n
        if not self.observed:
            return (
                self.extended if self.stepped else np.broadcast_to(self.extended, (n, *self.extended.shape))
            )
        index = self._index(
            [
                self.data(k)
                if self.family.args[k].rows is not None
                else np.broadcast_to(self.data(k), (n, *np.shape(self.data(k))))
                for k in self.observed
            ]
        )
        if not self.stepped:
            return self._pick(self.extended, index)
        steps = np.arange(n).reshape((n,) + (1,) * len(self.batch))
        return self._pick(self.extended, index, steps)

    def _index(self, data):
        return dict(zip(self.observed, data, strict=True))

    def _pick(self, table, index, steps=None):
        """Advanced indexing of the observed axes; instance and batch axes end up in front."""
        batch_axes = len(self.batch) if self.has_batch else 0
        some = next(iter(index.values()))
        key: list = []
        if steps is not None:
            key.append(np.broadcast_to(steps, some.shape) if some.ndim else steps)
        if batch_axes:
            key += list(np.ix_(*(np.arange(s) for s in self.batch)))
        key += [index.get(k, slice(None)) for k in range(len(self.states))]
        first = min(index)
        if some.ndim == 0 and steps is None and not batch_axes:
            return table[tuple(key)]
        # Move the observed axes next to each other and in front, so that NumPy puts the broadcast axes first.
        lead = (steps is not None) + batch_axes
        order = [
            *range(lead),
            *(lead + k for k in index),
            *(lead + k for k in range(len(self.states)) if k not in index),
        ]
        moved = np.transpose(table, order)
        return moved[(*key[:lead], *(index[k] for k in sorted(index)))] if first >= 0 else moved

    def add_counts(self, weights: np.ndarray, target: np.ndarray, chosen=None) -> None:
        """Add expected counts, (n, *batch, latent states…), onto an array shaped like the source."""
        if not self.observed:
            if self.stepped:
                target[slice(None) if chosen is None else chosen] += (
                    weights if self.has_batch else _sum_batch(weights, 1, len(self.batch))
                )
            else:
                total = weights.sum(axis=0)
                target += total if self.has_batch else _sum_batch(total, 0, len(self.batch))
            return
        if len(self.observed) == 1 and not self.stepped and not self.has_batch:
            self._scatter_one(weights, target, chosen)
            return
        for place in np.ndindex(*weights.shape[: 1 + len(self.batch)]):
            self._scatter_slow(place, weights[place], target, chosen)

    def _scatter_one(self, weights, target, chosen) -> None:
        k = self.observed[0]
        symbols = np.broadcast_to(self.data(k, chosen), weights.shape[: 1 + len(self.batch)]).ravel()
        if not len(symbols):
            return
        flat = weights.reshape(len(symbols), -1)
        n_symbols = self.states[k]
        counts = np.stack(
            [np.bincount(np.where(symbols < 0, n_symbols, symbols), w, n_symbols + 1) for w in flat.T]
        )
        target += self.symbol_counts(counts)

    def fold(self, counts: np.ndarray) -> np.ndarray:
        """Counts of the table in the shape of its source (sparse and grouped tables have one of their
        own)."""
        return counts

    def symbol_counts(self, counts: np.ndarray) -> np.ndarray:
        """Counts (latent, symbol) in the table's own axes; those of missing symbols, the last column where
        there is
        one, are spread by what the table expects.
        """
        k, n_symbols = self.observed[0], self.states[self.observed[0]]
        latent_shape = tuple(s for j, s in enumerate(self.states) if j != k)
        full = counts[:, :n_symbols].reshape(*latent_shape, n_symbols)
        if counts.shape[1] > n_symbols and counts[:, n_symbols].any():
            table = np.moveaxis(self.array, k, -1)
            full = full + counts[:, n_symbols].reshape(*latent_shape, 1) * _softmax(table)
        return full if k == len(self.states) - 1 else np.moveaxis(full, -1, k)

    def _scatter_slow(self, place, weight, target, chosen) -> None:
        j = place[0] if chosen is None else np.arange(self.family.factor.n)[chosen][place[0]]
        view, table = (target[j], self.array[j]) if self.stepped else (target, self.array)
        if self.has_batch:
            view, table = view[place[1:]], table[place[1:]]
        key, spread = [], weight
        for k in range(len(self.states)):
            if k not in self.observed:
                key.append(slice(None))
                continue
            data = self.data(k) if self.family.args[k].rows is None else self.data(k, slice(j, j + 1))[0]
            symbol = int(data[place[1:]] if np.ndim(data) else data)
            key.append(slice(None) if symbol < 0 else slice(symbol, symbol + 1))
        part = table[tuple(key)]
        axes = tuple(self.observed)
        weight = np.expand_dims(spread, axes)
        view[tuple(key)] += weight * np.exp(part - np.expand_dims(_safe(log_sum_exp_many(part, axes)), axes))


def _safe(logs):
    return np.where(np.isfinite(logs), logs, 0.0)


def log_sum_exp_many(values, axes):
    """log Σ exp over several axes."""
    for axis in sorted(axes, reverse=True):
        values = log_sum_exp(values, axis)
    return values


def _softmax(table):
    return np.exp(table - np.expand_dims(_safe(log_sum_exp(table, -1)), -1))


def _sum_batch(array, first, n_axes):
    return array.sum(axis=tuple(range(first, first + n_axes))) if n_axes else array
