"""The same graph for many rows of data at once: the rows of its sequences laid end to end.

Sequences have no weights, so rows of one weight lie together.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msgpass.graph import FactorGraph
from msgpass.nodes import Clock, Observation, Parameter, Sequence, Slice
from msgpass.potentials import TABLES

KINDS = ("range", "index")


def layable(graph: FactorGraph) -> bool:
    """Whether the graph is made of tables that all steps share, over slices of sequences of one length."""
    lengths = {n.clock.lengths for n in graph.nodes.values() if isinstance(n, Sequence)}
    if len(lengths) != 1 or len(*lengths) > 1 or graph.weights:
        return False
    if any(n.discrete and n.shape for n in graph.nodes.values() if isinstance(n, Sequence)):
        return False
    labels = set(graph.labels.values())
    sliced = {s.node.name for f in graph.factors.values() for s in f.args} | labels
    if any(isinstance(n, Observation) and n.name not in sliced for n in graph.nodes.values()):
        return False
    return graph.conditions.keys() == graph.labels.keys() and all(map(_fits, graph.factors.values()))


def _fits(factor) -> bool:
    potential = factor.potential
    shared = isinstance(potential, TABLES) and not potential.reads and not potential.stepped(factor)
    return shared and factor.clock is not None and all(s.kind in KINDS for s in factor.args)


class EndToEnd:
    """A copy of a graph in which ``size`` rows of data lie end to end."""

    def __init__(self, graph: FactorGraph, size: int):
        self.source, self.size = graph, size
        self.graph = made = FactorGraph()
        for node in graph.nodes.values():
            if isinstance(node, Sequence):
                made.sequence(node.name, length=Clock(node.clock.lengths * size).lengths, states=node.states)
            elif isinstance(node, Parameter):
                made.parameter(node.name, node.value)
            else:
                made.observe(
                    node.name, self._laid(np.broadcast_to(node.value, (size, *node.shape))), node.states
                )
        for factor in graph.factors.values():
            args = [self._slice(s) for s in factor.args]
            made.factor(factor.potential.of(self._own(factor.potential.source)), *args, name=factor.name)
        for name, labels in graph.labels.items():
            made.condition(made.nodes[name], made.nodes[labels])

    def _own(self, source):
        return self.graph.nodes[source.name] if isinstance(source, Parameter) else source

    def _slice(self, s: Slice) -> Slice:
        return replace(s, node=self.graph.nodes[s.node.name])

    @staticmethod
    def _laid(column: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(column).reshape(-1, *column.shape[2:])

    def values(self, parameters: dict[str, np.ndarray], columns: dict[str, np.ndarray]) -> dict:
        """What ``run`` takes of some rows, as many as ``size``."""
        return {**parameters, **{n: self._laid(c) for n, c in columns.items()}}
