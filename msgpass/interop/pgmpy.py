"""pgmpy's networks as graphs, and graphs as pgmpy's networks. pgmpy is imported when a function is called.

pgmpy's tables have the variable first and its evidence after it; a factor here has the parents first and the
variable last, so that its rows are distributions.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np

from msgpass.errors import DataError, GraphError, MissingDependencyError, UnsupportedError
from msgpass.interop.directed import (
    TOLERANCE,
    Conditional,
    conditionals_of,
    log,
    network_graph,
    state_names,
)
from msgpass.interop.tables import WrittenOut, written_out

KINDS = ("bayes", "factor", "markov", "dynamic")


def pgmpy_module(name: str):
    """A module of pgmpy, without the warnings of its own imports."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(f"pgmpy.{name}")
    except ImportError as problem:
        raise MissingDependencyError(
            f"this needs pgmpy, which cannot be imported ({problem}); install it with: pip install pgmpy"
        ) from None


def from_pgmpy(model, length: int | None = None, parameters: bool = True):
    """A graph of a network of pgmpy.

    Parameters
    ----------
    model : a network of pgmpy
        DiscreteBayesianNetwork, FactorGraph, DiscreteMarkovNetwork, JunctionTree or
        DynamicBayesianNetwork. Nodes are called by their names as strings.
    length : int
        Slices of a DynamicBayesianNetwork, whose nodes become sequences.
    parameters : bool
        Tables are parameters of the graph, so that a run says what arrives at them: "table of x" of a
        conditional distribution, "table of phi(x, y)" of a factor.

    Returns
    -------
    FactorGraph
        Names of states are kept: ``run(graph, values={"smoke": "yes"})``,
        ``graph.decode(m.assignment)``.

    Examples
    --------
    >>> import warnings
    >>> warnings.simplefilter("ignore")
    >>> from pgmpy.factors.discrete import TabularCPD
    >>> from pgmpy.models import DiscreteBayesianNetwork
    >>> from msgpass import run
    >>> names = {"rain": ["no", "yes"], "wet": ["no", "yes"]}
    >>> model = DiscreteBayesianNetwork([("rain", "wet")])
    >>> model.add_cpds(
    ...     TabularCPD("rain", 2, [[0.8], [0.2]], state_names={"rain": names["rain"]}),
    ...     TabularCPD("wet", 2, [[0.9, 0.1], [0.1, 0.9]], ["rain"], [2], state_names=names),
    ... )
    >>> graph = from_pgmpy(model)
    >>> list(graph.factors)
    ['P(rain)', 'P(wet | rain)']
    >>> round(float(np.exp(run(graph, values={"wet": "yes"}).belief["rain"][1])), 4)
    0.6923
    """
    models = pgmpy_module("models")
    dynamic = isinstance(model, models.DynamicBayesianNetwork)
    if dynamic is not (length is not None):
        raise DataError(
            "a DynamicBayesianNetwork is unrolled over slices: from_pgmpy(model, length=10)"
            if dynamic
            else f"length= is of a DynamicBayesianNetwork, and this is a {type(model).__name__}"
        )
    if dynamic:
        from msgpass.interop.pgmpy_dynamic import from_dynamic

        return from_dynamic(model, length, parameters)  # type: ignore[arg-type]
    if isinstance(model, models.DiscreteBayesianNetwork):
        return _from_bayes(model, parameters)
    if isinstance(model, models.FactorGraph | models.DiscreteMarkovNetwork | models.JunctionTree):
        return _from_factors(model, parameters)
    raise UnsupportedError(
        f"from_pgmpy takes a {', '.join(_CLASSES.values())} or JunctionTree, got {type(model).__name__}"
    )


def conditional_of(cpd, names: dict) -> Conditional:
    """A TabularCPD with the variable last; ``names`` maps pgmpy's nodes to ours."""
    first, *rest = cpd.variables
    sums = np.asarray(cpd.values).sum(axis=0).ravel()
    worst = sums[np.argmax(np.abs(sums - 1))]
    if abs(worst - 1) > TOLERANCE:
        raise DataError(
            f"the CPD of {first} is no distribution: a column sums to {worst:.6g}; "
            "cpd.normalize() makes it one"
        )
    return Conditional(
        names[first], tuple(names[v] for v in rest), np.moveaxis(np.asarray(cpd.values), 0, -1)
    )


def names_of(nodes) -> dict:
    """Node → name as a string; two nodes of one name are an error."""
    names = {node: str(node) for node in nodes}
    if len(set(names.values())) < len(names):
        twice = next(n for n in names.values() if list(names.values()).count(n) > 1)
        raise GraphError(f"two nodes are called {twice!r}; rename one")
    return names


def _from_bayes(model, parameters: bool):
    names = names_of(model.nodes())
    cpds = {cpd.variable: cpd for cpd in model.get_cpds()}
    missing = [str(node) for node in names if node not in cpds]
    if missing:
        raise GraphError(f"no CPD of {', '.join(missing)}; give every node one with model.add_cpds(…)")
    states = {names[node]: state_names(cpds[node].state_names[node]) for node in names}
    for node, cpd in cpds.items():
        _same_states(cpd, {n: cpds[n].state_names[n] for n in cpd.variables}, node)
    return network_graph(states, [conditional_of(cpds[node], names) for node in names], parameters)


def _same_states(table, known: dict, of) -> None:
    for node, states in known.items():
        if list(table.state_names[node]) != list(states):
            raise GraphError(
                f"the table of {of} calls the states of {node} {list(table.state_names[node])}, and its own "
                f"table {list(states)}; names and their order must agree"
            )


