"""The plan: a graph condensed into blocks in dependency order. It reads no values, is made once, and can be
printed.

Undirected factors (tables, quadratics) join their latent variables into components: a ``TableChain`` where
one discrete sequence is linked step to step, a ``GaussianChain`` where one real sequence is, a ``Tree``
otherwise; a ``NonlinearTree`` where steps with Gaussian noise are among them. Directed factors (steps) are
condensed into strongly connected components: one that feeds itself across time is a ``Recurrence``, any other
a ``Map``. Losses and discrete components that read real values come last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgpass.errors import GraphError
from msgpass.nodes import Sequence, Variable
from msgpass.plan.blocks import (
    Block,
    GaussianChain,
    Losses,
    Map,
    NonlinearTree,
    Recurrence,
    SwitchingChain,
    TableChain,
    Tree,
)
from msgpass.plan.components import components, undirected_block
from msgpass.plan.families import Arg, Family, latent, noisy, resolve
from msgpass.plan.steps import log_values, order_steps, producers
from msgpass.potentials import TABLES, Loss, Quadratic, Step

__all__ = [
    "Arg",
    "Block",
    "Family",
    "GaussianChain",
    "Losses",
    "Map",
    "NonlinearTree",
    "Plan",
    "Recurrence",
    "SwitchingChain",
    "TableChain",
    "Tree",
    "latent",
    "make_plan",
    "noisy",
    "resolve",
    "undirected_block",
]


@dataclass(frozen=True, eq=False)
class Plan:
    """Blocks in dependency order."""

    graph: Any
    blocks: tuple[Block, ...]
    owner: dict[str, Block]  # latent node → its block
    real: bool  # total is a loss (the graph has steps or losses, or conditioned labels)
    cache: dict = field(default_factory=dict, repr=False)

    def start_compiled(self) -> None:
        """Run compiled recurrences from the first run on, and not only once they are worth their loading.

        The two agree to rounding; afterwards bits do not depend on how often the graph has run.
        """
        self.cache["start compiled"] = True

    def __repr__(self) -> str:
        return "Plan\n" + "\n".join(f"  {k + 1}. {b!r}{self._how(k)}" for k, b in enumerate(self.blocks))

    def _how(self, k: int) -> str:
        """How a block runs, as far as a run has found out."""
        return f" ({self.cache['how', k]})" if ("how", k) in self.cache else ""


def make_plan(graph) -> Plan:
    """Condense ``graph`` into blocks; raise a :class:`GraphError` where that cannot be done."""
    families = [resolve(f) for f in graph.factors.values()]
    _check_used(graph, families)
    undirected = [f for f in families if isinstance(f.potential, (*TABLES, Quadratic)) or noisy(f)]
    steps = [f for f in families if isinstance(f.potential, Step) and not noisy(f)]
    losses = [f for f in families if isinstance(f.potential, Loss)]
    produced = producers(graph, steps, undirected)
    blocks: list[Block] = list(order_steps(steps, produced, log_values([*steps, *losses], undirected)))
    for nodes, members in components(undirected, produced):
        blocks.append(undirected_block(graph, nodes, members, produced))
    blocks += [Losses((f,), ()) for f in losses]
    owner = {name: b for b in blocks for name in b.nodes}
    return Plan(graph, tuple(blocks), owner, bool(steps or losses or graph.conditions))


def _check_used(graph, families) -> None:
    used = {a.name for f in families for a in (*f.args, *f.outs)}
    used |= {a.edge.name for f in families for a in f.args if a.edge is not None}
    used |= {s.node.name for f in families for s in f.potential.reads}
    loose = [n for n in graph.nodes.values() if isinstance(n, Variable | Sequence) and n.name not in used]
    if loose:
        raise GraphError(
            f"{loose[0].describe()} is not connected to any factor; add a factor over it or leave it out"
        )
    if not families:
        raise GraphError("the graph has no factor; add one with g.factor(potential, …)")
