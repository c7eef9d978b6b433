"""What can be read from a run of loopy propagation: beliefs, single messages, what arrives at parameters."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import GraphError, ImpossibleEvidenceError, UnavailableError, UnsupportedError
from msgpass.kernels.structured_reference import table_joint
from msgpass.sweeps.flooding.bethe import Bethe
from msgpass.sweeps.flooding.tables import logs_of, structured
from msgpass.sweeps.tree import table_target


class Readings(Bethe):
    """Readings by the names of the graph."""

    block: Any
    families: list
    maximise: bool

    def node(self, name: str):
        """Graph node."""
        return self.block.families[0].factor.graph.nodes[name]

    def shaped(self, name: str, stacked: np.ndarray) -> np.ndarray:
        """(rows · batch, …) as (T, *batch, …), or (*batch, …) of a single variable."""
        rows = self.layout.flat.rows[name]
        found = stacked.reshape(rows, *self.layout.shape, *stacked.shape[1:])
        return found if name not in self.layout.flat.singles else found[0]

    def _rows(self, name: str) -> np.ndarray:
        rows, states = self.layout.of(name), self.node(name).states
        start = int(self.layout.where[rows.start])
        return self.beliefs[start : start + (rows.stop - rows.start) * states].reshape(-1, states)

    def read_belief(self, name: str) -> np.ndarray:
        """Normalised log beliefs of a node's rows."""
        self.impossible()
        return self.shaped(name, self.ring.normalise(self._rows(name)))

    def read_assignment(self, name: str) -> np.ndarray:
        """The best state of each row by itself; ties go to the lowest state."""
        return self.shaped(name, np.argmax(self._rows(name), axis=-1))

    def assign(self) -> np.ndarray:
        """Best states of all variables, each by itself."""
        found = np.zeros(len(self.layout.where) - 1, np.int64)
        for name in self.block.nodes:
            found[self.layout.of(name)] = np.argmax(self._rows(name), axis=-1)
        return found

    def read_factor(self, family) -> np.ndarray:
        """Normalised log beliefs of a factor's instances, (n, *batch, states…)."""
        self.impossible()
        joint = self._belief(self.block.families.index(family))
        axes = joint.ndim - 1
        found = self.ring.normalise(joint, axes)
        return found.reshape(-1, *self.layout.shape, *found.shape[1:])

    def _belief(self, k: int) -> np.ndarray:
        """Joint beliefs of a family's factors, (n, states…), not normalised."""
        layout, scopes, made = self.layout, self.layout.scopes[k], self.families[k]
        if structured(made.family.potential):
            return table_joint(self._said_to(k), made.stacked())
        sizes = np.diff(layout.where)[scopes[0]]
        if scopes.shape[1] == 1:
            return self.beliefs[layout.where[scopes] + np.arange(sizes[0])]
        joint, kept = np.empty((len(scopes), *sizes)), layout.kept[k]
        joint[slice(None) if kept is None else kept] = self._of_group(k)
        for guest in (g for g in layout.guests if g.family == k):
            rows, all_kept = guest.host_rows, layout.kept[guest.host]
            rows = rows if all_kept is None else np.searchsorted(all_kept, rows)
            joint[guest.rows] = self._of_group(guest.host)[rows].transpose(0, *(1 + np.argsort(guest.axes)))
        return joint

    def _of_group(self, k: int) -> np.ndarray:
        """Joint beliefs of the factors that have messages of their own."""
        group = self.group_of[k]
        return self._joint(self.problem.groups[group], self.said[group])

    @cached_property
    def group_of(self) -> dict[int, int]:
        """Family → group of factors with messages."""
        kinds = [structured(m.family.potential) for m in self.families]
        scopes = self.layout.scopes
        own = [k for k, s in enumerate(scopes) if len(s) and (kinds[k] or s.shape[1] > 1)]
        return {k: group for group, k in enumerate(own)}

    def _said_to(self, k: int) -> np.ndarray:
        """What the variables of structured factors say, (n, arity, K)."""
        said = self.said[self.group_of[k]]
        return said.reshape(len(said), self.layout.scopes[k].shape[1], -1)

    def read_message(self, place: int, instance, name: str, row: int, from_factor: bool) -> np.ndarray:
        """One message along an edge, its best state at 0."""
        layout, scopes, j = self.layout, self.layout.scopes[place], instance.t
        if layout.shape:
            raise UnsupportedError("single messages of an aligned batch: run one member alone")
        v = layout.of(name).start + max(row, 0) if name in layout.flat.first else -1
        positions = np.flatnonzero(scopes[j] == v)
        if not len(positions):
            where = name if row < 0 else f"{name}[{row}]"
            raise GraphError(f"{instance.name} and {where} are not neighbours; no message runs between them")
        if place not in self.group_of:
            own = np.broadcast_to(logs_of(self.families[place], ()), (len(scopes), self.node(name).states))[j]
            if from_factor:
                return own.copy()
            with np.errstate(invalid="ignore"):
                return self.temperature * self.beliefs[layout.where[v] : layout.where[v + 1]] - own
        kept = layout.kept[place]
        shares = kept is not None and j not in kept
        hosts = any(g.host == place and (g.host_rows == j).any() for g in layout.guests)
        if shares or hosts:
            raise UnsupportedError(
                f"several factors join the same variables as {instance.name}: no single message of one of "
                "them exists; add their tables into one"
            )
        group, at = self.group_of[place], j if kept is None else int(np.searchsorted(kept, j))
        columns = self.problem.groups[group].columns[int(positions[0])]
        found = (self.messages if from_factor else self.said)[group][at, columns]
        top = found.max()
        return self.temperature * (found - (top if top > -np.inf else 0.0))

    def read_forward(self, name: str):
        """There is none."""
        raise self._undirected("forward", name)

    def read_backward(self, name: str):
        """There is none."""
        raise self._undirected("backward", name)

    def _undirected(self, what: str, name: str) -> UnavailableError:
        return UnavailableError(
            f"there is no {what} message of {name!r}: loopy propagation knows no direction; read m.belief"
        )

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """∂total/∂parameter at a fixed point: expected counts under the factors' beliefs."""
        for k, made in enumerate(self.families):
            target = table_target(made, store)
            if target is None or not made.family.factor.n:
                continue
            if structured(made.family.potential):
                self._add_structured(k, made, store, sign, assignment)
                continue
            made.add_counts(sign * self._counts(k, assignment), target)

    def _add_structured(self, k: int, made, store, sign: float, assignment) -> None:
        scopes = self.layout.scopes[k]
        if assignment is not None:
            made.add_gradient_at(assignment[scopes], store, sign)
            return
        made.add_gradient(self._said_to(k), store, sign)

    def _counts(self, k: int, assignment) -> np.ndarray:
        scopes = self.layout.scopes[k]
        if assignment is None:
            joint = self._belief(k)
            counts = np.exp(self.ring.normalise(joint, joint.ndim - 1))
        else:
            sizes = np.diff(self.layout.where)[scopes[0]]
            counts = np.zeros((len(scopes), *sizes))
            counts[(np.arange(len(scopes)), *assignment[scopes].T)] = 1.0
        return counts.reshape(-1, *self.layout.shape, *counts.shape[1:])

    def impossible(self) -> None:
        """Raise where the evidence leaves a variable or a factor no state."""
        if not (self.contradicted or self.stateless):
            return
        for made, scopes in zip(self.families, self.layout.scopes, strict=True):
            if structured(made.family.potential) and len(scopes) and not self.maximise:
                where, states = self.layout.where, self.node(made.family.args[made.latent[0]].name).states
                made.refuse_contradictions(self.problem.local[where[scopes][..., None] + np.arange(states)])
        raise ImpossibleEvidenceError(
            f"the evidence on {', '.join(self.block.nodes[:4])} leaves no state that all messages allow, so "
            "that no posterior exists; look for −∞ in its tables"
        )
