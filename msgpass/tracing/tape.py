"""Straight-line programs of numbers: each operation once, constants folded, in the order of evaluation.

A node is ``(operation, *numbers of its arguments)``; leaves are ``("in", k, i)``, number i of input k laid
out flat, and ``("const", hex)``. Equal nodes are one node. Node 0 is the constant 0.0, so that NumPy's own
functions that fill with zeros do the right thing on arrays of node numbers.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import TracingError
from msgpass.tracing.scalar import FUNCTIONS

COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
LOGICAL = frozenset({"and", "or", "xor", "not", "isnan", "isfinite", "isinf"})
MOST_NODES = 200_000
"""Nodes after which tracing gives up: a function of so many numbers wants code for arrays."""


class Tape:
    """Nodes, in an order in which each comes after its arguments."""

    def __init__(self):
        self.nodes: list[tuple] = []
        self.numbers: dict[tuple, int] = {}
        self.values: dict[int, float | bool] = {}  # of constants
        self.boolean: set[int] = set()
        self.calls = 0
        """Calls of NumPy that made it, by which the cost of running it as it is can be told."""
        self.constant(0.0)

    def _intern(self, node: tuple) -> int:
        number = self.numbers.get(node)
        if number is None:
            number = self.numbers[node] = len(self.nodes)
            self.nodes.append(node)
            if number > MOST_NODES:
                raise TracingError(f"more than {MOST_NODES} operations on single numbers")
        return number

    def constant(self, value) -> int:
        """A number, or a truth value."""
        if isinstance(value, bool | np.bool_):
            number = self._intern(("bool", bool(value)))
            self.boolean.add(number)
            self.values[number] = bool(value)
            return number
        number = self._intern(("const", float(value).hex()))
        self.values[number] = float(value)
        return number

    def input(self, k: int, i: int) -> int:
        """Number i of input k."""
        return self._intern(("in", k, i))

    def number(self, a: int) -> int:
        """A truth value as 0 or 1; a number as it is."""
        if a not in self.boolean:
            return a
        return self.op("where", a, self.constant(1.0), self.constant(0.0))

    def truth(self, a: int) -> int:
        """A number as a truth value."""
        return a if a in self.boolean else self.op("ne", a, 0)

    def op(self, name: str, *args: int) -> int:
        """The operation on nodes, simplified."""
        if name in ("and", "or", "xor", "not"):
            args = tuple([self.truth(a) for a in args])
        elif name == "where":
            c, a, b = args
            if (a in self.boolean) != (b in self.boolean):
                a, b = self.number(a), self.number(b)
            args = (self.truth(c), a, b)
        else:
            args = tuple([self.number(a) if a in self.boolean else a for a in args])
        values = self.values
        if name != "as_if" and all(a in values for a in args):
            with np.errstate(all="ignore"):
                return self.constant(FUNCTIONS[name](*[values[a] for a in args]))
        simple = self._simplified(name, args)
        if simple is not None:
            return simple
        made = self._intern((name, *args))
        if name in COMPARISONS or name in LOGICAL or (name == "where" and args[1] in self.boolean):
            self.boolean.add(made)
        return made

    def _simplified(self, name: str, args: tuple[int, ...]) -> int | None:
        """What keeps every finite value to the bit."""
        value = self.values.get
        if name == "where":
            c = value(args[0])
            if c is not None:
                return args[1] if c else args[2]
            return args[1] if args[1] == args[2] else None
        if len(args) != 2:
            return None
        a, b = args
        x, y = value(a), value(b)
        match name:
            case "add":
                return b if x == 0 else a if y == 0 else None
            case "sub":
                return a if y == 0 else self.op("neg", b) if x == 0 else None
            case "mul":
                if x == -1 or y == -1:
                    return self.op("neg", b if x == -1 else a)
                return b if x == 1 else a if y == 1 else None
            case "div":
                return a if y == 1 else None
            case "pow":
                return self._power(a, y)
        return None

    def _power(self, a: int, y) -> int | None:
        if y == 0:
            return self.constant(1.0)
        if y == 1:
            return a
        if y in (2, 3, 4):
            square = self.op("mul", a, a)
            return square if y == 2 else self.op("mul", square, a if y == 3 else square)
        if y == 0.5:
            return self.op("sqrt", a)
        return self.op("div", self.constant(1.0), a) if y == -1 else None
