"""Reverse mode: from a program to the program of its vector-Jacobian product.

At kinks the derivative is autograd's: a tie of ``maximum`` or ``amax`` is shared evenly, |x| has slope 0 at
0, ``clip`` slope 0 on its limits; comparisons, ``floor`` and ``sign`` have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from msgpass.tracing.whole.program import LOGICAL, Builder, Node, Program

Rule = Callable[[Builder, Node, Node], Sequence[Node | None]]
RULES: dict[str, Rule] = {}
"""(builder, node, cotangent) → one cotangent an argument, or None."""


def vjp(program: Program, wanted: Sequence[int]) -> Program:
    """Cotangents of inputs from cotangents of outputs.

    Parameters
    ----------
    wanted : sequence of int
        Which inputs.

    Returns
    -------
    Program
        Inputs are those of ``program`` and one cotangent an output behind them; outputs the cotangents of the
        wanted inputs, of their shapes.
    """
    b, count = program.builder, len(program.inputs)
    given = [b.input(count + k, o.shape) for k, o in enumerate(program.outputs)]
    arrived: dict[int, Node] = {}
    needed = _reached(program, wanted)

    def tell(node: Node, cotangent: Node) -> None:
        if node.number in needed:
            known = arrived.get(node.number)
            arrived[node.number] = cotangent if known is None else b.elementwise("add", known, cotangent)

    for output, cotangent in zip(program.outputs, given, strict=True):
        tell(output, cotangent)
    for node in reversed(program.nodes):
        known = arrived.get(node.number)
        if known is None or not node.args or node.op in LOGICAL or node.op in ("floor", "sign"):
            continue
        for arg, message in zip(node.args, RULES[node.op](b, node, known), strict=True):
            if message is not None:
                tell(arg, message)
    inputs = {i.data: i for i in program.inputs}
    found = [arrived.get(inputs[k].number, b.zeros(inputs[k].shape)) for k in wanted]
    return Program(b, (*program.inputs, *given), found)


def _reached(program: Program, wanted: Sequence[int]) -> set[int]:
    """Nodes that depend on the wanted inputs."""
    reached: set[int] = set()
    for node in program.nodes:
        own = node.op == "input" and node.data in wanted
        if own or any(a.number in reached for a in node.args):
            reached.add(node.number)
    return reached


def _slope(function: Callable[[Builder, Node], Node]) -> Rule:
    """Of one argument: the cotangent times a slope."""
    return lambda b, n, g: (b.elementwise("multiply", g, function(b, n)),)


def _number(b: Builder, n: Node, value: float) -> Node:
    return b.broadcast(b.constant(value), n.shape)


def _op(b: Builder, op: str, *args) -> Node:
    return b.elementwise(op, *(a if isinstance(a, Node) else b.constant(float(a)) for a in args))


def _squared(b: Builder, n: Node) -> Node:
    return _op(b, "multiply", n, n)


RULES["add"] = lambda b, n, g: (g, g)
RULES["subtract"] = lambda b, n, g: (g, _op(b, "negative", g))
RULES["multiply"] = lambda b, n, g: (_op(b, "multiply", g, n.args[1]), _op(b, "multiply", g, n.args[0]))
RULES["negative"] = lambda b, n, g: (_op(b, "negative", g),)
RULES["exp"] = _slope(lambda b, n: n)
RULES["expm1"] = _slope(lambda b, n: _op(b, "add", n, 1))
RULES["log"] = lambda b, n, g: (_op(b, "divide", g, n.args[0]),)
RULES["log1p"] = lambda b, n, g: (_op(b, "divide", g, _op(b, "add", n.args[0], 1)),)
RULES["sqrt"] = lambda b, n, g: (_op(b, "divide", g, _op(b, "multiply", n, 2)),)
RULES["tanh"] = _slope(lambda b, n: _op(b, "subtract", 1, _squared(b, n)))
RULES["sinh"] = _slope(lambda b, n: _op(b, "cosh", n.args[0]))
RULES["cosh"] = _slope(lambda b, n: _op(b, "sinh", n.args[0]))
RULES["sin"] = _slope(lambda b, n: _op(b, "cos", n.args[0]))
RULES["cos"] = _slope(lambda b, n: _op(b, "negative", _op(b, "sin", n.args[0])))
RULES["tan"] = _slope(lambda b, n: _op(b, "add", 1, _squared(b, n)))
RULES["arctan"] = lambda b, n, g: (_op(b, "divide", g, _op(b, "add", 1, _squared(b, n.args[0]))),)
RULES["absolute"] = _slope(lambda b, n: _op(b, "sign", n.args[0]))


def _root(b: Builder, n: Node) -> Node:
    return _op(b, "sqrt", _op(b, "subtract", 1, _squared(b, n.args[0])))


RULES["arcsin"] = lambda b, n, g: (_op(b, "divide", g, _root(b, n)),)
RULES["arccos"] = lambda b, n, g: (_op(b, "negative", _op(b, "divide", g, _root(b, n))),)


def _divide(b, n, g):
    over = _op(b, "divide", g, n.args[1])
    return over, _op(b, "negative", _op(b, "multiply", over, n))


RULES["divide"] = _divide


def _arctan2(b, n, g):
    y, x = n.args
    scaled = _op(b, "divide", g, _op(b, "add", _squared(b, x), _squared(b, y)))
    return _op(b, "multiply", scaled, x), _op(b, "negative", _op(b, "multiply", scaled, y))


RULES["arctan2"] = _arctan2


def _power(b, n, g):
    x, y = n.args
    slope = _op(b, "multiply", y, _op(b, "power", x, _op(b, "subtract", y, 1)))
    # Where the exponent is 0 the slope is 0, also at x = 0.
    slope = b.elementwise("where", _op(b, "equal", y, 0), _number(b, n, 0.0), slope)
    safe = b.elementwise("where", _op(b, "equal", x, 0), _number(b, n, 1.0), x)
    return _op(b, "multiply", g, slope), _op(b, "multiply", g, _op(b, "multiply", n, _op(b, "log", safe)))


RULES["power"] = _power


def _extreme(b, n, g):
    x, y = n.args
    one, zero = _number(b, n, 1.0), _number(b, n, 0.0)
    half = _number(b, n, 0.5)
    tie = b.elementwise("where", _op(b, "equal", x, y), half, one)
    shares = _op(b, "multiply", g, tie)
    return tuple(b.elementwise("where", _op(b, "equal", a, n), shares, zero) for a in (x, y))


RULES["maximum"] = RULES["minimum"] = _extreme


def _where(b, n, g):
    zero = _number(b, n, 0.0)
    return None, b.elementwise("where", n.args[0], g, zero), b.elementwise("where", n.args[0], zero, g)


RULES["where"] = _where


def _broadcast(b, n, g):
    (x,) = n.args
    lead = len(n.shape) - len(x.shape)
    axes = (*range(lead), *(lead + k for k, s in enumerate(x.shape) if s == 1 and n.shape[lead + k] != 1))
    return (b.reshape(b.reduce("sum", g, axes), x.shape),)


RULES["broadcast"] = _broadcast
RULES["reshape"] = lambda b, n, g: (b.reshape(g, n.args[0].shape),)
RULES["gather"] = lambda b, n, g: (b.scatter(g, n.data, n.args[0].shape),)
RULES["scatter"] = lambda b, n, g: (b.gather(g, n.data),)


def _join(b, n, g):
    found, offset = [], 0
    for part in n.args:
        size = prod(part.shape)
        found.append(b.gather(g, np.arange(offset, offset + size).reshape(part.shape)))
        offset += size
    return found


RULES["join"] = _join


def _kept(b: Builder, x: Node, axes, node: Node) -> Node:
    shape = tuple(1 if k in axes else s for k, s in enumerate(x.shape))
    return b.broadcast(b.reshape(node, shape), x.shape)


RULES["sum"] = lambda b, n, g: (_kept(b, n.args[0], n.data, g),)


def _amax(b, n, g):
    (x,) = n.args
    hit = b.elementwise(
        "where", _op(b, "equal", x, _kept(b, x, n.data, n)), _number(b, x, 1.0), _number(b, x, 0.0)
    )
    ties = _kept(b, x, n.data, b.reduce("sum", hit, n.data))
    return (_op(b, "multiply", _kept(b, x, n.data, g), _op(b, "divide", hit, ties)),)


RULES["amax"] = _amax


def _cumsum(b, n, g):
    turned = np.flip(np.arange(prod(n.shape)).reshape(n.shape), n.data)
    return (b.gather(b.cumsum(b.gather(g, turned), n.data), turned),)


RULES["cumsum"] = _cumsum


def _einsum(b, n, g):
    left, out = n.data.split("->")
    parts = left.split(",")
    found = []
    for k in (0, 1):
        own, other = parts[k], parts[1 - k]
        reached = [c for c in own if c in out or c in other]
        made = b.einsum(f"{out},{other}->{''.join(reached)}", g, n.args[1 - k])
        if len(reached) < len(own):  # a letter of this argument alone was summed over
            shape = tuple(s if c in reached else 1 for c, s in zip(own, n.args[k].shape, strict=True))
            made = b.broadcast(b.reshape(made, shape), n.args[k].shape)
        found.append(made)
    return found


RULES["einsum"] = _einsum
