"""A family of factors with structure in one run: messages without a table, and the table where a sweep asks
for it.

Observed variables come in as messages that know their state; missing ones are summed out, under max-product
too, as those of tables are.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.dual_array import zeros
from msgpass.errors import ImpossibleEvidenceError, UnsupportedError
from msgpass.nodes import Parameter
from msgpass.plan import Family
from msgpass.sweeps.table_instances import TableInstances


class StructuredInstances(TableInstances):
    """The instances of one family; ``incoming`` is over its latent variables, (n, latent arity, K)."""

    def __init__(self, family: Family, values):
        self.family, self.values = family, values
        self.potential = family.potential
        self.states, self.batch, self.observed, self.stepped = family.table_layout
        self.has_batch = False
        self.parts = self.potential.arrays(family.factor, values)
        self.latent = [k for k in range(len(self.states)) if k not in self.observed]

    # -- messages ------------------------------------------------------------------------------------------

    def log_messages(self, incoming: np.ndarray, maximise: bool = False, chosen=None) -> np.ndarray:
        """Log messages to the latent variables of the chosen instances (all by default)."""
        full, parts = self.complete(incoming, maximise, chosen)
        out = self.potential.log_messages(full, maximise, parts)
        return out[:, self.latent] if self.observed else out

    def log_partition(self, incoming: np.ndarray, maximise: bool = False, chosen=None) -> np.ndarray:
        """⊕ of everything at a factor, one an instance."""
        full, parts = self.complete(incoming, maximise, chosen)
        return self.potential.log_partition(full, maximise, parts)

    def complete(self, incoming, maximise: bool = False, chosen=None):
        """Messages of all variables, observed ones included, and the parts of these instances."""
        parts = self.parts
        if chosen is not None:
            parts = {r: p[chosen] if len(p) > 1 else p for r, p in parts.items()}
        if not self.observed:
            return incoming, parts
        seen = self.seen if chosen is None else self.seen[chosen]
        if maximise:
            self.refuse_missing(seen)
        full = np.empty((len(incoming), len(self.states), self.states[0]))
        full[:, self.latent], full[:, self.observed] = incoming, seen
        return full, parts

    def refuse_missing(self, seen=None) -> None:
        """Raise where an observation is missing: a sum inside a maximum needs the table."""
        if self.observed and ((self.seen if seen is None else seen) == 0).all(axis=-1).any():
            raise UnsupportedError(
                f"factor {self.family.name!r} reads missing observations under max-product, where they are "
                "summed out first: use SumProduct(), or a variable in place of the observation"
            )

    @cached_property
    def seen(self) -> np.ndarray:
        """Messages of the observed variables, (n, observed, K): −∞ but at the state; 0 where missing."""
        n, states = self.family.factor.n, np.arange(self.states[0])
        columns = [np.broadcast_to(self.data(k), (n,)) for k in self.observed]
        data = np.stack(columns, axis=1)[..., None]
        return np.where((data < 0) | (data == states), 0.0, -np.inf)

    def refuse_contradictions(self, incoming: np.ndarray) -> None:
        """Raise where hard evidence leaves an instance no configuration, naming the first."""
        gone = np.flatnonzero(self.log_partition(incoming) == -np.inf)
        if gone.size:
            factor, kind = self.family.factor, type(self.potential).__name__
            name = factor.name if factor.n == 1 else factor[int(gone[0])].name
            raise ImpossibleEvidenceError(
                f"the evidence contradicts factor {name}, {'an' if kind[0] in 'AEO' else 'a'} {kind}: no "
                "configuration of its variables is left, so that no posterior exists"
            )

    # -- tables --------------------------------------------------------------------------------------------

    @cached_property
    def array(self) -> np.ndarray:
        """Written out, up to a bound: (states…), with a leading axis where instances differ."""
        table = self.potential.as_table(len(self.states), self.states[0], self.parts)
        return np.broadcast_to(table, (self.family.factor.n, *self.states)) if self.stepped else table[0]

    # -- what arrives at parameters ------------------------------------------------------------------------

    @property
    def roles(self) -> dict[str, str]:
        """Role → name of the parts that are parameters."""
        return {r: p.name for r, p in self.potential.parts.items() if isinstance(p, Parameter)}

    def target(self, store):
        """Where counts of the table go; None where no part is a parameter."""
        return store if self.roles else None

    def add_gradient(self, incoming: np.ndarray, store, sign: float = 1.0) -> None:
        """∂ log partition/∂part at these messages, onto the parameters."""
        if not self.roles:
            return
        full, parts = self.complete(incoming)
        self.add(store, self.potential.gradients(full, parts), sign)

    def add_gradient_at(self, states: np.ndarray, store, sign: float = 1.0) -> None:
        """∂ log value/∂part at one configuration (n, latent arity) an instance."""
        if not self.roles:
            return
        full = np.empty((len(states), len(self.states)), np.int64)
        full[:, self.latent] = states
        for k in self.observed:
            full[:, k] = self.data(k)
        if (full < 0).any():
            self.complete(np.zeros((len(states), len(self.latent), self.states[0])), maximise=True)
        found = self.potential.gradients_at(full[:, None], self.parts)
        self.add(store, {role: g[:, 0] for role, g in found.items()}, sign)

    def add_counts(self, weights: np.ndarray, target, chosen=None) -> None:
        """Add what expected counts over the latent variables, (n, K, …, K), say of the parts."""
        n = self.family.factor.n
        shape = (n, *self.states) if self.stepped else self.states
        full = zeros(shape, weights.dtype, [weights])
        super().add_counts(weights, full, chosen)
        rows = full.reshape(n if self.stepped else 1, -1)
        grid = np.indices(self.states).reshape(len(self.states), -1).T[None]
        found = {}
        for role, each in self.potential.gradients_at(grid, self.parts).items():
            spread = rows.reshape(*rows.shape, *(1,) * (each.ndim - 2))
            found[role] = (spread * each).sum(axis=1)
        self.add(target, found, 1.0)

    def add(self, store, found, sign: float) -> None:
        """Add gradients by role, with a leading axis of instances, onto the parameters."""
        for role, name in self.roles.items():
            part, got = self.parts[role], found[role]
            own = part.shape[0] > 1 or self.potential.parts[role].value.ndim > self.potential.axes[role]
            got = got if own else got.sum(axis=0)
            target = store[name]
            target += sign * got.reshape(target.shape)
