"""Reverse mode of a traced program, as a program on the same tape.

At a kink the derivative is autograd's, so that a run does not depend on which of the two took it: ties of
``maximum`` and ``minimum`` are shared evenly, |x| and sign have slope 0 at 0, ``clip`` has slope 0 on its
bounds, rounding has slope 0.
"""

from __future__ import annotations

import math

from msgpass.tracing.tape import Tape


def pull_back(tape: Tape, cotangents: dict[int, int], wanted) -> dict[int, int]:
    """∂/∂(wanted nodes) of Σ cotangent · node, as nodes; what nothing arrives at is absent.

    Parameters
    ----------
    tape : Tape
        Gets the new nodes.
    cotangents : dict
        Node → node that holds its cotangent.
    wanted : collection of int
        Nodes at which to stop.
    """
    wanted = set(wanted)
    needs = _reaches(tape, cotangents, wanted)
    found = dict(cotangents)
    for k in sorted(needs, reverse=True):
        g = found.get(k)
        if g is None or k in wanted:
            continue
        name, *args = tape.nodes[k]
        for a, message in zip(args, RULES.get(name, _no_slope)(tape, g, k, *args), strict=False):
            if message is not None and a in needs:
                found[a] = message if a not in found else tape.op("add", found[a], message)
    return {k: found[k] for k in wanted if k in found}


def _reaches(tape: Tape, tops, wanted: set[int]) -> set[int]:
    """Nodes between the tops and what is wanted."""
    below: dict[int, bool] = {}
    order = sorted(ancestors(tape, tops, wanted))
    for k in order:
        name, *args = tape.nodes[k]
        if name == "as_if":
            args = args[1:]
        below[k] = k in wanted or (
            name not in ("in", "const", "bool") and any(below.get(a, False) for a in args)
        )
    return {k for k in order if below[k]}


def ancestors(tape: Tape, tops, stop=()) -> set[int]:
    """All nodes that these depend on, themselves included, not beyond ``stop``."""
    seen: set[int] = set()
    waiting = list(tops)
    while waiting:
        k = waiting.pop()
        if k in seen:
            continue
        seen.add(k)
        name, *args = tape.nodes[k]
        if name not in ("in", "const", "bool") and k not in stop:
            waiting.extend(args)
    return seen


def _no_slope(tape, g, k, *args):
    return (None,) * len(args)


def _slope(rule):
    """Of one argument: cotangent times rule(tape, k, a)."""
    return lambda tape, g, k, a: (tape.op("mul", g, rule(tape, k, a)),)


def _over(rule):
    """Of one argument: cotangent over rule(tape, k, a)."""
    return lambda tape, g, k, a: (tape.op("div", g, rule(tape, k, a)),)


def _square(t: Tape, a: int) -> int:
    return t.op("mul", a, a)


def _one_and(t: Tape, name: str, a: int) -> int:
    return t.op(name, t.constant(1.0), a)


def _divide(t: Tape, g, k, a, b):
    return t.op("div", g, b), t.op("neg", t.op("div", t.op("mul", g, k), b))


def _power(t: Tape, g, k, a, b):
    # As autograd: the exponent is left at 1 where it is 0, and log 0 counts as 0.
    one = t.constant(1.0)
    less = t.op("where", t.op("ne", b, 0), t.op("sub", b, one), one)
    slope = t.op("mul", b, t.op("pow", a, less))
    log = t.op("log", t.op("where", t.op("ne", a, 0), a, one))
    return t.op("mul", g, slope), t.op("mul", g, t.op("mul", log, k))


def _extreme(larger):
    def rule(t: Tape, g, k, a, b):
        first, second = ("gt", "lt") if larger else ("lt", "gt")
        half = t.op("where", t.op("eq", a, b), t.op("mul", g, t.constant(0.5)), 0)
        return t.op("where", t.op(first, a, b), g, half), t.op("where", t.op(second, a, b), g, half)

    return rule


def _arctan2(t: Tape, g, k, y, x):
    over = t.op("div", g, t.op("add", _square(t, x), _square(t, y)))
    return t.op("mul", over, x), t.op("neg", t.op("mul", over, y))


RULES = {
    "add": lambda t, g, k, a, b: (g, g),
    "sub": lambda t, g, k, a, b: (g, t.op("neg", g)),
    "mul": lambda t, g, k, a, b: (t.op("mul", g, b), t.op("mul", g, a)),
    "div": _divide,
    "pow": _power,
    "mod": lambda t, g, k, a, b: (g, t.op("neg", t.op("mul", g, t.op("floor", t.op("div", a, b))))),
    "neg": lambda t, g, k, a: (t.op("neg", g),),
    "abs": _slope(lambda t, k, a: t.op("sign", a)),
    "exp": _slope(lambda t, k, a: k),
    "exp2": _slope(lambda t, k, a: t.op("mul", k, t.constant(math.log(2)))),
    "expm1": _slope(lambda t, k, a: _one_and(t, "add", k)),
    "log": _over(lambda t, k, a: a),
    "log2": _over(lambda t, k, a: t.op("mul", a, t.constant(math.log(2)))),
    "log10": _over(lambda t, k, a: t.op("mul", a, t.constant(math.log(10)))),
    "log1p": _over(lambda t, k, a: _one_and(t, "add", a)),
    "sqrt": _over(lambda t, k, a: t.op("add", k, k)),
    "cbrt": _over(lambda t, k, a: t.op("mul", t.constant(3.0), _square(t, k))),
    "sin": _slope(lambda t, k, a: t.op("cos", a)),
    "cos": _slope(lambda t, k, a: t.op("neg", t.op("sin", a))),
    "tan": _slope(lambda t, k, a: _one_and(t, "add", _square(t, k))),
    "arcsin": _over(lambda t, k, a: t.op("sqrt", _one_and(t, "sub", _square(t, a)))),
    "arccos": _over(lambda t, k, a: t.op("neg", t.op("sqrt", _one_and(t, "sub", _square(t, a))))),
    "arctan": _over(lambda t, k, a: _one_and(t, "add", _square(t, a))),
    "arctan2": _arctan2,
    "sinh": _slope(lambda t, k, a: t.op("cosh", a)),
    "cosh": _slope(lambda t, k, a: t.op("sinh", a)),
    "tanh": _slope(lambda t, k, a: _one_and(t, "sub", _square(t, k))),
    "arcsinh": _over(lambda t, k, a: t.op("sqrt", _one_and(t, "add", _square(t, a)))),
    "arccosh": _over(lambda t, k, a: t.op("sqrt", t.op("sub", _square(t, a), t.constant(1.0)))),
    "arctanh": _over(lambda t, k, a: _one_and(t, "sub", _square(t, a))),
    "maximum": _extreme(True),
    "minimum": _extreme(False),
    "where": lambda t, g, k, c, a, b: (None, t.op("where", c, g, 0), t.op("where", c, 0, g)),
    "as_if": lambda t, g, k, value, formula: (None, g),
}
"""Operation → cotangents of its arguments, from (tape, cotangent, the node, its arguments). What is
absent has no slope.
"""
