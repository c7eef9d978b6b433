"""Which parameters the losses of each task depend on: read from the graph, so that a gradient that happens to
be zero makes no difference."""

from __future__ import annotations

from collections import defaultdict

from msgpass import FactorGraph, Loss
from msgpass.nodes import Parameter, Sequence, Variable


def reached(graph: FactorGraph) -> dict[str | None, set[str]]:
    """Names of parameters by task; None is the losses and components without one.

    Parameters
    ----------
    graph : FactorGraph

    Examples
    --------
    >>> g = FactorGraph()
    >>> v, w = g.parameter("v", 1.0), g.parameter("w", 1.0)
    >>> for name, reads in (("a", (v, w)), ("b", (w,))):
    ...     _ = g.factor(Loss(lambda *p: (sum(p), (1.0,) * len(p)), task=name), *reads)
    >>> sorted(reached(g)["a"]), sorted(reached(g)["b"])
    (['v', 'w'], ['w'])
    """
    computed: dict[str, list] = defaultdict(list)
    beside: dict[str, list] = defaultdict(list)
    starts: dict[str | None, list] = defaultdict(list)
    for factor in graph.factors.values():
        reads = _reads(factor)
        if isinstance(factor.potential, Loss):
            starts[factor.potential.task] += reads
        elif factor.out and not getattr(factor.potential, "noisy", False):
            for s in factor.out:
                computed[s.node.name] += reads
        else:  # tables and Gaussian relations speak in all directions
            inside = [
                n for n in (*reads, *(s.node for s in factor.out)) if isinstance(n, Variable | Sequence)
            ]
            for node in inside:
                beside[node.name] += [*reads, *(s.node for s in factor.out)]
    components = [name for name in beside if name not in computed]
    tasks = {task: _closed(nodes, computed, beside) for task, nodes in starts.items()}
    owned: set[str] = set()
    for name, weight in graph.weights.items():
        found = _closed([graph.nodes[name]], computed, beside)
        owned |= found
        tasks.setdefault(weight.task, set()).update(found)
    rest = [graph.nodes[name] for name in components if name not in owned]
    if rest:
        tasks.setdefault(None, set()).update(_closed(rest, computed, beside))
    names = {name for name, node in graph.nodes.items() if isinstance(node, Parameter)}
    return {task: found & names for task, found in tasks.items()}


def _reads(factor) -> list:
    """Nodes that a factor looks at: of its slices, of their edges, of its potential."""
    nodes = [s.node for s in factor.args]
    nodes += [s.edge.node for s in factor.args if s.edge is not None]
    potential = factor.potential
    return nodes + list(potential.parameters.values()) + [s.node for s in potential.reads]


def _closed(nodes, computed, beside) -> set[str]:
    """Names of all nodes behind these."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            waiting += computed.get(node.name, ())
            waiting += beside.get(node.name, ())
    return found
