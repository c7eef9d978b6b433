"""``OnEdges``: an algebra whose messages are clipped, masked or replaced on chosen edges.

With μ_{f→v}(t) the cotangent that factor f says to row t of variable v, and rules r:

    λ_v(t) = r_v( Σ_f r_{f→v}( μ_{f→v}(t) ) ),      μ_{f→v} = (∂f/∂v)ᵀ λ_out,   of a loss ∂loss/∂v

Where no rule is named r is the identity, and the run is the one of the algebra underneath. ``total`` is not
touched. What arrives at a parameter is then *no longer* ∂total/∂parameter: it is the direction that the rules
make of it, which the gradient of nothing need be.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgpass.algebra.base import Algebra
from msgpass.algebra.rules.base import Rule
from msgpass.algebra.rules.then import Then
from msgpass.errors import UnsupportedError


class TimeEdge(NamedTuple):
    """Every edge through which later slices speak to a sequence: its factors that read an earlier row of it
    than the one that they compute, starts (``after``, ``before``) included.

    Examples
    --------
    >>> TimeEdge("h")
    TimeEdge(variable='h')
    """

    variable: Any


class OnEdges(Algebra):
    """Rules for cotangents, around an algebra.

    Parameters
    ----------
    algebra : Adjoint
        Whose messages go through the rules.
    rules : dict
        Where → a :class:`~msgpass.algebra.rules.Rule`, or a list of rules, one after another. Where is

        - a variable (or its name): all that arrives at each of its rows, before it is passed on to the step
          that computes it; of a parameter or an observation what arrives in the end;
        - ``(factor, variable)``: what each instance of that factor says to the variable, edge by edge;
        - ``TimeEdge(variable)``: what later slices say to it.

    Notes
    -----
    Sums are taken after rules on edges and before rules on variables, task by task. Rows of shape (B, H) are
    B samples: "per sample" is along the last axis. A recurrence that rules touch goes backward in the
    reference sweep; its forward pass may still be compiled. ``m.gradient[v]`` holds what v passes on,
    ``m.backward[v]`` what later slices say once it has passed their edges.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass import Adjoint, FactorGraph, Loss, Step, run
    >>> from msgpass.algebra.rules import ClipValue
    >>> g = FactorGraph()
    >>> h, x = g.sequence("h", length=4), g.observe("x", np.ones(4))
    >>> _ = g.factor(Step(lambda h, x: 2 * h + x), h.after(g.parameter("h0", 0.0)), x[:], out=h[:])
    >>> _ = g.factor(Loss(lambda h: (h, 1.0)), h[-1])
    >>> run(g).gradient["h"].tolist()
    [8.0, 4.0, 2.0, 1.0]
    >>> run(g, OnEdges(Adjoint(), {TimeEdge("h"): ClipValue(3.0)})).gradient["h"].tolist()
    [3.0, 3.0, 2.0, 1.0]
    """

    potentials = frozenset({"step"})

    def __init__(self, algebra: Any, rules: dict):
        from msgpass.algebra.adjoint import Adjoint

        algebra = algebra() if isinstance(algebra, type) and issubclass(algebra, Algebra) else algebra
        if not isinstance(algebra, Adjoint):
            raise UnsupportedError(
                f"OnEdges wraps Adjoint(), whose messages are cotangents, got {algebra!r}; tables and "
                "quadratics keep their own algebra, given by variable: {'z': MaxProduct(), 'h': OnEdges(…)}"
            )
        if not isinstance(rules, dict):
            raise UnsupportedError(
                f'OnEdges takes rules by place, such as {{"h": ClipNorm(1.0)}}, got {type(rules).__name__}'
            )
        self.algebra = algebra
        self.rules = {_place(k): _rule(k, r) for k, r in rules.items()}

    def __repr__(self) -> str:
        return f"OnEdges({self.algebra!r}, {self.rules!r})"


def _place(key):
    if isinstance(key, TimeEdge):
        return TimeEdge(getattr(key.variable, "name", key.variable))
    if isinstance(key, tuple):
        if len(key) != 2:
            raise UnsupportedError(f"OnEdges: an edge is (factor, variable), got {key!r}")
        return tuple(getattr(part, "name", part) for part in key)
    return getattr(key, "name", key)


def _rule(key, rule) -> Rule:
    if isinstance(rule, list | tuple):
        return Then(*rule)
    if not isinstance(rule, Rule):
        raise UnsupportedError(
            f"OnEdges: the rule of {key!r} must be a Rule, such as ClipNorm(1.0) or Replace(f), got {rule!r}"
        )
    return rule
