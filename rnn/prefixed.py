"""A factor graph seen by a part of a model: every name that the part gives gets the part's prefix."""

from __future__ import annotations

from typing import Any

from msgpass import FactorGraph


class Prefixed:
    """Adds to ``graph`` under ``prefix``: ``sequence("h_l0", …)`` is "encoder.h_l0"."""

    def __init__(self, graph: FactorGraph, prefix: str):
        self.graph, self.prefix = graph, prefix

    def _named(self, name: str) -> str:
        return name if name.startswith(self.prefix) else self.prefix + name

    def variable(self, name: str, *args, **kwargs) -> Any:
        """As :meth:`FactorGraph.variable`."""
        return self.graph.variable(self._named(name), *args, **kwargs)

    def sequence(self, name: str, *args, **kwargs) -> Any:
        """As :meth:`FactorGraph.sequence`."""
        return self.graph.sequence(self._named(name), *args, **kwargs)

    def parameter(self, name: str, value) -> Any:
        """As :meth:`FactorGraph.parameter`."""
        return self.graph.parameter(self._named(name), value)

    def observe(self, name: str, *args, **kwargs) -> Any:
        """As :meth:`FactorGraph.observe`."""
        return self.graph.observe(self._named(name), *args, **kwargs)

    def factor(self, potential, *variables, out=None, name: str | None = None) -> Any:
        """As :meth:`FactorGraph.factor`."""
        named = None if name is None else self._named(name)
        return self.graph.factor(potential, *variables, out=out, name=named)
