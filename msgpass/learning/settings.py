"""What a caller asks of a fit, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import DataError, GraphError, UnavailableError, UnsupportedError
from msgpass.graph import FactorGraph
from msgpass.learning.children import child_axes, factors_behind
from msgpass.learning.distributions import Distributions
from msgpass.learning.domains import DOMAINS, Domain, Normalised, Real
from msgpass.learning.priors import Dirichlet
from msgpass.nodes import Parameter
from msgpass.potentials import Structured
from msgpass.run import resolve_values


def parts_of(graph, data, weights) -> tuple[list[FactorGraph], list, list]:
    """Graphs, and the data and weights of each."""
    if isinstance(graph, FactorGraph):
        return [graph], [data], [weights]
    graphs = list(graph) if isinstance(graph, list | tuple) else []
    if not graphs or not all(isinstance(g, FactorGraph) for g in graphs):
        raise GraphError(f"fit takes a FactorGraph, or a list of them, got {type(graph).__name__}")
    parts = []
    for what, given in (("data", data), ("weights", weights)):
        own = [None] * len(graphs) if given is None else given
        if not isinstance(own, list | tuple) or len(own) != len(graphs):
            raise DataError(f"{what} of {len(graphs)} graphs is a list with one entry a graph")
        parts.append(list(own))
    return graphs, parts[0], parts[1]


def check_shared(graphs: list[FactorGraph], learned: list[str]) -> None:
    """What graphs share has one shape."""
    known = [n.name for n in graphs[0].nodes.values() if isinstance(n, Parameter)]
    for k, graph in enumerate(graphs[1:], 1):
        for name in known:
            node = graph.nodes.get(name)
            if node is not None and (
                not isinstance(node, Parameter) or node.shape != graphs[0].nodes[name].shape
            ):
                raise GraphError(
                    f"graphs share {name!r}, which is {graphs[0].nodes[name].describe()} in the first and "
                    f"{node.describe()} in graph {k}"
                )
        if not any(name in graph.nodes for name in learned):
            raise GraphError(f"graph {k} has none of what is learned: {', '.join(learned)}")


def count(name: str, value) -> int:
    """A whole number; of starts at least one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < (name == "n_init"):
        raise DataError(f"{name} is a whole number ≥ {int(name == 'n_init')}, got {value!r}")
    return int(value)


def by_name(keyed: dict) -> dict[str, Any]:
    """The same dict, with names where nodes may stand."""
    return {getattr(key, "name", key): value for key, value in keyed.items()}


def learned_names(graph: FactorGraph, method: str, parameters, frozen) -> list[str]:
    """Names of what is learned."""
    own = [n.name for n in graph.nodes.values() if isinstance(n, Parameter)]
    tables = list(factors_behind(graph))
    fit_for = tables if method == "em" else own
    frozen = [getattr(p, "name", p) for p in frozen]
    chosen = fit_for if parameters is None else [getattr(p, "name", p) for p in parameters]
    for name in (*chosen, *frozen):
        if name not in own:
            raise UnavailableError(f"the graph has no parameter {name!r}; it has {', '.join(own) or 'none'}")
        if name in chosen and name not in fit_for:
            factor = next((f for f in graph.factors.values() if _is_part(name, f)), None)
            if factor is not None:
                raise UnsupportedError(
                    f"{name!r} is a part of {factor.name!r}, a {type(factor.potential).__name__}, which EM "
                    'does not re-estimate: leave it out, or learn it with method="lbfgs" (probabilities with '
                    f'domains={{{name!r}: "unit"}})'
                )
            raise UnsupportedError(
                f'{name!r} is behind no table, and EM re-estimates tables; learn it with method="lbfgs"'
            )
    learned = [name for name in dict.fromkeys(chosen) if name not in frozen]
    if not learned:
        raise GraphError(
            "there is nothing to learn: make the log values of tables parameters, "
            "Table(g.parameter(name, log_values)), and leave one of them out of frozen="
        )
    return learned


