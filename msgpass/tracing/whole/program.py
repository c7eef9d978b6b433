"""Programs: straight lines of array operations over static shapes, each value written once.

A `Builder` makes nodes: equal ones are made once, and what depends on constants alone is a constant. The
operations are few; everything else that NumPy offers is said in them:

=================  ==================================================================================
``input``          argument ``data`` of the function
``constant``       the array ``data``
an elementwise op  `ELEMENTWISE`, arguments of one shape
``broadcast``      to the node's shape, by NumPy's rule
``reshape``        to the node's shape
``gather``         entries ``data`` (an integer array of the node's shape) of the flat argument
``scatter``        its transpose: the argument's entries added up at places ``data`` of a flat array
``join``           arguments end to end, flat
``sum``            over the axes ``data``
``amax``           largest entry over the axes ``data``
``cumsum``         along axis ``data``
``einsum``         of two arguments, by the subscripts ``data``
=================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

ELEMENTWISE: dict[str, np.ufunc] = {
    name: getattr(np, name)
    for name in (
        "add",
        "subtract",
        "multiply",
        "divide",
        "negative",
        "power",
        "exp",
        "log",
        "log1p",
        "expm1",
        "sqrt",
        "tanh",
        "sinh",
        "cosh",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "arctan2",
        "absolute",
        "sign",
        "floor",
        "maximum",
        "minimum",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "logical_and",
        "logical_or",
        "logical_not",
    )
}
"""Elementwise operations, each NumPy's function of the same name; ``where`` besides them."""

LOGICAL = frozenset({
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and", "logical_or",
    "logical_not",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Node:
    """One value of a program."""

    number: int
    op: str
    args: tuple[Node, ...]
    shape: tuple[int, ...]
    data: Any = None

    @property
    def logical(self) -> bool:
        """Holds truth values."""
        if self.op in ("constant",):
            return self.data.dtype.kind == "b"
        structural = ("broadcast", "reshape", "gather", "join")
        return self.op in LOGICAL or (self.op in structural and self.args[0].logical)

    def __repr__(self) -> str:
        inner = ", ".join(f"%{a.number}" for a in self.args)
        return f"%{self.number} = {self.op}({inner}) {self.shape}"


class Program:
    """Outputs as functions of inputs.

    Attributes
    ----------
    builder : Builder
        Where the nodes were made.
    inputs, outputs : tuple of Node
    nodes : tuple of Node
        All that the outputs need, each after its arguments.
    """

    def __init__(self, builder: Builder, inputs: Sequence[Node], outputs: Sequence[Node]):
        self.builder, self.inputs, self.outputs = builder, tuple(inputs), tuple(outputs)
        needed: set[int] = set()
        waiting = list(self.outputs)
        while waiting:
            node = waiting.pop()
            if node.number not in needed:
                needed.add(node.number)
                waiting.extend(node.args)
        self.nodes = tuple(n for n in builder.nodes if n.number in needed)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.nodes))


