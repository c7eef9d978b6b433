"""Which slices feed which, and how many steps apart: the edges of a graph, family by family.

A factor over slices is a family of edges, all of one lag: ``h.after(h0) → h[:]`` joins each step to the next
(lag 1), ``x[:] → h[:]`` stays within a step (lag 0), ``enc.all → dec[:]`` gives a whole sequence to every
step. What carries anything from one step to another is what the edges across time start from.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from msgpass.nodes import Observation, Parameter
from msgpass.plan import Arg, Family, latent, resolve

KINDS = ("step", "start", "row", "all", "one")
"""Row by row; what stands before the first or behind the last row; one row for all steps; the whole sequence;
one variable."""


class Edge(NamedTuple):
    """One family of edges.

    Attributes
    ----------
    factor, potential : str
        Name of the factor, and its kind.
    source, target : str
        Names of nodes; of a factor over one variable, and of a loss, the factor's own name stands for the
        end that is missing.
    read : str
        The slice as it was written.
    kind : str
        "step", "start", "row", "all" or "one": see ``KINDS``.
    lag : int or None
        Time of the target's row minus that of the source's; None where not both have rows of their own.
    """

    factor: str
    potential: str
    source: str
    target: str
    read: str
    kind: str
    lag: int | None

    @property
    def across(self) -> bool:
        """Joins different times."""
        return bool(self.lag)


@dataclass(frozen=True)
class EdgeReport:
    """The edges of a graph between its variables and data, and perhaps its parameters.

    Attributes
    ----------
    edges : tuple of Edge
    """

    edges: tuple[Edge, ...]

    @property
    def across(self) -> tuple[Edge, ...]:
        """Those that join different times."""
        return tuple(e for e in self.edges if e.across)

    @property
    def carriers(self) -> dict[str, tuple[int, ...]]:
        """What carries from one step to another: node → the lags of the edges that start from it."""
        found: dict[str, set[int]] = {}
        for edge in self.across:
            found.setdefault(edge.source, set()).add(int(edge.lag or 0))
        return {name: tuple(sorted(lags)) for name, lags in found.items()}

    def between(self, source: str, target: str) -> tuple[Edge, ...]:
        """Those from one node to another."""
        return tuple(e for e in self.edges if (e.source, e.target) == (source, target))

    def to_frame(self):
        """One row an edge: a pandas frame with the columns of :class:`Edge`; no lag is missing."""
        from msgpass.optional import pandas

        return pandas().DataFrame(self.edges, columns=Edge._fields).astype({"lag": "Int64"})

    def __len__(self) -> int:
        return len(self.edges)

    def __iter__(self):
        return iter(self.edges)

    def __repr__(self) -> str:
        rows = [("factor", "reads", "lag", "for")]
        targets: dict[tuple, list[str]] = {}
        for e in self.edges:
            if e.kind != "start":  # written with the slice that it stands before or behind
                targets.setdefault((e.factor, e.read, _lag_text(e)), []).append(e.target)
        last = None
        for (factor, read, lag), ends in targets.items():
            rows.append((factor if factor != last else "", read, lag, ", ".join(ends)))
            last = factor
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        carried = ", ".join(f"{name} ({_lags(lags)})" for name, lags in self.carriers.items())
        return "\n".join([*lines, f"across time: {carried or 'nothing'}"])


def edge_report(graph, parameters: bool = False) -> EdgeReport:
    """Which slices feed which in a graph, with their lags.

    Parameters
    ----------
    graph : FactorGraph
    parameters : bool
        Also the edges from parameters, which all steps share.

    Returns
    -------
    EdgeReport
        Its text has a line an edge, and names at the end what carries from step to step.

    Examples
    --------
    >>> from msgpass import FactorGraph, Step
    >>> g = FactorGraph()
    >>> h, x = g.sequence("h", 3), g.observe("x", [1.0, 2.0, 3.0])
    >>> _ = g.factor(Step(lambda h, x: h + x), h.after(g.parameter("h0", 0.0)), x[:], out=h[:], name="add")
    >>> g.edges()
    factor  reads        lag  for
    add     h.after(h0)  1    h
            x[:]         0    h
    across time: h (lag 1)
    """
    found: list[Edge] = []
    for factor in graph.factors.values():
        family = resolve(factor)
        for source, target, read, kind, lag in _ends(family):
            node = graph.nodes.get(source)
            if parameters or not isinstance(node, Parameter):
                potential = type(factor.potential).__name__
                found.append(Edge(factor.name, potential, source, target, read, kind, lag))
    return EdgeReport(tuple(found))


def _ends(family: Family):
    """(source, target, the slice that is read, kind, lag) of every edge of a family."""
    own = family.name
    if family.outs:
        pairs = [(a, o) for o in family.outs for a in family.args]
    elif any(latent(a) for a in family.args) and not hasattr(family.potential, "value_and_grad"):
        # A relation has no direction of its own: from what stands first in time to what stands last.
        args = sorted(family.args, key=_order)
        pairs = list(pairwise(args))
        if len(args) == 1:
            yield own, args[0].name, args[0].slice.name, _kind(args[0], family), None
    else:
        pairs = []
        for a in family.args:
            yield a.name, own, a.slice.name, _kind(a, family), None
    for a, b in pairs:
        yield a.name, b.name, a.slice.name, _kind(a, family), _lag(a, b, family)
        if a.edge is not None:
            yield a.edge.name, b.name, a.edge.slice.name, "start", None
    for s in family.potential.reads:
        target = next(a for a in family.args if latent(a))
        span = s.span(family.clock.lengths)[0] if s.stepped else None
        lag = target.first - span if span is not None and target.slice.stepped else None
        yield s.node.name, target.name, s.name, "step" if s.stepped else "one", lag


def _order(arg: Arg) -> tuple[bool, int]:
    """Latent variables by time, then data."""
    row = arg.slice.index_row(arg.clock.lengths[0]) if arg.slice.kind == "index" else arg.first
    return isinstance(arg.slice.node, Observation), row


def _kind(arg: Arg, family: Family) -> str:
    if arg.slice.stepped:
        return "step"
    if arg.slice.kind == "index":
        return "row" if family.factor.stepped else "step"
    return "all" if arg.slice.kind == "all" else "one"


def _lag(source: Arg, target: Arg, family: Family) -> int | None:
    if _kind(source, family) != "step" or _kind(target, family) != "step":
        return None
    if "pick" in (source.slice.kind, target.slice.kind):
        return None
    if source.slice.stepped and target.slice.stepped:
        return target.first - source.first
    times = [np.asarray([a.slice.index_row(n) for n in a.clock.lengths]) for a in (source, target) if a.clock]
    if len(times) < 2 or source.clock.lengths != target.clock.lengths:
        return None
    lags = np.unique(times[1] - times[0])
    return int(lags[0]) if len(lags) == 1 else None


def _lag_text(edge: Edge) -> str:
    return "all" if edge.kind == "all" else "–" if edge.lag is None else str(edge.lag)


def _lags(lags: tuple[int, ...]) -> str:
    return f"lag{'s' if len(lags) > 1 else ''} {', '.join(map(str, lags))}"
