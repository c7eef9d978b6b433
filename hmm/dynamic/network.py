"""One dynamic Bayesian network as a value, and the factor graph that it makes over evidence.

p(z, x) = Π_t Π_n p(z_t^n | parents in slices t and t − 1) Π_e p(x_t^e | the variables that emit it)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from hmm.emissions.base import Emission
from hmm.simplex import dirichlet_log_density, log, normalised
from msgpass import FactorGraph, JunctionTree, Messages, Table, run
from msgpass.errors import GraphError, TreewidthError

IMPOSSIBLE, CERTAIN = -1, -2
"""Entries of a table that are no parameter: probability 0, and 1."""

Place = tuple[str, int]
"""(node, slices back)."""


LARGEST = 1 << 26
"""Entries that one table may have."""


def bounded(what: str, sizes) -> None:
    """Refuse a table that is too large before anything is allocated."""
    entries = math.prod(int(k) for k in sizes)
    if entries > LARGEST:
        raise TreewidthError(
            f"{what} would be a table of {' × '.join(map(str, sizes))} = {entries:.3g} entries; the bound is "
            f"{LARGEST}: take fewer chains or states",
            len(tuple(sizes)) - 1,
            entries,
        )


@dataclass(frozen=True, eq=False)
class Relation:
    """A conditional table p(last variable | the others).

    Attributes
    ----------
    parameter : str
        Whose numbers it holds; several relations may share them.
    variables : tuple of (node, slices back)
        Its axes; lags are 0 and 1.
    when : {"first", "later", "every"}
        Slices that have it.
    places : int array, optional
        Where each entry of the table stands in the parameter, flat, or ``IMPOSSIBLE`` or ``CERTAIN``; by
        default the parameter is the table.
    """

    parameter: str
    variables: tuple[Place, ...]
    when: str
    places: np.ndarray | None = None

    def table(self, values: np.ndarray) -> np.ndarray:
        """The table with a parameter's values."""
        if self.places is None:
            return values
        fixed = np.where(self.places == CERTAIN, 1.0, 0.0)
        return np.where(self.places >= 0, values.ravel()[np.maximum(self.places, 0)], fixed)

    def counts(self, arrived: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Counts of the table → counts of the parameter."""
        if self.places is None:
            return arrived
        free = self.places >= 0
        size = int(np.prod(shape))
        return np.bincount(self.places[free], arrived[free], minlength=size).reshape(shape)


@dataclass(frozen=True, eq=False)
class Seen:
    """What some nodes emit together: the emission's states are theirs, the last node's running fastest."""

    emission: Emission
    nodes: tuple[str, ...]
    columns: tuple[int, ...]
    params: str = ""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Data of a network.

    Attributes
    ----------
    data : list
        Of each emission, prepared.
    lengths : list of int
    labels : dict of str to int array (T,)
        States of nodes that are known at some steps, −1 where they are not.
    given : dict of str to int array (T,)
        States of nodes that are known throughout and that nothing depends on, or that depend on nothing.
    """

    data: list[Any]
    lengths: list[int]
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    given: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Steps in all."""
        return sum(self.lengths)


@dataclass(frozen=True, eq=False)
class Network:
    """A model.

    Attributes
    ----------
    sizes : dict of str to int
        States of every node.
    relations : tuple of Relation
    probabilities : dict of str to array
        Parameters; rows (the last axis) sum to one.
    seen : tuple of Seen
    concentrations : dict of str to number or array
        Dirichlet priors by parameter; 1, the default, is maximum likelihood.
    """

    sizes: Mapping[str, int]
    relations: tuple[Relation, ...]
    probabilities: Mapping[str, np.ndarray]
    seen: tuple[Seen, ...] = ()
    concentrations: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def parents_first(self) -> list[str]:
        """Nodes in an order in which parents of the same slice come first.

        Raises
        ------
        GraphError
            If there is none.
        """
        before: dict[str, set[str]] = {n: set() for n in self.sizes}
        for relation in self.relations:
            *parents, (child, _) = relation.variables
            before[child] |= {n for n, lag in parents if not lag}
        order: list[str] = []
        while len(order) < len(before):
            ready = [n for n in before if n not in order and before[n] <= set(order)]
            if not ready:
                loop = [n for n in before if n not in order]
                raise GraphError(
                    f"the nodes {', '.join(loop)} depend on each other within one slice; an arrow that "
                    "closes a loop must come from the slice before, as (node, -1)"
                )
            order += ready
        return order

    def components(self, evidence: Evidence) -> dict[str, int]:
        """Number of the part of the graph that each node belongs to."""
        part = {name: k for k, name in enumerate(self.sizes)}
        scopes = [[n for n, _ in r.variables] for r in self.relations] + [
            list(one.nodes) for one in self.seen
        ]
        for scope in scopes:
            joined = {part[n] for n in scope if n not in evidence.given}
            if joined:
                part = {n: min(joined) if p in joined else p for n, p in part.items()}
        return part

    def firsts(self, evidence: Evidence) -> list[str]:
        """One hidden node of each part."""
        parts, hidden = self.components(evidence), [n for n in self.sizes if n not in evidence.given]
        return list({parts[n]: n for n in reversed(hidden)}.values())

    # -- its graph -------------------------------------------------------------------------------------

    def prepare(self, X: np.ndarray) -> list[Any]:
        """Observations of every emission."""
        return [one.emission.prepare(X[:, list(one.columns)]) for one in self.seen]

    def graph(self, evidence: Evidence) -> FactorGraph:
        """Factor graph over evidence: one sequence a node, parameters "table 0", … and "density 0", …"""
        g = FactorGraph()
        lengths = evidence.lengths
        length: Any = lengths if len(lengths) > 1 else lengths[0]
        nodes: dict[str, Any] = {}
        for name, states in self.sizes.items():
            if name in evidence.given:
                nodes[name] = g.observe(name, evidence.given[name], states=states)
            else:
                nodes[name] = g.sequence(name, length=length, states=states)
        values = self.values(evidence)
        for k, relation in enumerate(self.relations):
            slices = [self._slice(nodes[n], lag, relation.when) for n, lag in relation.variables]
            table = Table(g.parameter(f"table {k}", values[f"table {k}"]))
            if all(n in evidence.given for n, _ in relation.variables):
                raise GraphError(f"the table of {relation.parameter!r} relates observations only")
            if relation.when != "later" or max(lengths) > 1:
                g.factor(table, *slices, name=f"p {k}")
        for k, one in enumerate(self.seen):
            table = Table(g.parameter(f"density {k}", values[f"density {k}"]))
            g.factor(table, *(nodes[n][:] for n in one.nodes), name=f"see {k}")
        return g

    def _slice(self, node, lag: int, when: str):
        if when == "first":
            return node[0]
        if when == "every":
            return node[:]
        return node[1:] if lag == 0 else node[:-1]

    def values(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Values that make a graph over this evidence a graph of this network."""
        found: dict[str, np.ndarray] = {}
        for k, relation in enumerate(self.relations):
            found[f"table {k}"] = log(relation.table(self.probabilities[relation.parameter]))
        for k, (one, data) in enumerate(zip(self.seen, evidence.data, strict=True)):
            density = one.emission.log_density(data)
            found[f"density {k}"] = density.reshape(len(density), *(self.sizes[n] for n in one.nodes))
        return found

    def run(self, evidence: Evidence, algebra=None, schedule=None, graph=None) -> Messages:
        """Messages over evidence."""
        graph = self.graph(evidence) if graph is None else graph
        values = {**self.values(evidence), **evidence.labels}
        return run(graph, algebra, schedule or JunctionTree(), values)

    # -- learning --------------------------------------------------------------------------------------

    def maximise(self, m: Messages, evidence: Evidence, params: str, free: frozenset[str]) -> Network:
        """M-step from what arrived: parameters named in ``free``, and each emission's own ``params``."""
        found = dict(self.probabilities)
        for name in free:
            old = np.asarray(self.probabilities[name])
            counts = np.zeros(old.shape)
            for k, relation in enumerate(self.relations):
                if relation.parameter == name:
                    counts += relation.counts(m.parameters[f"table {k}"], old.shape)
            found[name] = normalised(counts, self.concentrations.get(name, 1.0), old)
        seen = []
        for k, (one, data) in enumerate(zip(self.seen, evidence.data, strict=True)):
            emission = one.emission
            if set(params) & set(one.params or params):
                weights = m.parameters[f"density {k}"].reshape(evidence.rows, -1)
                emission = emission.fit(data, weights, one.params or params)
            seen.append(replace(one, emission=emission))
        return replace(self, probabilities=found, seen=tuple(seen))

    def log_prior(self) -> float:
        """Log prior of all parameters, up to a constant."""
        own = sum(
            dirichlet_log_density(p, self.concentrations.get(n, 1.0)) for n, p in self.probabilities.items()
        )
        return own + sum(one.emission.log_prior() for one in self.seen)

    def n_parameters(self) -> int:
        """Free numbers of all tables and emissions."""
        tables = [int(np.prod(np.shape(p)[:-1])) * (np.shape(p)[-1] - 1) for p in self.probabilities.values()]
        return sum(tables) + sum(sum(one.emission.n_parameters().values()) for one in self.seen)

    # -- drawing ---------------------------------------------------------------------------------------

    def sample(self, n: int, rng: np.random.Generator, given=None) -> dict[str, np.ndarray]:
        """States of every node over n steps, (n,) each; nodes without a table of their own are ``given``."""
        states = {name: np.zeros(n, np.int64) for name in self.sizes}
        for name, rows in (given or {}).items():
            states[name] = np.asarray(rows, np.int64)
        uniforms = rng.random((n, len(self.sizes)))
        by_child: dict[tuple[str, bool], tuple[Relation, np.ndarray]] = {}
        for relation in self.relations:
            cdf = np.cumsum(relation.table(self.probabilities[relation.parameter]), axis=-1)
            for first in (True, False):
                if relation.when == "every" or (relation.when == "first") == first:
                    by_child[relation.variables[-1][0], first] = relation, cdf
        drawn = [(c, name) for c, name in enumerate(self.parents_first) if (name, n == 0) in by_child]
        for t in range(n):
            for c, name in drawn:
                if (name, t == 0) not in by_child:
                    continue
                relation, cdf = by_child[name, t == 0]
                at = tuple(states[parent][t - lag] for parent, lag in relation.variables[:-1])
                row = cdf[at]
                states[name][t] = min(np.searchsorted(row, uniforms[t, c] * row[-1], "right"), len(row) - 1)
        return states

    def emitted(self, states: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Observations of the emissions, (n, D)."""
        n = len(next(iter(states.values())))
        X = np.full((n, sum(len(one.columns) for one in self.seen)), np.nan)
        for one in self.seen:
            sizes = tuple(self.sizes[name] for name in one.nodes)
            joint = np.ravel_multi_index(tuple(states[name] for name in one.nodes), sizes)
            X[:, list(one.columns)] = one.emission.sample(joint, rng)
        return X
