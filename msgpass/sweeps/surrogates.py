"""The linear-Gaussian block that stands in for a nonlinear one: each noisy step becomes a quadratic over
the same variables, whose matrices are parameters that only a run's values hold.

Shapes and slices are known with the plan, so that the stand-in is made once; the engine runs it as any other
block of quadratics, as a chain where it is one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.graph import Factor
from msgpass.nodes import Parameter
from msgpass.plan import Family, NonlinearTree, Tree, noisy, resolve, undirected_block
from msgpass.potentials import Quadratic


class Surrogate(NamedTuple):
    """Names of the parameters behind one noisy family's quadratic; ``F`` is None where it has no source."""

    F: str | None
    b: str
    Q: str


class Surrogates(NamedTuple):
    """The linear block, its families in the order of the nonlinear one's; names by the family's number."""

    block: Tree
    names: dict[int, Surrogate]


def make_surrogates(block: NonlinearTree) -> Surrogates:
    """See the module."""
    graph = block.families[0].factor.graph
    families, names = list(block.families), {}
    for k, (family, source) in enumerate(zip(block.families, block.sources, strict=True)):
        if noisy(family):
            families[k], names[k] = _stand_in(graph, family, source)
    made: Any = undirected_block(graph, block.nodes, families)
    return Surrogates(made, names)


def _stand_in(graph, family: Family, source: int | None) -> tuple[Family, Surrogate]:
    factor, out = family.factor, family.outs[0].slice
    n, m = factor.n, int(np.prod(out.shape))

    def parameter(role: str, *shape: int) -> Parameter:
        return Parameter(graph, f"{family.name}: {role}", np.broadcast_to(0.0, (n, *shape)))

    b, Q = parameter("b", m), parameter("Q", m, m)
    if source is None:
        made = Factor(graph, family.name, Quadratic.prior(b, Q), (out,), (), factor.clock, factor.counts)
        return resolve(made), Surrogate(None, b.name, Q.name)
    into = family.args[source].slice
    F = parameter("F", m, int(np.prod(into.shape)))
    potential = Quadratic.linear_gaussian(F, Q, b)
    made = Factor(graph, family.name, potential, (into, out), (), factor.clock, factor.counts)
    return resolve(made), Surrogate(F.name, b.name, Q.name)