def _is_part(name: str, factor) -> bool:
    return isinstance(factor.potential, Structured) and name in {
        p.name for p in factor.potential.parameters.values()
    }


def own_values(graph: FactorGraph, values) -> dict[str, np.ndarray]:
    """Values of parameters that a caller starts from, checked."""
    names = by_name(values or {})
    for name in names:
        if not isinstance(graph.nodes.get(name), Parameter):
            raise UnavailableError(f"values has {name!r}, which is no parameter; data go into data=")
    arrays, _ = resolve_values(graph.plan(), names)
    return {name: np.array(arrays[name], np.float64) for name in names}


def distributions_of(graph: FactorGraph, groups: list[list[str]], axes, start) -> dict[str, Distributions]:
    """What EM re-estimates, checked to be distributions at the start."""
    behind = factors_behind(graph)
    found = child_axes(graph, [name for group in groups for name in group], axes)
    tables = {name: Distributions.of(name, behind[name][0], own) for name, own in found.items()}
    for name, table in tables.items():
        table.check(start[name])
    for group in groups:
        if len({found[name] for name in group}) > 1:
            told = ", ".join(f"{name!r} along {found[name]}" for name in group)
            raise DataError(f"tied: {told}; tied tables are distributions along one axis")
    return tables


def domains_of(graph: FactorGraph, kinds, axes, heads: list[str], start) -> dict[str, Domain]:
    """Where each learned parameter lives."""
    behind, found = factors_behind(graph), dict[str, Domain]()
    for name, kind in kinds.items():
        if name not in heads:
            raise UnavailableError(f"domains names {name!r}, which is not learned, or tied to one before it")
        if kind not in DOMAINS or name in axes:
            raise UnsupportedError(
                f"domains[{name!r}] is one of {', '.join(DOMAINS)}, got {kind!r}; a log table of "
                "distributions is named in axes= instead"
            )
        found[name] = DOMAINS[kind]()
        found[name].check(name, start[name])
    for name, own in child_axes(graph, [n for n in heads if n in axes], axes).items():
        found[name] = Normalised(Distributions.of(name, behind[name][0], own))
    return {name: found.get(name, Real()) for name in heads}


def groups_of(graph: FactorGraph, learned: list[str], tied, start) -> list[list[str]]:
    """Parameters that share a value; those of a group start from the first one's."""
    groups, left = [], list(learned)
    for given in tied:
        group = [getattr(p, "name", p) for p in given]
        for name in group:
            if name not in left:
                why = "is in two groups" if name in learned else "is not learned"
                raise UnavailableError(f"tied: {name!r} {why}")
            left.remove(name)
        shapes = {start[name].shape for name in group}
        if len(shapes) > 1:
            raise DataError(f"tied: {', '.join(group)} have shapes {sorted(shapes)}; one value has one shape")
        for name in group[1:]:
            start[name] = start[group[0]]
        groups.append(group)
    return groups + [[name] for name in left]


def check_em(graphs: list[FactorGraph], given, priors, start) -> dict[str, Dirichlet]:
    """The priors, once what EM asks for is there."""
    if any(graph.plan().real for graph in graphs):
        raise UnsupportedError(
            "EM re-estimates the tables of a graph whose total is log Z; this one has steps, losses or "
            'conditioned labels, so that its total is a loss: method="lbfgs"'
        )
    if tuple(given):
        raise UnsupportedError('given= is for method="lbfgs": EM maximises the joint likelihood')
    found = {}
    for name, prior in priors.items():
        if not isinstance(prior, Dirichlet):
            raise UnsupportedError(
                f"prior of {name!r}: EM takes Dirichlet(concentration), got {prior!r}; others go with "
                'method="lbfgs"'
            )
        prior.check(name, start[name].shape)
        found[name] = prior
    return found
