"""The flat graph: one variable a step, one factor an instance, and the same messages.

Names carry the stacked row: ``z[3]`` (rows of ragged sequences count on end to end), ``transition[2]``.
Observations become
one observation a row; parameters stay shared; a table with a step axis becomes one table a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence, Slice
from msgpass.plan import Arg, Family, resolve
from msgpass.potentials import TABLES, Loss, Quadratic, Step, Structured
from msgpass.sweeps.rows import edges_of, per_instance, rows_of


def unroll(graph):
    """Write every slice out; see :meth:`FactorGraph.unroll`."""
    return _Unrolling(graph).flat


class _Unrolling:
    def __init__(self, graph):
        self.graph, self.flat = graph, type(graph)()
        for node in graph.nodes.values():
            self.add_node(node)
        for factor in graph.factors.values():
            self.add_factor(resolve(factor))
        for name, labels in graph.conditions.items():
            node = graph.nodes[name]
            if isinstance(node, Sequence):
                for row in range(node.clock.total):
                    self.flat.condition(self.flat[f"{name}[{row}]"], labels[row])
            else:
                self.flat.condition(self.flat[name], labels)
        for name, weight in graph.weights.items():
            node = graph.nodes[name]
            rows = range(node.clock.total) if isinstance(node, Sequence) else ()
            for place in [f"{name}[{row}]" for row in rows] or [name]:
                self.flat.weigh(self.flat[place], weight.value, weight.task)

    def add_node(self, node) -> None:
        """Rows of sequences; parameters and single variables as they are; observations when a factor reads
        them.
        """
        if isinstance(node, Sequence):
            for row in range(node.clock.total):
                self.flat.variable(f"{node.name}[{row}]", self.states(node), node.shape)
        elif isinstance(node, Parameter):
            self.flat.parameter(node.name, node.value)
        elif not isinstance(node, Observation):
            self.flat.variable(node.name, self.states(node), node.shape)

    def states(self, node):
        """Number of states, or their names."""
        return self.graph.state_names.get(node.name, node.states)

    def item(self, arg: Arg, row: int | None):
        """Flat node of a row (None: the whole)."""
        node = arg.slice.node
        if isinstance(node, Observation):
            name = node.name if row is None else f"{node.name}[{row}]"
            if name not in self.flat.nodes:
                self.flat.observe(name, node.value if row is None else node.value[row], self.states(node))
            return self.flat[name]
        if row is None:
            return self.flat[node.name]
        return self.flat[f"{node.name}[{row}]"]

    def add_factor(self, family: Family) -> None:
        """One factor an instance."""
        n = family.factor.n
        single = n == 1 and family.counts is None
        sequences = (
            np.repeat(np.arange(len(family.counts)), family.counts)
            if family.counts is not None
            else np.zeros(1, int)
        )
        columns = [self.rows(family, a, n, sequences) for a in family.args]
        outs = [self.rows(family, a, n, sequences) for a in family.outs]
        for j in range(n):
            potential = self.potential(family, j)
            args = [node for column in columns for node in self.at(column[j])]
            name = family.name if single else f"{family.name}[{j}]"
            out = [self.at(column[j])[0] for column in outs]
            self.flat.factor(potential, *args, out=tuple(out) or None, name=name)

    def at(self, place):
        """Nodes of one cell: one row, or all of them."""
        arg, row = place
        if row is _ALL:
            return [self.item(arg, r) for r in range(_width(arg))]
        return [self.item(arg, row)]

    def rows(self, family: Family, arg: Arg, n: int, sequences) -> list:
        """(argument, row) of each instance, edges put in."""
        if arg.slice.kind == "all":
            return [(arg, _ALL)] * n
        if arg.rows is None:
            return [(arg, None)] * n
        if arg.slice.kind == "index" and family.factor.stepped and not arg.clock.ragged:
            return [(arg, arg.rows.start)] * n
        rows = rows_of(family, arg, slice(None))
        rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        cells: list = [(arg, int(r)) for r in rows]
        if arg.edge is not None:
            for j, s in zip(*edges_of(family, arg), strict=True):
                cells[j] = self.edge(arg, int(s))
        return cells

    def edge(self, arg: Arg, sequence: int):
        """The edge of one sequence."""
        if arg.edge.rows is not None:
            rows = arg.edge.rows
            rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            return (arg.edge, int(rows[sequence if len(rows) > 1 else 0]))
        if len(arg.edge.slice.shape) > len(arg.slice.shape):
            raise UnsupportedError(
                f"{arg.slice.name}: a start of its own for each ragged sequence cannot be unrolled "
                "from one array; give the sequences a shared start"
            )
        return (arg.edge, None)

    def potential(self, family: Family, j: int):
        """The instance's potential; arrays with a step axis are cut."""
        potential = family.potential
        if isinstance(potential, Structured):
            return potential.of({role: self.part(family, role, j) for role in potential.parts})
        if isinstance(potential, TABLES):
            return potential.of(self.table_source(family, j))
        if isinstance(potential, Quadratic):
            return self.quadratic(family, j)
        return regrouped(family, self.noise(family, j))

    def part(self, family: Family, role: str, j: int):
        """A structured factor's part of instance j; shared ones stay shared."""
        part = family.potential.parts[role]
        stepped = len(part.shape) > family.potential.axes[role]
        if not isinstance(part, Parameter):
            return part[j] if stepped else part
        name = f"{part.name}[{j}]" if stepped else part.name
        if name not in self.flat.nodes:
            self.flat.parameter(name, part.value[j])
        return self.flat[name]

    def noise(self, family: Family, j: int):
        """Covariance of a noisy step's instance j; None where it is deterministic."""
        part = family.potential.parts.get("noise")
        if part is None:
            return None
        stepped = len(part.shape) == 3 or (part.shape == (family.factor.n,) and family.factor.n > 1)
        if not isinstance(part, Parameter):
            return part[j] if stepped else part
        name = f"{part.name}[{j}]" if stepped else part.name
        if name not in self.flat.nodes:
            self.flat.parameter(name, part.value[j])
        return self.flat[name]

    def table_source(self, family: Family, j: int):
        """Log values of instance j; shared parameters stay shared."""
        source = family.potential.source
        if isinstance(source, Slice):
            if source.kind == "single":
                return self.flat[source.node.name]
            rows = source.rows(family.clock, family.counts)
            row = int((np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows)[j])
            name = f"{source.node.name}[{row}]"
            if isinstance(source.node, Observation) and name not in self.flat.nodes:
                self.flat.observe(name, source.node.value[row])
            return self.flat[name]
        stepped = family.potential.stepped(family.factor)
        if isinstance(source, Parameter):
            if stepped:
                name = f"{source.name}[{j}]"
                if name not in self.flat.nodes:
                    self.flat.parameter(name, source.value[j])
                return self.flat[name]
            return self.flat[source.name]
        return source[j] if stepped else source

    def quadratic(self, family: Family, j: int) -> Quadratic:
        """Quadratic of instance j."""
        potential, fresh = family.potential, Quadratic.__new__(Quadratic)
        fresh.form, fresh.parts = potential.form, {}
        values = {n.name: n.value for n in self.graph.nodes.values() if isinstance(n, Parameter)}
        for role, part in potential.parts.items():
            array, stepped = potential.stacked(role, family.factor, values)
            if isinstance(part, Parameter):
                name = f"{part.name}[{j}]" if stepped else part.name
                if name not in self.flat.nodes:
                    self.flat.parameter(name, array[j])
                fresh.parts[role] = self.flat[name]
            else:
                fresh.parts[role] = array[j] if stepped else array
        return fresh


