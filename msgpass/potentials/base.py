"""What every potential tells the graph.

A potential implements ``check(factor)`` (raise a typed error when the factor's slices do not fit it),
``parts`` (its own arrays, parameters or slices by role), ``reads`` (slices among the parts) and
``default_name``.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from msgpass.errors import DataError, GraphError, ShapeError
from msgpass.nodes import Observation, Parameter, Slice, as_slice


class Potential:
    """Base of the four kinds; final classes only below it."""

    parts: dict[str, np.ndarray | Parameter | Slice]

    def __repr__(self) -> str:
        parts = (f"{role}={_brief(part)}" for role, part in self.parts.items())
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters of the graph among the parts, by role."""
        return {role: p for role, p in self.parts.items() if isinstance(p, Parameter)}

    @property
    def reads(self) -> tuple[Slice, ...]:
        """Slices of real sequences among the parts."""
        return tuple(p for p in self.parts.values() if isinstance(p, Slice))

    @property
    def default_name(self) -> str:
        """After its first parameter, or its kind."""
        return f"{next((p.name for p in self.parameters.values()), type(self).__name__.lower())} factor"

    def value(self, role: str, values: dict[str, np.ndarray]) -> Any:
        """The array behind a part in this run."""
        part = self.parts[role]
        return values[part.name] if isinstance(part, Parameter) else part


def _brief(part) -> str:
    return part.name if isinstance(part, Parameter | Slice) else f"array {part.shape}"


def as_part(what: str, value, *, allow_minus_inf: bool = False) -> np.ndarray | Parameter | Slice:
    """A parameter or slice as it is; anything else as an array without NaN."""
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Slice) or hasattr(value, "graph"):
        part = as_slice(value)
        return part.node if isinstance(part.node, Parameter) else part
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iubf":
            raise TypeError(f"dtype {array.dtype}")
    except (TypeError, ValueError) as problem:
        raise DataError(
            f"{what} must be an array of numbers or a parameter of the graph ({problem})"
        ) from None
    array = np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64)
    bad = ~(array < np.inf) if allow_minus_inf else ~np.isfinite(array)
    if bad.any():
        raise DataError(
            f"{what} holds NaN or an infinite value; "
            f"{'log tables may hold −∞ only' if allow_minus_inf else 'give finite numbers'}"
        )
    return array


def forbid_out(factor) -> None:
    """Only a Step computes something."""
    if factor.out:
        raise GraphError(
            f"factor {factor.name!r}: out= is for a Step; a {type(factor.potential).__name__} "
            "relates its variables without computing one"
        )


def discrete_inputs(factor) -> None:
    """Tables relate discrete variables, step with step, each named once."""
    forbid_out(factor)
    kind = type(factor.potential).__name__
    if not factor.args:
        raise GraphError(f"factor {factor.name!r}: a {kind} needs at least one variable")
    for s in factor.args:
        if not s.node.discrete:
            raise GraphError(
                f"factor {factor.name!r}: a {kind} relates discrete variables, but "
                f"{s.node.describe()} is real; use a Quadratic, Step or Loss"
            )
        if s.kind in ("after", "before", "all"):
            raise GraphError(
                f"factor {factor.name!r}: {s.name} is for steps; tables pair slices such as z[:-1], z[1:]"
            )
    if no_picks(factor.args) and factor.stepped and any(not s.stepped for s in factor.args):
        lone = next(s for s in factor.args if not s.stepped)
        raise GraphError(
            f"factor {factor.name!r}: {lone.name} is one variable and "
            f"{factor.args[0].name if factor.args[0] is not lone else factor.args[-1].name} "
            "many; a table pairs step with step"
        )
    distinct(factor)


def no_picks(slices) -> bool:
    """None of them names rows by an index array; one variable may stand beside those that do."""
    return all(s.kind != "pick" for s in slices)


def distinct(factor) -> None:
    """No instance touches one variable twice."""
    if len({(s.node.name, s.kind, s.start, s.stop) for s in factor.args}) < len(factor.args):
        raise GraphError(
            f"factor {factor.name!r} names one variable twice: {', '.join(s.name for s in factor.args)}"
        )
    if no_picks(factor.args):
        return
    for a, b in combinations([s for s in factor.args if s.kind != "single"], 2):
        if a.node is b.node:
            same = np.broadcast_to(_numbers(a, factor.n) == _numbers(b, factor.n), (factor.n,))
            if same.any():
                j = int(np.argmax(same))
                row = np.broadcast_to(_numbers(a, factor.n), (factor.n,))[j]
                raise GraphError(f"factor {factor.name!r}: instance {j} names {a.node.name}[{row}] twice")


def _numbers(s: Slice, n: int):
    """Row of each instance, or the one row of all."""
    if s.kind == "pick":
        return s.start.rows
    rows = len(s.node) if hasattr(s.node, "clock") else s.node.shape[0]
    return s.index_row(rows) if s.kind == "index" else np.arange(n) + s.span((rows,))[0]


def real_source(factor, source: Slice) -> None:
    """A table's log values may be rows of a real sequence, one a step of the factor, or one real variable
    that all steps share."""
    kind = type(factor.potential).__name__
    if source.node.discrete or isinstance(source.node, Parameter):
        raise GraphError(f"factor {factor.name!r}: {kind}({source.name}) needs a slice of a real sequence")
    if source.kind != "single" and factor.stepped != source.stepped:
        raise ShapeError(
            f"factor {factor.name!r}: {kind}({source.name}) must have one row a step of {factor.args[0].name}"
        )


def no_batch(factor) -> None:
    """Sparse and grouped tables have no aligned batches."""
    batched = next((s for s in factor.args if s.shape), None)
    if batched is not None:
        raise ShapeError(
            f"factor {factor.name!r}: {batched.name} is an aligned batch of shape {batched.shape}, and "
            f"a {type(factor.potential).__name__} relates single variables; lay the members end to end: "
            "g.sequence(name, length=[T, T, …])"
        )


def real_inputs(factor) -> None:
    """Steps and losses read real variables, parameters and observations, but no latent discrete variable."""
    for s in factor.slices:
        if s.kind == "pick":
            raise GraphError(
                f"factor {factor.name!r}: {s.name} picks rows by an array, for tables and quadratics "
                f"alone; a {type(factor.potential).__name__} runs over slices such as {s.node.name}[:], or "
                f"takes {s.node.name}.all"
            )
    for s in (*factor.args, *(a.edge for a in factor.args if a.edge)):
        if s.node.discrete and not isinstance(s.node, Observation):
            raise GraphError(
                f"factor {factor.name!r} reads {s.node.describe()}: a "
                f"{type(factor.potential).__name__} reads real values; "
                "relate discrete variables with a Table, whose log values may come from a step: "
                "Table(scores[:])"
            )
