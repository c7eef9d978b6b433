"""What the laws read from a graph, sliced or flat: its variable instances, and every factor instance with its
neighbours."""

import numpy as np

from msgpass.nodes import Observation, Sequence
from tests.oracles import places_of


def latent_instances(graph):
    """(key, handle) of every latent variable instance: key as in the oracles, handle as ``message`` takes
    it."""
    for node in graph.nodes.values():
        if isinstance(node, Sequence):
            for row in range(node.clock.total):
                yield (node.name, row), node[row]
        elif type(node).__name__ == "Variable":
            yield (node.name, -1), node


def neighbours(graph, potential):
    """key → [factor instances] over all factors of one kind of potential, and instance → its latent keys."""
    of_variable, of_instance = {}, {}
    for factor in graph.factors.values():
        if not isinstance(factor.potential, potential):
            continue
        places = [
            (s.node.name, p)
            for s, p in zip(factor.args, places_of(factor), strict=True)
            if not isinstance(s.node, Observation)
        ]
        for j in range(len(factor)):
            keys = [(name, column[j]) for name, column in places]
            of_instance[(factor.name, j)] = keys
            for key in keys:
                of_variable.setdefault(key, []).append((factor.name, j))
    return of_variable, of_instance


def free_of_constant(logs):
    """A log message with its largest entry at 0: messages are free up to a constant."""
    top = np.max(logs, axis=-1, keepdims=True)
    return logs - np.where(np.isfinite(top), top, 0.0)