_ALL = object()


class Regrouped:
    """A step's or loss's functions on the flat graph's single rows.

    A row that a vectorised function gets with a leading axis gets an axis of one; an argument that reads a
    whole sequence
    is stacked from its rows.
    """

    def __init__(self, family: Family):
        self.vectorized = family.potential.vectorized
        self.kinds = [_kind(family, a) for a in family.args]
        self.widths = [
            _width(a) if kind == "all" else 1 for a, kind in zip(family.args, self.kinds, strict=True)
        ]

    def pack(self, cells) -> list:
        """Cells of the flat graph → arguments of the function."""
        packed, at = [], 0
        for kind, width in zip(self.kinds, self.widths, strict=True):
            part = cells[at : at + width]
            at += width
            if kind == "all":
                packed.append(_stack(part))
            else:
                packed.append(part[0][None] if kind == "row" and self.vectorized else part[0])
        return packed

    def unpack(self, arguments) -> tuple:
        """Cotangents of the arguments → of the cells."""
        cells: list = []
        for kind, width, g in zip(self.kinds, self.widths, arguments, strict=True):
            if kind == "all":
                cells += [None] * width if g is None else list(g)
            else:
                cells.append(g[0] if g is not None and kind == "row" and self.vectorized else g)
        return tuple(cells)

    def single(self, outputs):
        """Drop the leading axis of a vectorised function's outputs."""
        if not self.vectorized:
            return outputs
        return tuple(o[0] for o in outputs) if isinstance(outputs, tuple | list) else outputs[0]

    def lead(self, outputs):
        """The reverse of :meth:`single`."""
        if not self.vectorized:
            return outputs
        return (
            tuple(np.asarray(o)[None] for o in outputs)
            if isinstance(outputs, tuple | list)
            else np.asarray(outputs)[None]
        )


def _stack(parts):
    if any(hasattr(p, "_value") for p in parts):  # autograd's boxes
        import autograd.numpy as anp

        return anp.stack(parts)
    return np.stack(parts)


def _kind(family: Family, arg: Arg) -> str:
    if arg.slice.kind == "all":
        return "all"
    return "row" if per_instance(family, arg) else "shared"


def _width(arg: Arg) -> int:
    node = arg.slice.node
    return len(node.value) if isinstance(node, Observation) else node.clock.total


def regrouped(family: Family, noise=None):
    """The family's potential on the flat graph."""
    potential, group = family.potential, Regrouped(family)
    if not group.vectorized and "all" not in group.kinds:
        return (
            Step(potential.f, potential.vjp, potential.jvp, hvp=potential.hvp, noise=noise)
            if isinstance(potential, Step)
            else Loss(potential.value_and_grad, task=potential.task, hvp=potential.hvp)
        )
    if isinstance(potential, Loss):

        def value_and_grad(*cells):
            total, grads = potential.value_and_grad(*group.pack(cells))
            return total, group.unpack(grads)

        product: Any = potential.hvp

        def loss_hvp(cells, tangents):
            return group.unpack(product(tuple(group.pack(cells)), tuple(group.pack(tangents))))

        return Loss(value_and_grad, task=potential.task, hvp=loss_hvp if product else None)

    def f(*cells):
        return group.single(potential.f(*group.pack(cells)))

    def vjp(cells, cotangent):
        return group.unpack(potential.vjp(tuple(group.pack(cells)), group.lead(cotangent)))

    def jvp(cells, tangents):
        return group.single(potential.jvp(tuple(group.pack(cells)), tuple(group.pack(tangents))))

    def hvp(cells, cotangent, tangents):
        moved = tuple(group.pack(tangents))
        return group.unpack(potential.hvp(tuple(group.pack(cells)), group.lead(cotangent), moved))

    return Step(
        f,
        vjp if potential.vjp else None,
        jvp if potential.jvp else None,
        hvp=hvp if potential.hvp else None,
        noise=noise,
    )
