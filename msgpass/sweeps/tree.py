"""Two passes over a tree of factor instances, in any algebra over undirected potentials, without recursion.

Every instance is oriented towards a root. Forward, from the leaves: the message at ``out`` from the messages
at ``ins``. Backward, from the root: the message at each in, from what ``out`` and the other ins say. A
variable's forward
message is
what lies behind it, its backward message what lies ahead; together they are its belief.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.algebra.gaussian_forms import Canonical, canonical, to_moments, try_moments
from msgpass.dual_array import number
from msgpass.errors import GraphError
from msgpass.nodes import Sequence
from msgpass.plan import Tree, latent
from msgpass.sweeps.contradictions import refuse_impossible
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.flattened import flatten
from msgpass.sweeps.gaussian_messages import GaussianBelief, GaussianMessages
from msgpass.sweeps.quadratic_instances import QuadraticInstances
from msgpass.sweeps.structured_chain import LinkInstances
from msgpass.sweeps.structured_instances import StructuredInstances
from msgpass.sweeps.table_instances import TableInstances


@dataclass(frozen=True)
class Part:
    """One factor instance: its family's number, its own, and where (ins…, out) stand among the factor's
    latent variables.
    """

    family: int
    j: int
    order: tuple[int, ...]


@dataclass(frozen=True)
class Instance:
    """Factor instances over the same variables, taken together and oriented: variable ids of the ins and of
    the out.
    """

    parts: tuple[Part, ...]
    ins: tuple[int, ...]
    out: int


@dataclass(frozen=True)
class Orientation:
    """Variables (name, row), instances from the leaves to the roots, and the roots."""

    variables: tuple[tuple[str, int], ...]
    instances: tuple[Instance, ...]
    roots: tuple[int, ...]
    index: dict


def orient(block: Tree) -> Orientation:
    """Direct every instance towards the last variable of its component; a loop is an error that names its
    factors.
    """
    index: dict[tuple[str, int], int] = {}
    touched: list[list[tuple[int, int]]] = []
    members: dict[tuple[int, int], list[int]] = {}
    scopes: dict[frozenset[int], list[tuple[int, int]]] = {}
    spines: set[str] = (
        set()
    )  # sequences linked to themselves across time: a root at their end is forward in time
    flat = flatten(block)
    for v in range(len(flat)):
        index[flat.owner(v)] = v
        touched.append([])
    for k, family in enumerate(block.families):
        called = [a.name for a in family.args if latent(a) and a.slice.kind != "pick"]
        spines |= {name for name in called if called.count(name) > 1}
        for j, ids in enumerate(flat.scopes[k].tolist()):
            members[(k, j)] = ids
            scopes.setdefault(frozenset(ids), []).append((k, j))
            for v in ids:
                touched[v].append((k, j))
    names = list(index)
    seen = np.zeros(len(touched), bool)
    visited: set[tuple[int, int]] = set()
    downward: list[Instance] = []
    roots: list[int] = []
    for root in sorted(
        range(len(touched)), key=lambda v: (names[v][0] in spines, names[v][1], v), reverse=True
    ):
        if seen[root]:
            continue
        roots.append(root)
        seen[root] = True
        frontier = [root]
        while frontier:
            v = frontier.pop(0) if len(frontier) < 64 else frontier.pop()
            for key in touched[v]:
                if key in visited:
                    continue
                ids = members[key]
                together = [key] if len(ids) == 1 else scopes[frozenset(ids)]
                visited.update(together)
                ins = tuple(u for u in ids if u != v)
                for u in ins:
                    if seen[u]:
                        _loop(block, key, names[u], names[v])
                    seen[u] = True
                    frontier.append(u)
                parts = tuple(Part(*k, tuple(members[k].index(u) for u in (*ins, v))) for k in together)
                downward.append(Instance(parts, ins, v))
    return Orientation(tuple(names), tuple(reversed(downward)), tuple(roots), index)


def _loop(block, key, one, other):
    factor = block.families[key[0]].factor
    name = factor[key[1]].name if factor.n > 1 else factor.name
    text = [n if row < 0 else f"{n}[{row}]" for n, row in (one, other)]
    raise GraphError(
        f"the graph has a loop through {name} between {text[0]} and {text[1]}, and this schedule runs on "
        "chains and trees: JunctionTree() is exact with loops, Flooding() approximate"
    )


class TreeRun:
    """One run over a :class:`Tree`."""

    def __init__(
        self, block: Tree, orientation: Orientation, algebra, values, clamp=None, backward: bool = True
    ):
        self.block, self.o, self.algebra, self.values = block, orientation, algebra, values
        self.families: list[Any] = [self.instances(f) for f in block.families]
        self.clamp = clamp or {}
        self.local = [self.start(v) for v in range(len(orientation.variables))]
        self.forward_pass()
        if backward:
            self.backward_pass()

    def instances(self, family):
        """Potentials of a family in this run."""
        make = QuadraticInstances if self.block.gaussian else table_instances
        return make(family, self.values)

    def node(self, v: int):
        """Graph node of a variable."""
        return self.block.families[0].factor.graph.nodes[self.o.variables[v][0]]

    def start(self, v: int):
        """Unit message, or the clamp of a labelled variable."""
        name, row = self.o.variables[v]
        node = self.node(v)
        if self.block.gaussian:
            return self.algebra.unit(node.size, float)
        unit = np.zeros((*node.shape, node.states))
        if name in self.clamp:
            labels = np.asarray(self.clamp[name] if row < 0 else self.clamp[name][row])
            unit = np.where(
                (labels[..., None] < 0) | (np.arange(node.states) == labels[..., None]), 0.0, -np.inf
            )
        return unit

    def potential(self, instance: Instance):
        """Potential of an instance, axes or blocks in the order ins, out."""
        found = [self.part_potential(p) for p in instance.parts]
        if len(found) == 1:
            return found[0]
        if self.block.gaussian:
            forms = [canonical(p) for p in found]
            h = np.sum([f.h for f in forms], axis=0)
            precision = np.sum([f.precision for f in forms], axis=0)
            return Canonical(h, precision, sum(f.log_scale for f in forms), forms[0].sizes)
        return sum(found[1:], found[0])

    def part_potential(self, part: Part):
        """Potential of one factor instance, axes or blocks in the order ins, out."""
        made, order = self.families[part.family], part.order
        if self.block.gaussian:
            return made.potential(part.j, order[-1] if len(order) > 1 else None)
        table = made.table(part.j)
        lead = table.ndim - len(order)
        return np.transpose(table, (*range(lead), *(lead + p for p in order)))

    def forward_pass(self) -> None:
        """Leaves to roots."""
        self.forward: Any = list(self.local)
        self.sent: list = [None] * len(self.o.instances)
        for k, inst in enumerate(self.o.instances):
            message = self.algebra.forward(self.potential(inst), [self.forward[u] for u in inst.ins])
            self.sent[k] = message
            self.forward[inst.out] = self.algebra.add(self.forward[inst.out], message)
        self.total = number(sum(self.algebra.close(self.forward[r]) for r in self.o.roots))

    def backward_pass(self) -> None:
        """Roots to leaves; what an instance's ``out`` says leaves the instance's own message out."""
        self.into: list[list[int]] = [[] for _ in self.o.variables]
        for k, inst in enumerate(self.o.instances):
            self.into[inst.out].append(k)
        self.backward: Any = [None] * len(self.o.variables)
        self.at_out: Any = [None] * len(self.o.instances)
        for r in self.o.roots:
            self.backward[r] = self.unit_like(r)
            self.spread(r)
        for k in range(len(self.o.instances) - 1, -1, -1):
            inst = self.o.instances[k]
            if not inst.ins:
                continue
            messages = self.algebra.backward(
                self.potential(inst), [self.forward[u] for u in inst.ins], self.at_out[k]
            )
            for u, message in zip(inst.ins, messages, strict=True):
                self.backward[u] = message
                self.spread(u)

    def unit_like(self, v: int):
        """The message that says nothing to variable v."""
        node = self.node(v)
        return (
            self.algebra.unit(node.size, float)
            if self.block.gaussian
            else np.zeros((*node.shape, node.states))
        )

    def spread(self, v: int) -> None:
        """What v says to each instance that points at it: everything but that instance (prefix and suffix
        products).
        """
        ids = self.into[v]
        base = self.algebra.add(self.backward[v], self.local[v])
        prefix = [base]
        for k in ids[:-1]:
            prefix.append(self.algebra.add(prefix[-1], self.sent[k]))
        suffix = None
        for position in range(len(ids) - 1, -1, -1):
            k = ids[position]
            self.at_out[k] = (
                prefix[position] if suffix is None else self.algebra.add(prefix[position], suffix)
            )
            suffix = self.sent[k] if suffix is None else self.algebra.add(self.sent[k], suffix)

    # -- readings ----------------------------------------------------------------------------------------

    def belief(self, v: int):
        """Everything that is known about a variable."""
        return self.algebra.add(self.forward[v], self.backward[v])

    def joint(self, k: int):
        """Normalised belief of an instance, variables in the order ins, out."""
        inst = self.o.instances[k]
        if self.block.gaussian and not inst.ins:
            return to_moments(self.belief(inst.out))
        return self.algebra.joint(self.potential(inst), [self.forward[u] for u in inst.ins], self.at_out[k])

    def as_factor(self, inst: Instance, part: Part, joint):
        """A joint belief in the factor's own order of latent variables."""
        back = np.argsort(part.order)
        if not self.block.gaussian:
            lead = joint.ndim - len(back)
            return np.transpose(joint, (*range(lead), *(lead + p for p in back)))
        sizes = [self.node(v).size for v in (*inst.ins, inst.out)]
        blocks = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
        index = np.concatenate([blocks[p] for p in back])
        return joint._replace(mean=joint.mean[index], cov=joint.cov[np.ix_(index, index)])

    def counts(self, k: int, assignment=None) -> np.ndarray:
        """Expected counts of a table instance (along the best path: one where the assignment goes), in the
        order ins, out.
        """
        if assignment is None:
            return np.exp(self.joint(k))
        inst = self.o.instances[k]
        ids = (*inst.ins, inst.out)
        batch = np.shape(assignment[ids[0]])
        one = np.zeros((*batch, *(self.node(v).states for v in ids)))
        for place in np.ndindex(*batch):
            one[(*place, *(int(assignment[v][place]) for v in ids))] = 1
        return one

    def assign(self) -> list[np.ndarray]:
        """Best assignment by tracing back from the roots; ties go to the lowest state."""
        found: list = [None] * len(self.o.variables)
        for r in self.o.roots:
            found[r] = np.argmax(self.forward[r], axis=-1)
        for k in range(len(self.o.instances) - 1, -1, -1):
            inst = self.o.instances[k]
            if not inst.ins:
                continue
            places = self.best_ins(
                inst, self.potential(inst), [self.forward[u] for u in inst.ins], found[inst.out]
            )
            for u, place in zip(inst.ins, places, strict=True):
                found[u] = place
        return found

    def best_ins(self, inst: Instance, potential, ins, at: np.ndarray) -> list[np.ndarray]:
        """Best states of an instance's ins when its out is in state ``at``."""
        scores = self.algebra.combine(potential, ins)
        batch, states = np.shape(at), [self.node(u).states for u in inst.ins]
        scores = np.broadcast_to(scores, (*batch, *scores.shape[-len(states) - 1 :]))
        chosen = np.take_along_axis(scores, np.reshape(at, (*batch, *(1,) * (len(states) + 1))), axis=-1)[
            ..., 0
        ]
        flat = chosen.reshape(*batch, -1).argmax(axis=-1)
        return [np.asarray(p) for p in np.unravel_index(flat, states)]

    def add_parameters(self, store, sign: float = 1.0, assignment=None) -> None:
        """What arrives at parameters and at real sequences behind tables."""
        for k in range(len(self.o.instances)):
            self.collect(k, store, sign, assignment)

    def collect(self, k: int, store, sign: float, assignment) -> None:
        """What one instance says to the parameters behind its parts."""
        inst = self.o.instances[k]
        joint = None
        for part in inst.parts:
            made = self.families[part.family]
            if self.block.gaussian:
                self.add_gaussian(k, part, store, made.family.parameter_names)
                continue
            target = table_target(made, store)
            if target is not None:
                joint = self.counts(k, assignment) if joint is None else joint
                made.add_counts(
                    sign * self.as_factor(inst, part, joint)[None], target, slice(part.j, part.j + 1)
                )

    def add_gaussian(self, k: int, part: Part, store, names: dict[str, str]) -> None:
        """What one part of a Gaussian instance says to the parameters and observations behind it."""
        inst, made = self.o.instances[k], self.families[part.family]
        if not names and all(made.latent):
            return
        if len(inst.parts) == 1 and made.relates_to_latent(part.j):
            messages = [*(self.forward[u] for u in inst.ins), self.at_out[k]]
            *sources, said = (messages[place] for place in np.argsort(part.order))
            known = [try_moments(message) for message in sources]
            if all(m is not None for m in known) and made.add_adjoint(part.j, known, said, store, names):
                return
        own = self.as_factor(inst, part, self.joint(k))
        made.add_statistics(part.j, own.mean, own.cov, store, names)

    def read_forward(self, name: str):
        """What lies behind each row."""
        return self._stacked(name, self.forward)

    def read_backward(self, name: str):
        """What lies ahead of each row."""
        return self._stacked(name, self.backward)

    def read_belief(self, name: str):
        """Normalised beliefs of a variable's rows."""
        self.impossible()
        beliefs = {v: self.belief(v) for v in self.rows_of(name)}
        if self.block.gaussian:
            found = self._stacked(name, {v: to_moments(m) for v, m in beliefs.items()})
            sequence = isinstance(self.node(self.rows_of(name)[0]), Sequence)
            return GaussianBelief(*((a if sequence else a[0]) for a in (found.mean, found.cov)))
        return self._stacked(name, {v: self.algebra.normalise(m) for v, m in beliefs.items()})

    def read_factor(self, family):
        """Joint beliefs of a factor's instances."""
        self.impossible()
        place = self.block.families.index(family)
        parts = sorted(
            (part.j, i, part)
            for i, inst in enumerate(self.o.instances)
            for part in inst.parts
            if part.family == place
        )
        joints = [self.as_factor(self.o.instances[i], part, self.joint(i)) for _, i, part in parts]
        if self.block.gaussian:
            return GaussianBelief(np.stack([j.mean for j in joints]), np.stack([j.cov for j in joints]))
        return np.stack(joints)

    def rows_of(self, name: str) -> list[int]:
        """Variables of a node's rows."""
        node = self.block.families[0].factor.graph.nodes[name]
        rows = range(node.clock.total) if isinstance(node, Sequence) else (-1,)
        return [self.o.index[(name, row)] for row in rows]

    def _stacked(self, name: str, messages):
        ids = self.rows_of(name)
        found, node = [messages[v] for v in ids], self.node(ids[0])
        if self.block.gaussian:
            return GaussianMessages(tuple(found), node.shape)
        return np.stack(found) if isinstance(node, Sequence) else found[0]

    def impossible(self) -> None:
        """Raise where the evidence has probability zero."""
        if self.total == -np.inf:
            refuse_impossible(self.block, self.values, self.clamp)


def table_target(made: TableInstances, store):
    """Accumulator behind a table: its parameter's, or that of the rows of a real sequence; None for a
    constant.
    """
    from msgpass.nodes import Parameter, Slice

    if isinstance(made, StructuredInstances | LinkInstances):
        return made.target(store)
    source = made.family.potential.source
    if isinstance(source, Parameter):
        return store[source.name]
    if isinstance(source, Slice):
        rows = source.rows(made.family.clock, made.family.counts) if source.kind != "single" else None
        return _RowsView(store, source.node.name, rows)
    return None


class _RowsView:
    """Adds onto rows of a stored array through their instance numbers."""

    def __init__(self, store, name, rows):
        self.target, self.rows = store[name], rows

    def __getitem__(self, chosen):
        return np.zeros_like(self.target[self._rows(chosen)])

    def __setitem__(self, chosen, value) -> None:
        np.add.at(self.target, self._rows(chosen), value)

    def __iadd__(self, value):
        self.target += value
        return self

    def _rows(self, chosen):
        if isinstance(self.rows, slice):
            return np.arange(self.rows.start, self.rows.stop)[chosen]
        return self.rows[chosen]
