"""The same graph with an additive disturbance of every state between a slice and what comes after.

    s_t = F_t(s_{t−1}) + ε_t,      ε = 0

∂L/∂ε_t is the cotangent of a whole slice: what later slices and the slice's own losses say about s_t, all of
its variables held but the one. Where no state of a slice reads another one of the same slice it is λ_t
itself; of stacked layers λ_t of a lower one also holds what goes through the upper one's state. Noise of a
discretised network enters at the same place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msgpass import FactorGraph, Step
from msgpass.nodes import Observation, Parameter, Sequence
from msgpass.plan import Family
from rnn.dbn.slices import Slices
from rnn.dbn.template import lag_of

ADD = Step(
    np.add,
    vjp=lambda inputs, cotangent: (cotangent, cotangent),
    jvp=lambda inputs, tangents: sum(t for t in tangents if t is not None),
    hvp=lambda *_: (None, None),
    vectorized=True,
)


def disturbance(name: str) -> str:
    """Name of the observation that is added to a state."""
    return f"disturbance of {name}"


def disturbed_graph(slices: Slices) -> FactorGraph:
    """A graph whose observations ``disturbance of h_l0``, … (T, *shape) are added to the states."""
    return _Copy(slices).graph


class _Copy:
    def __init__(self, slices: Slices):
        self.slices, self.graph = slices, FactorGraph()
        self.again = "{} disturbed".format
        for node in slices.graph.nodes.values():
            self._node(node)
        inner = {o.name for f in slices.moving for o in f.outs}
        # What lies between the interface and the losses is computed from the disturbed state, a second time
        # where the states of the slice need it, too.
        twice = [f for f in slices.families if f in slices.moving and self._tells(f)]
        self.doubled = {o.name for f in twice for o in f.outs if o.name not in slices.names}
        for name in self.doubled:
            self._sequence(self.again(name), slices.graph.nodes[name])
        for name in slices.names:
            node = slices.graph.nodes[name]
            noise = self.graph.observe(disturbance(name), np.zeros((node.clock.total, *node.shape)))
            out = self._sequence(self.again(name), node)
            self.graph.factor(ADD, self.graph.nodes[name][:], noise[:], out=out[:], name=f"disturb {name}")
        for f in slices.families:
            if f in slices.moving:
                self._factor(f, f.name, {}, {n: self.again(n) for n in slices.names}, {})
            if f in twice or f not in slices.moving:
                renamed = {n: self.again(n) for n in (*slices.names, *self.doubled)}
                outs = {n: self.again(n) for n in self.doubled} if f in inner or f in twice else {}
                name = self.again(f.name) if f in twice else f.name
                self._factor(f, name, renamed, renamed, outs)

    def _tells(self, f: Family) -> bool:
        """A loss reads what it computes, not through the interface."""
        return f in self.slices.telling and not any(o.name in self.slices.names for o in f.outs)

    def _node(self, node) -> None:
        g = self.graph
        if isinstance(node, Parameter):
            g.parameter(node.name, node.value)
        elif isinstance(node, Observation):
            g.observe(node.name, node.value, states=node.states)
        elif isinstance(node, Sequence):
            self._sequence(node.name, node)
        else:
            g.variable(node.name, shape=node.shape)

    def _sequence(self, name: str, node):
        return self.graph.sequence(name, node.clock.total, shape=node.shape)

    def _factor(self, f: Family, name: str, same: dict, before: dict, outs: dict) -> None:
        """The factor with its states read disturbed: in the same slice by ``same``, from the one before by
        ``before``."""
        args = []
        for a in f.args:
            rename = same if lag_of(a, f) in (0, None) else before
            args.append(self._slice(a.slice, rename))
        out = tuple(self._slice(o.slice, outs) for o in f.outs)
        self.graph.factor(f.potential, *args, out=out or None, name=name)

    def _slice(self, s, rename: dict):
        edge = None if s.edge is None else self._slice(s.edge, {})
        return replace(s, node=self.graph.nodes[rename.get(s.node.name, s.node.name)], edge=edge)
