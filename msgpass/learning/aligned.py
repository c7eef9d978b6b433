"""The same graph for many rows of data at once: every variable an aligned batch, every parameter a table for
each row.

What then arrives at a parameter is told row by row, so that rows may have weights. An observation is a
clamped variable here, one for each place where it stands: what is missing is summed out of each table by
itself, as observations are.
"""

from __future__ import annotations

import numpy as np

from msgpass.graph import FactorGraph
from msgpass.nodes import Observation, Parameter, Variable
from msgpass.potentials.table import Table


def alignable(graph: FactorGraph) -> bool:
    """Whether the graph is made of full tables over single discrete variables and nothing else."""
    variables = all(
        isinstance(n, Parameter) or (n.discrete and n.shape == () and isinstance(n, Variable | Observation))
        for n in graph.nodes.values()
    )
    return (
        variables and not graph.conditions and not graph.weights and all(map(_plain, graph.factors.values()))
    )


def _plain(factor) -> bool:
    potential = factor.potential
    return (
        type(potential) is Table
        and not potential.reads
        and len(potential.source.shape) == len(factor.args)
        and any(isinstance(s.node, Variable) for s in factor.args)
    )


class Aligned:
    """A copy of a graph for ``size`` rows.

    Attributes
    ----------
    graph : FactorGraph
    parameters : list of str
        Which have a table a row here.
    """

    def __init__(self, graph: FactorGraph, size: int):
        self.source, self.size = graph, size
        self.graph = made = FactorGraph()
        self.places: dict[str, list[str]] = {}  # observation → its variables here
        for node in graph.nodes.values():
            if isinstance(node, Variable):
                made.variable(node.name, states=node.states, shape=(size,))
            elif isinstance(node, Parameter):
                made.parameter(node.name, np.broadcast_to(node.value, (size, *node.shape)))
            else:
                self.places[node.name] = []
        for factor in graph.factors.values():
            args = [self._stand_in(s.node, factor.name) for s in factor.args]
            source = factor.potential.source
            own = made.nodes[source.name] if isinstance(source, Parameter) else source
            made.factor(Table(own), *args, name=factor.name)

    def _stand_in(self, node, factor: str):
        if isinstance(node, Variable):
            return self.graph.nodes[node.name]
        places = self.places[node.name]
        places.append(f"{node.name} of {factor}, place {len(places)}")
        return self.graph.variable(places[-1], states=node.states, shape=(self.size,))

    def values(self, parameters: dict[str, np.ndarray], columns: dict[str, np.ndarray]) -> dict:
        """What ``run`` takes of some rows, as many as ``size``."""
        found = {n: np.broadcast_to(v, (self.size, *np.shape(v))) for n, v in parameters.items()}
        for node in self.source.nodes.values():
            column = columns.get(node.name)
            if isinstance(node, Observation):
                clamp = np.full(self.size, node.value) if column is None else column
                found |= dict.fromkeys(self.places[node.name], clamp)
            elif column is not None:
                found[node.name] = column
        return found
