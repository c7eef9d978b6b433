"""pgmpy: its ``DynamicBayesianNetwork`` as :class:`hmm.DynamicBayesianNetwork`, and back.

States are numbers here; their names stay behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmm.dynamic.bayesian_network import DynamicBayesianNetwork
from hmm.interop.common import library, simplex
from msgpass.errors import DataError, UnsupportedError


def from_pgmpy(model) -> DynamicBayesianNetwork:
    """A two-slice network of pgmpy with its tables.

    Parameters
    ----------
    model : pgmpy.models.DynamicBayesianNetwork

    Raises
    ------
    DataError
        Where a node has no CPD, or rows of one do not sum to 1.
    UnsupportedError
        Where a node's parents within the slice are not the same in both slices.
    """
    tables = {(node, t): _table(cpd) for cpd in getattr(model, "cpds", ()) for node, t in cpd.variables[:1]}
    names = list(dict.fromkeys(node for node, _ in model.nodes()))
    for name in names:
        if not isinstance(name, str):
            raise UnsupportedError(f"nodes here are named by strings, got {name!r}")
        if (name, 0) not in tables:
            raise DataError(f"the model has no CPD of {(name, 0)}; add it with model.add_cpds(…)")
    parents: dict[str, list] = {}
    cpds, initial = {}, {}
    for name in names:
        first, p = tables[name, 0]
        within = [node for node, _ in first]
        unknown: Any = (None, None)
        later, q = tables.get((name, 1), unknown)
        if later is None or ([(n, 1) for n in within] == later and np.array_equal(p, q)):
            if any(t == 0 for _, t in model.get_parents((name, 1))):
                raise DataError(f"the model has no CPD of {(name, 1)}; add it with model.add_cpds(…)")
            parents[name], cpds[name] = within, p
            continue
        own = [node for node, t in later if t == 1]
        if set(own) != set(within):
            raise UnsupportedError(
                f"{name} has the parents {within} in slice 0 and {own} in slice 1; here they are the same"
            )
        parents[name] = [node if t == 1 else (node, -1) for node, t in later]
        cpds[name] = q
        initial[name] = np.transpose(p, [*(within.index(node) for node in own), len(within)])
    states = {name: cpds[name].shape[-1] for name in names}
    return DynamicBayesianNetwork.from_tables(states, parents, cpds, initial)


def _table(cpd) -> tuple[list[tuple[Any, int]], np.ndarray]:
    """(parents as (node, slice), values (parents…, variable))."""
    parents = [(node, t) for node, t in cpd.variables[1:]]
    return parents, simplex(f"the CPD of {tuple(cpd.variables[0])}", np.moveaxis(cpd.values, 0, -1))


def to_pgmpy(model: DynamicBayesianNetwork):
    """A network as pgmpy's ``DynamicBayesianNetwork``, which takes ``DBNInference``.

    Raises
    ------
    UnsupportedError
        Where it has inputs, which are nodes without a table.
    """
    network = model.network()
    if len(model.inputs):
        raise UnsupportedError(f"pgmpy wants a table of every node; {list(model.inputs)} are inputs")
    made = library("pgmpy.models").DynamicBayesianNetwork()
    TabularCPD = library("pgmpy.factors.discrete").TabularCPD
    made.add_nodes_from(model.states)
    for name in model.states:
        for parent, lag in model.places(name):
            made.add_edge((parent, 0), (name, 1 if lag else 0))
    for relation in network.relations:
        *parents, (name, _) = relation.variables
        for t in {"first": [0], "later": [1], "every": [0, 1]}[relation.when]:
            values = network.probabilities[relation.parameter]
            columns = values.reshape(-1, values.shape[-1]).T
            scope = [(parent, t - lag) for parent, lag in parents]
            sizes = [model.states[parent] for parent, _ in parents]
            cpd = TabularCPD((name, t), values.shape[-1], columns, scope or None, sizes or None)
            made.add_cpds(cpd)
    return made
