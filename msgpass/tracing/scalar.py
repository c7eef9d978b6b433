"""What each operation of a traced program computes: in NumPy, and as an expression for the compiler.

Minimum and maximum hand NaN on, as NumPy's do.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _maximum(a, b):
    return f"select(({a} >= {b}) | ({a} != {a}), {a}, {b})"


def _minimum(a, b):
    return f"select(({a} <= {b}) | ({a} != {a}), {a}, {b})"


def _infix(sign):
    return lambda a, b: f"({a} {sign} {b})"


def _call(name):
    return lambda *args: f"{name}({', '.join(args)})"


OPERATIONS: dict[str, tuple[Any, Any]] = {
    "add": (np.add, _infix("+")),
    "sub": (np.subtract, _infix("-")),
    "mul": (np.multiply, _infix("*")),
    "div": (np.divide, _infix("/")),
    "pow": (np.float_power, _infix("**")),
    "mod": (np.mod, _infix("%")),
    "neg": (np.negative, lambda a: f"(-{a})"),
    "abs": (np.abs, lambda a: f"abs({a})"),
    "sign": (np.sign, lambda a: f"select({a} > 0.0, 1.0, select({a} < 0.0, -1.0, {a}))"),
    "floor": (np.floor, _call("np.floor")),
    "ceil": (np.ceil, _call("np.ceil")),
    "rint": (np.rint, _call("np.rint")),
    "trunc": (np.trunc, _call("np.trunc")),
    "exp": (np.exp, _call("math.exp")),
    "exp2": (np.exp2, _call("np.exp2")),
    "expm1": (np.expm1, _call("math.expm1")),
    "log": (np.log, _call("math.log")),
    "log2": (np.log2, _call("np.log2")),
    "log10": (np.log10, _call("math.log10")),
    "log1p": (np.log1p, _call("math.log1p")),
    "sqrt": (np.sqrt, _call("math.sqrt")),
    "cbrt": (np.cbrt, _call("np.cbrt")),
    "sin": (np.sin, _call("math.sin")),
    "cos": (np.cos, _call("math.cos")),
    "tan": (np.tan, _call("math.tan")),
    "arcsin": (np.arcsin, _call("math.asin")),
    "arccos": (np.arccos, _call("math.acos")),
    "arctan": (np.arctan, _call("math.atan")),
    "arctan2": (np.arctan2, _call("math.atan2")),
    "sinh": (np.sinh, _call("math.sinh")),
    "cosh": (np.cosh, _call("math.cosh")),
    "tanh": (np.tanh, _call("math.tanh")),
    "arcsinh": (np.arcsinh, _call("math.asinh")),
    "arccosh": (np.arccosh, _call("math.acosh")),
    "arctanh": (np.arctanh, _call("math.atanh")),
    "maximum": (np.maximum, _maximum),
    "minimum": (np.minimum, _minimum),
    "where": (np.where, _call("select")),
    "lt": (np.less, _infix("<")),
    "le": (np.less_equal, _infix("<=")),
    "gt": (np.greater, _infix(">")),
    "ge": (np.greater_equal, _infix(">=")),
    "eq": (np.equal, _infix("==")),
    "ne": (np.not_equal, _infix("!=")),
    "and": (np.logical_and, _infix("&")),
    "or": (np.logical_or, _infix("|")),
    "xor": (np.logical_xor, _infix("!=")),
    "not": (np.logical_not, lambda a: f"(not {a})"),
    "isnan": (np.isnan, lambda a: f"({a} != {a})"),
    "isfinite": (np.isfinite, lambda a: f"({a} - {a} == 0.0)"),
    "isinf": (np.isinf, lambda a: f"(abs({a}) == np.inf)"),
    "as_if": (lambda value, _formula: value, lambda value, _formula: value),
}
"""Name → (NumPy function, expression). ``as_if(value, formula)`` has the value of the one and the derivative
of the other.
"""

FUNCTIONS: dict[str, Any] = {name: function for name, (function, _) in OPERATIONS.items()}
EXPRESSIONS: dict[str, Any] = {name: expression for name, (_, expression) in OPERATIONS.items()}