def _from_factors(model, parameters: bool):
    from msgpass.graph import FactorGraph
    from msgpass.potentials import Table

    variables = dict.fromkeys(v for f in model.factors for v in f.variables)
    if type(model).__name__.endswith("MarkovNetwork"):
        alone = [str(v) for v in model.nodes() if v not in variables]
        if alone:
            raise GraphError(
                f"no factor is over {', '.join(alone)}, so that nothing says which states they have; add one "
                "with model.add_factors(…)"
            )
    names, graph = names_of(variables), FactorGraph()
    known: dict = {}
    for f in model.factors:
        for v in f.variables:
            known.setdefault(v, f.state_names[v])
    for v, name in names.items():
        graph.variable(name, state_names(known[v]))
    for f in model.factors:
        _same_states(f, {v: known[v] for v in f.variables}, f"phi({', '.join(map(str, f.variables))})")
        base = f"phi({', '.join(names[v] for v in f.variables)})"
        k = sum(1 for name in graph.factors if name.rsplit(" #", 1)[0] == base)
        name = f"{base} #{k + 1}" if k else base
        logs = log(f.values)
        source = graph.parameter(f"table of {name}", logs) if parameters else logs
        graph.factor(Table(source), *(graph[names[v]] for v in f.variables), name=name)
    return graph


# -- to pgmpy ------------------------------------------------------------------------------------------------


_CLASSES = {
    "bayes": "DiscreteBayesianNetwork",
    "factor": "FactorGraph",
    "markov": "DiscreteMarkovNetwork",
    "dynamic": "DynamicBayesianNetwork",
}


def to_pgmpy(graph, kind: str | None = None, values: dict | None = None):
    """A network of pgmpy.

    Parameters
    ----------
    graph : FactorGraph
        Of tables. Rows of sequences are nodes such as "z[3]", except for "dynamic"; observations are nodes,
        and their states are what :func:`pgmpy_evidence` says.
    kind : "bayes", "factor", "markov" or "dynamic"
        DiscreteBayesianNetwork, where every variable is the last of one table whose rows sum to one;
        FactorGraph; DiscreteMarkovNetwork; or DynamicBayesianNetwork, of sequences with tables over ``z[0]``,
        ``z[:]`` and ``z[:-1], z[1:]``. By default "bayes" where that is possible, else "factor".
    values : dict, optional
        Parameters to take in place of the graph's own, such as what was learned.
    """
    chosen = {name.lower(): kind for kind, name in _CLASSES.items()} | {kind: kind for kind in KINDS}
    if kind is not None and str(kind).lower() not in chosen:
        raise DataError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    wanted = None if kind is None else chosen[str(kind).lower()]
    if wanted == "dynamic":
        from msgpass.interop.pgmpy_dynamic import to_dynamic

        return to_dynamic(graph, values)
    if wanted in ("bayes", None):
        try:
            return _to_bayes(*conditionals_of(graph, values, "a DiscreteBayesianNetwork"))
        except UnsupportedError:
            if wanted == "bayes":
                raise
    found = written_out(graph, values, f"a {_CLASSES[wanted or 'factor']}")
    return _to_markov(found) if wanted == "markov" else _to_factor_graph(found)


def pgmpy_evidence(graph, values: dict | None = None) -> dict:
    """What a graph observes, as evidence for pgmpy's queries: node → state, by name where it has one."""
    found = written_out(graph, values, "pgmpy")
    return {name: _state(found, name, k) for name, k in found.evidence.items()}


def _state(found: WrittenOut, name: str, k: int) -> Any:
    return found.state_names[name][k] if name in found.state_names else k


def state_lists(found: WrittenOut, scope) -> dict:
    """Names of the states of some variables, as pgmpy takes them."""
    return {v: list(found.state_names.get(v, range(found.states[v]))) for v in scope}


def _to_bayes(found: WrittenOut, conditionals):
    model = pgmpy_module("models").DiscreteBayesianNetwork()
    model.add_nodes_from(found.states)
    model.add_edges_from((p, one.variable) for one in conditionals for p in one.parents)
    model.add_cpds(*(tabular(one, state_lists(found, (one.variable, *one.parents))) for one in conditionals))
    return model


def tabular(one: Conditional, names: dict):
    """A TabularCPD; ``names`` are the states of its variables."""
    cards = one.values.shape
    return pgmpy_module("factors.discrete").TabularCPD(
        one.variable,
        cards[-1],
        one.values.reshape(-1, cards[-1]).T,
        list(one.parents) or None,
        list(cards[:-1]) or None,
        state_names=names,
    )


def _discrete_factors(found: WrittenOut) -> list:
    make = pgmpy_module("factors.discrete").DiscreteFactor
    return [
        make(list(f.scope), f.log_values.shape, np.exp(f.log_values), state_names=state_lists(found, f.scope))
        for f in found.factors
    ]


def _to_factor_graph(found: WrittenOut):
    model, factors = pgmpy_module("models").FactorGraph(), _discrete_factors(found)
    model.add_nodes_from(found.states)
    model.add_nodes_from(factors)
    model.add_factors(*factors)
    model.add_edges_from((v, f) for f in factors for v in f.variables)
    return model


def _to_markov(found: WrittenOut):
    model = pgmpy_module("models").DiscreteMarkovNetwork()
    model.add_nodes_from(found.states)
    for f in found.factors:
        model.add_edges_from((a, b) for k, a in enumerate(f.scope) for b in f.scope[k + 1 :])
    model.add_factors(*_discrete_factors(found))
    return model
