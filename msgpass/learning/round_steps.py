"""What steps of a written-out flooding compute: tables and labels as it takes them, beliefs, log Z."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError
from msgpass.learning.message_round import ZERO, Round
from msgpass.learning.round_readings import Readings
from msgpass.nodes import Observation, Sequence, Slice, Variable
from msgpass.plan import Family
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.tree import table_target


def latent_slice(s: Slice) -> bool:
    """Of a variable or a sequence."""
    return isinstance(s.node, Variable | Sequence)


class Part:
    """One node's share of all beliefs."""

    def __init__(self, cells: slice, states: int):
        self.cells, self.states = cells, states

    def rows(self, cells):
        """(rows, states)."""
        return cells[self.cells].reshape(-1, self.states)

    def one(self, cells):
        """(states,)."""
        return cells[self.cells]

    def vjp(self, inputs, cotangent):
        """Where it came from."""
        found = np.zeros_like(inputs[0])
        found[self.cells] = np.ravel(cotangent)
        return (found,)


class Bethe:
    """Bethe's log Z of messages, tables and their scales."""

    def __init__(self, around: Round, families: int):
        self.said, self.families = Readings(around), families

    def f(self, messages, *given):
        """What the tables say, and the scales."""
        tables, scales = given[: self.families], given[self.families :]
        return self.said.bethe(messages, *tables) + sum(scales)

    def vjp(self, inputs, cotangent):
        """None of scales: see :class:`Tables`."""
        found = self.said.bethe_vjp(inputs[: self.families + 1], cotangent)
        return (*found, *(None for _ in inputs[self.families + 1 :]))


class Tables:
    """A family's log tables, each instance's largest entry 0; one instance where all share a table.

    The scale counts as a number that does not move: messages and beliefs do not depend on it, and log Z does
    not depend on which part of a table is called its scale.
    """

    def __init__(self, family: Family):
        self.family = family
        factor = family.factor
        source = family.potential.source
        behind = (
            [] if isinstance(source, np.ndarray) else [source.node if isinstance(source, Slice) else source]
        )
        seen = [s.node for s in factor.args if isinstance(s.node, Observation)]
        self.names = list(dict.fromkeys(n.name for n in (*behind, *seen)))
        self.given = [n.name for n in behind]
        self.states = {n.name: n.states for n in seen}
        self.shape = (
            1 if not (seen or family.potential.stepped(factor)) else factor.n,
            *(s.node.states for s in factor.args if latent_slice(s)),
        )

    def f(self, *inputs):
        """Log tables, and the sum over instances of what was taken off them."""
        return self._tables(inputs)[1:]

    def vjp(self, inputs, cotangent):
        """Cotangents of the log values; none of observations."""
        made, logs, _ = self._tables(inputs)
        values = dict(zip(self.names, inputs, strict=True))
        store = {n: np.zeros_like(values[n]) for n in self.given}
        arrived = np.where(logs > 0, 0.0, cotangent[0])
        target = table_target(made, store)
        if target is not None:
            made.add_counts(arrived, target)
        return tuple(store.get(n) for n in self.names)

    def _tables(self, inputs):
        values = dict(zip(self.names, inputs, strict=True))
        for name, states in self.states.items():
            values[name] = _as_states(name, values[name], states)
        made = table_instances(self.family, values)
        shared = self.shape[0] == 1 and self.family.factor.n != 1
        logs = made.array[None] if shared else made.stacked()
        axes = tuple(range(1, logs.ndim))
        top = logs.max(axis=axes, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        scale = top.sum() * (self.family.factor.n if shared else 1)
        return made, np.where(logs > -np.inf, logs - top, ZERO), np.asarray(scale, np.float64)


def _as_states(name: str, value, states: int) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), -1, array)
        if (array != np.rint(array)).any() or array.min(initial=0) < -1 or array.max(initial=0) >= states:
            raise DataError(f"{name!r} holds states, whole numbers from 0 to {states - 1}, −1 is missing")
    return array.astype(np.int64)


class Labels:
    """Labels of a node's rows as log tables; −1 is unknown."""

    def __init__(self, name: str, states: int):
        self.name, self.states = name, states

    def f(self, labels):
        """(rows, states)."""
        known = np.atleast_1d(_as_states(self.name, labels, self.states))[:, None]
        return np.where((known < 0) | (known == np.arange(self.states)), 0.0, ZERO)

    def vjp(self, inputs, cotangent):
        """None."""
        return (None,)