class Builder:
    """Makes the nodes of programs that share them."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._made: dict[Any, Node] = {}

    def _node(self, op: str, args: tuple[Node, ...], shape, data: Any = None) -> Node:
        told = (data.dtype.str, data.shape, data.tobytes()) if isinstance(data, np.ndarray) else data
        key = (op, tuple(a.number for a in args), tuple(shape), told)
        found = self._made.get(key)
        if found is None:
            found = Node(len(self.nodes), op, args, tuple(int(n) for n in shape), data)
            if args and all(a.op == "constant" for a in args):
                from msgpass.tracing.whole.evaluate import value_of

                return self.constant(value_of(found, [a.data for a in args]))
            self.nodes.append(found)
            self._made[key] = found
        return found

    def input(self, k: int, shape) -> Node:
        """Argument k."""
        return self._node("input", (), shape, k)

    def constant(self, value) -> Node:
        """A given array, of float64 or of truth values."""
        array = np.asarray(value)
        array = np.array(array, dtype=bool if array.dtype.kind == "b" else float)
        array.flags.writeable = False
        return self._node("constant", (), array.shape, array)

    def elementwise(self, op: str, *args: Node) -> Node:
        """By NumPy's broadcasting; adding nothing and multiplying by one leave no trace."""
        shape = np.broadcast_shapes(*(a.shape for a in args))
        args = tuple(self.broadcast(a, shape) for a in args)
        return _same(op, args) or self._node(op, args, shape)

    def broadcast(self, x: Node, shape) -> Node:
        """To a shape."""
        return x if x.shape == tuple(shape) else self._node("broadcast", (x,), shape)

    def reshape(self, x: Node, shape) -> Node:
        """The same entries in another shape."""
        if x.op == "reshape":
            x = x.args[0]
        return x if x.shape == tuple(shape) else self._node("reshape", (x,), shape)

    def gather(self, x: Node, places: np.ndarray) -> Node:
        """Entries of the flat x, in the shape of ``places``."""
        places = np.array(places, np.int64, order="C")
        if x.op == "gather":
            x, places = x.args[0], x.data.reshape(-1)[places]
        elif x.op == "reshape":
            x = x.args[0]
        if places.size == prod(x.shape) and np.array_equal(places.reshape(-1), np.arange(places.size)):
            return self.reshape(x, places.shape)
        if x.op == "scatter":
            found = _through(x, places)
            if found is not None:
                return self.gather(*found)
        if x.op == "join":
            found = _within_one(x, places)
            if found is not None:
                return self.gather(*found)
        return self._node("gather", (x,), places.shape, places)

    def scatter(self, x: Node, places: np.ndarray, shape) -> Node:
        """The transpose of `gather`: of the given shape."""
        places = np.array(places, np.int64, order="C").reshape(x.shape)
        return self._node("scatter", (x,), shape, places)

    def join(self, parts: Sequence[Node]) -> Node:
        """End to end, flat."""
        if len(parts) == 1:
            return self.reshape(parts[0], (prod(parts[0].shape),))
        return self._node("join", tuple(parts), (sum(prod(p.shape) for p in parts),))

    def reduce(self, op: str, x: Node, axes: tuple[int, ...]) -> Node:
        """``sum`` or ``amax`` over axes, which go away."""
        if not axes:
            return x
        shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
        if all(x.shape[k] == 1 for k in axes):
            return self.reshape(x, shape)
        return self._node(op, (x,), shape, tuple(sorted(axes)))

    def cumsum(self, x: Node, axis: int) -> Node:
        """Running sums."""
        return self._node("cumsum", (x,), x.shape, axis)

    def einsum(self, subscripts: str, a: Node, b: Node) -> Node:
        """Of two arguments; ``ij,jk->ik``. No letter stands twice in one of them."""
        left, out = subscripts.split("->")
        sizes: dict[str, int] = {}
        for letters, node in zip(left.split(","), (a, b), strict=True):
            sizes.update(zip(letters, node.shape, strict=True))
        return self._node("einsum", (a, b), tuple(sizes[c] for c in out), subscripts)

    def zeros(self, shape) -> Node:
        """Nothing."""
        return self.constant(np.zeros(shape))


def _all(node: Node, value: float) -> bool:
    while node.op in ("broadcast", "reshape"):
        node = node.args[0]
    return node.op == "constant" and node.data.dtype.kind == "f" and bool((node.data == value).all())


def _same(op: str, args: tuple[Node, ...]) -> Node | None:
    """The argument that the operation leaves as it is."""
    if op in ("add", "multiply"):
        unit = 0.0 if op == "add" else 1.0
        if _all(args[0], unit):
            return args[1]
        if _all(args[1], unit):
            return args[0]
    if (op == "subtract" and _all(args[1], 0.0)) or (op in ("divide", "power") and _all(args[1], 1.0)):
        return args[0]
    if op == "negative" and args[0].op == "negative":
        return args[0].args[0]
    return None


def _within_one(x: Node, places: np.ndarray) -> tuple[Node, np.ndarray] | None:
    """The part of a join that all places lie in, and the places there."""
    if not places.size:
        return None
    first, last, offset = int(places.min()), int(places.max()), 0
    for part in x.args:
        size = prod(part.shape)
        if offset <= first and last < offset + size:
            return part, places - offset
        offset += size
    return None


def _through(x: Node, places: np.ndarray) -> tuple[Node, np.ndarray] | None:
    """What a scatter that moved each entry somewhere else put at the places, if it put something at all."""
    origin = np.full(prod(x.shape), -1, np.int64)
    given = x.data.reshape(-1)
    origin[given] = np.arange(given.size)
    if (origin[given] != np.arange(given.size)).any():
        return None
    found = origin[places]
    return None if (found < 0).any() else (x.args[0], found)
