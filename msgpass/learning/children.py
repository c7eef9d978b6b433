"""Along which axes a table is a distribution.

In a Bayesian network every variable is the child of one table. That settles it without looking at numbers: a
table whose variables but one are children elsewhere has that one for its child, and so on from the roots.
Along sequences, rows before a factor's last one are parents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from msgpass.errors import DataError, GraphError
from msgpass.graph import Factor, FactorGraph
from msgpass.nodes import Slice
from msgpass.potentials import TABLES, Structured
from msgpass.potentials.table import Table

Axes = tuple[int, ...]
"""Axes of a table's array, counted from its end."""


def factors_behind(graph: FactorGraph) -> dict[str, list[Factor]]:
    """Table factors by the parameter that holds their log values."""
    found: dict[str, list[Factor]] = {}
    for factor in graph.factors.values():
        if isinstance(factor.potential, TABLES) and not isinstance(factor.potential, Structured):
            for parameter in factor.potential.parameters.values():
                found.setdefault(parameter.name, []).append(factor)
    return found


def child_axes(graph: FactorGraph, names: Iterable[str], given: dict[str, Any]) -> dict[str, Axes]:
    """Axes of the children of each named parameter's table, as ``given`` or from the graph's structure."""
    behind, children = factors_behind(graph), structural(graph)
    found: dict[str, Axes] = {}
    for name in names:
        factors = behind[name]
        if name in given:
            found[name] = _given(factors, name, given[name])
            continue
        own = {_axis(f, children[f.name]) for f in factors if f.name in children}
        if len(own) != 1:
            why = "is a child of different axes in its factors" if own else "is no child that can be told"
            raise GraphError(
                f"EM re-estimates {name!r} as a distribution of one of its variables, but in "
                f"{', '.join(f'{f.name!r}({_arguments(f)})' for f in factors[:3])} there {why}: give "
                f'axes={{{name!r}: "variable"}} or an axis (None: all entries sum to one); keep the table '
                f"with frozen=[{name!r}]; or learn the tables of an undirected model with "
                'method="lbfgs"'
            )
        found[name] = (own.pop(),)
    return found


def structural(graph: FactorGraph) -> dict[str, int]:
    """Position of the child among the arguments of each table factor, where structure tells it."""
    open_: dict[str, list[tuple[int, tuple]]] = {}
    for factor in graph.factors.values():
        if isinstance(factor.potential, TABLES) and factor.args:
            open_[factor.name] = _candidates(factor)
    taken: set[tuple] = set()
    children: dict[str, int] = {}
    while True:
        told = {}
        for name, candidates in open_.items():
            left = [(place, key) for place, key in candidates if key not in taken]
            if len(left) == 1:
                told[name] = left[0]
        if not told:
            return children
        for name, (place, _) in told.items():
            children[name] = place
            del open_[name]
        taken.update(key for _, key in told.values())


def normalised(graph: FactorGraph, learned, kept, values: dict[str, np.ndarray]) -> bool:
    """Whether every factor is a distribution of a child of its own, so that log Z of nothing seen is 0: what
    is learned is where it is ``kept`` one, other tables are looked at."""
    children, moving = structural(graph), set(learned)
    if len({_key(graph.factors[name].args[place]) for name, place in children.items()}) < len(children):
        return False  # two say something of one variable
    for factor in graph.factors.values():
        own = {p.name for p in factor.potential.parameters.values()} & moving
        if factor.name not in children or not own.issubset(kept):
            return False
        if not own and not _sums_to_one(factor, _axis(factor, children[factor.name]), values):
            return False
    return True


def _sums_to_one(factor: Factor, axis: int, values: dict[str, np.ndarray]) -> bool:
    """Of a full table whose numbers are known."""
    if not is_plain(factor) or factor.potential.reads:
        return False
    source = factor.potential.source
    logs = source if isinstance(source, np.ndarray) else values.get(source.name)
    if logs is None or logs.ndim < len(factor.args):
        return False
    return bool(np.allclose(np.exp(logs).sum(axis=axis), 1.0, rtol=0, atol=1e-9))


def _candidates(factor: Factor) -> list[tuple[int, tuple]]:
    """Arguments that may be the child: not those whose row lies before another's."""
    slices = factor.args
    rows = {place: _row(s) for place, s in enumerate(slices)}
    latest = max((row for row in rows.values() if row is not None), default=0)
    return [
        (place, _key(s)) for place, s in enumerate(slices) if rows[place] is None or rows[place] == latest
    ]


def _key(s: Slice) -> tuple:
    return s.node.name, s.kind if s.stepped else s.name


def _row(s: Slice) -> int | None:
    """First row of a slice; None where it has none to compare."""
    if s.kind == "range":
        return s.start or 0
    if s.kind == "index" and s.start >= 0:
        return s.start
    return None


def _axis(factor: Factor, place: int) -> int:
    return place - len(factor.args)


def _arguments(factor: Factor) -> str:
    return ", ".join(s.name for s in factor.args)


def _given(factors: list[Factor], name: str, axes) -> Axes:
    """Axes as a user gives them: a variable's name, numbers, or None for all."""
    factor = factors[0]
    n = len(factor.args)
    if axes is None:
        return tuple(range(-n, 0))
    found = []
    for axis in axes if isinstance(axes, tuple | list) else [axes]:
        called = getattr(axis, "name", axis)
        places = [k for k, s in enumerate(factor.args) if called in (s.name, s.node.name)]
        if isinstance(called, str) and len(places) == 1:
            found.append(places[0] - n)
        elif isinstance(axis, int | np.integer) and not isinstance(axis, bool) and -n <= axis < n:
            found.append(int(axis) % n - n)
        else:
            raise DataError(
                f"axes[{name!r}]: {axis!r} is no axis of {factor.name!r}({_arguments(factor)}); give the "
                f"name of one of its variables (as a slice, where it stands there twice), a number from {-n} "
                f"to {n - 1}, or None"
            )
    if len(set(found)) != len(found):
        raise DataError(f"axes[{name!r}] names an axis twice: {axes!r}")
    return tuple(sorted(found))


def is_plain(factor: Factor) -> bool:
    """A full table, not a sparse or a grouped one."""
    return type(factor.potential) is Table
