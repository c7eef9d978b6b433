"""A family of linear-Gaussian relations y = Σ F x + b + N(0, Q) as stacked arrays, and messages back to what
is behind them.

What is observed of the sources is folded into b. A prior is such a relation without a source. Where states
pick the matrices, these have an axis of states after that of the instances.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msgpass.dual_array import contiguous, zeros
from msgpass.errors import DataError
from msgpass.nodes import Parameter
from msgpass.plan import Arg, Family, latent
from msgpass.potentials.quadratic import states_of
from msgpass.sweeps.rows import instance_rows

ROLES = {"prior": ("", "cov", "mean"), "linear": ("F", "Q", "b"), "observation": ("H", "R", "")}
"""Names of (F, Q, b) in each form of :class:`~msgpass.Quadratic`; "" for what is zero."""


class Given(NamedTuple):
    """An observed source: its argument, its columns of the matrix, its rows (instances, size)."""

    arg: Arg
    columns: slice
    data: np.ndarray


class LinearFamily:
    """One family in one run.

    Parameters
    ----------
    family : Family
    values
        Of the run.
    parts : dict, optional
        Role → (array in full shape, whether its first axis is the step); by default of these values.
    states : int, optional
        Give every array an axis of so many states, whether they pick it or not.

    Attributes
    ----------
    F : ndarray, shape (1 | instances, [K,] m, n)
        Of the latent sources end to end; n = 0 where there is none.
    Q, b : ndarrays, shapes (1 | instances, [K,] m, m), (1 | instances, [K,] m)
    y : ndarray, shape (instances, m), or None
        What is observed of the target; NaN is missing.
    given : tuple of Given
    places : ndarray of int
        Columns of the latent sources among all sources.
    """

    def __init__(self, family: Family, values, parts=None, states: int | None = None):
        potential = family.potential
        self.family, self.values = family, values
        self.matrix, self.covariance, self.offset = ROLES[potential.form]
        self.parts = parts or {r: potential.stacked(r, family.factor, values) for r in potential.parts}
        self.names = {r: p.name for r, p in potential.parts.items() if isinstance(p, Parameter)}
        own, real = states_of(family.factor)
        self.switched, self.states = own is not None, () if states is None else (states,)
        self.args = family.args[len(family.args) - len(real) :]
        sources = self.args[:0] if not self.matrix else self.args if "y" in self.parts else self.args[:-1]
        self.Q = self.lead(self.covariance)
        m = self.Q.shape[-1]
        whole = self.lead(self.matrix) if self.matrix else np.zeros((1, *self.states, m, 0))
        b = self.lead(self.offset) if self.offset else np.zeros((1, *self.states, m))
        self.width, given, free, start = whole.shape[-1], [], [], 0
        for arg in sources:
            columns = slice(start, start + math.prod(arg.slice.shape))
            start = columns.stop
            if latent(arg):
                free.append(columns)
                continue
            found = Given(arg, columns, self.data(arg))
            if np.isnan(found.data).any():
                raise missing_source(family, arg, int(np.argmax(np.isnan(found.data).any(axis=1))))
            b = b + self.times(whole[..., columns], found.data)
            given.append(found)
        blocks = [whole[..., columns] for columns in free] or [whole[..., :0]]
        self.F = contiguous(blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=-1))
        self.places = np.concatenate([np.zeros(0, int), *(np.arange(c.start, c.stop) for c in free)])
        self.b, self.given, self.y = b, tuple(given), self._target(m)

    def lead(self, role: str) -> np.ndarray:
        """A part with an axis of instances (or 1), and of states where there are some."""
        array, stepped = self.parts[role]
        array = array if stepped else array[None]
        if self.states and not self.switched:
            array = np.broadcast_to(array[:, None], (len(array), *self.states, *array.shape[1:]))
        return contiguous(array)

    def _target(self, m: int):
        count = self.family.factor.n
        if "y" in self.parts:
            y, _ = self.parts["y"]
            y = self.family.potential.value("y", self.values) if self.states else y
            return np.broadcast_to(contiguous(y).reshape(-1, m), (count, m))
        return None if latent(self.args[-1]) else self.data(self.args[-1])

    def data(self, arg: Arg):
        """Observed rows of an argument, (instances, size)."""
        array, count, size = self.values[arg.name], self.family.factor.n, math.prod(arg.slice.shape)
        rows = array[None] if arg.rows is None else array[instance_rows(self.family, arg)]
        return np.broadcast_to(contiguous(rows).reshape(len(rows), size), (count, size))

    def times(self, matrices, vectors):
        """Products of (1 | instances, [K,] i, j) and (instances, j)."""
        if len(matrices) == 1 and not self.states:
            return vectors @ matrices[0].T
        return (matrices @ (vectors[:, None, :, None] if self.states else vectors[..., None]))[..., 0]

    # -- back --------------------------------------------------------------------------------------------

    def deliver(self, store, Q, b, F=None, y=None, sign: float = 1.0) -> None:
        """Add ``sign`` · messages, shaped like the arrays or with a row an instance, to the parameters and
        observations behind them; ``b`` has a row an instance where a source is given.
        """
        if self.matrix in self.names:
            self.add(self.matrix, self._whole(F, b), store, sign)
        self.add(self.covariance, Q, store, sign)
        self.add(self.offset, b, store, sign)
        for arg, columns, _ in self.given:
            pulled = np.swapaxes(self.lead(self.matrix)[..., columns], -1, -2) @ b[..., None]
            pulled = pulled[..., 0].sum(axis=1) if self.states else pulled[..., 0]
            self.add_data(arg, sign * pulled, store)
        if y is not None and "y" in self.parts:
            self.add("y", y, store, sign)
        elif y is not None:
            self.add_data(self.args[-1], sign * y, store)

    def _whole(self, F, b):
        """Messages at the whole matrix, from those at its latent columns and at b."""
        stepped = self.parts[self.matrix][1]
        own = (lambda found: found) if stepped else (lambda found: found.sum(axis=0, keepdims=True))
        like = [part for part in (F, b) if part is not None]
        lead = self.family.factor.n if stepped else 1
        whole = zeros((lead, *self.states, b.shape[-1], self.width), float, like)
        if len(self.places):
            whole[..., self.places] = own(F)
        for _, columns, data in self.given:
            rows = data[:, None, None, :] if self.states else data[:, None, :]
            whole[..., columns] = own(b[..., :, None] * rows)
        return whole

    def add(self, role: str, found, store, sign: float = 1.0) -> None:
        """Add what arrived, with an axis of instances (or 1) and of states, to the parameter of a role."""
        name = self.names.get(role)
        if name is None:
            return
        target, stepped = store[name], self.parts[role][1]
        if self.states and role != "y" and not self._by_state(role, target.ndim - stepped):
            found = found.sum(axis=1)
        store[name] = target + sign * arriving(found, target, stepped)

    def _by_state(self, role: str, ndim: int) -> bool:
        return self.switched and ndim > (1 if role == self.offset else 2)

    def add_data(self, arg: Arg, found, store) -> None:
        """Add what arrived at the rows of an observation, (instances, size)."""
        add_instances(self.family, arg, store[arg.name], found)


def add_instances(family: Family, arg: Arg, target, found) -> None:
    """Add messages, (instances, size), to the rows of an observation that they belong to."""
    if arg.rows is None:
        target += found.sum(axis=0).reshape(target.shape)
        return
    rows = instance_rows(family, arg)
    if (rows.stop - rows.start if isinstance(rows, slice) else len(rows)) < len(found):
        found = found.sum(axis=0, keepdims=True)  # one row that all instances read
    np.add.at(target, rows, found.reshape(len(found), *target.shape[1:]))


def arriving(found, target, stepped: bool):
    """Messages with an axis of instances (or 1) in the shape of the parameter that they arrive at."""
    total = found if stepped else found.sum(axis=0)
    if target.shape == () and total.size != 1:
        total = total.sum()  # a scalar that stands for a constant vector
    return total.reshape(target.shape)


def missing_source(family: Family, arg: Arg, j: int) -> DataError:
    """An observed source of a linear relation has NaN."""
    return DataError(
        f"{family.name!r} reads {arg.slice.name}, which is missing (NaN) at its instance {j}: a missing "
        "source cannot be integrated out; fill it in, or make it a latent variable with a prior"
    )
