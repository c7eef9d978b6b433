"""Flooding written out as steps, so that any loss of its beliefs has a gradient.

K rounds are a recurrence over the vector of all messages, and ``Adjoint`` runs it backward:
back-belief-propagation (Eaton & Ghahramani 2009) where the messages have settled, truncated fitting (Domke
2011) where they have not. The loss is then of what inference says after K rounds, however far that is from
convergence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from msgpass.errors import DataError, GraphError, UnsupportedError
from msgpass.graph import FactorGraph
from msgpass.learning.message_round import Round
from msgpass.learning.round_readings import Readings
from msgpass.nodes import Observation, Parameter, Sequence, Slice, Variable
from msgpass.plan import Family, resolve
from msgpass.plan.blocks import Tree
from msgpass.potentials import TABLES, Loss, Step
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.flattened import flatten
from msgpass.sweeps.tree import table_target


def truncated_loopy(
    graph: FactorGraph,
    sweeps: int | None = 10,
    *,
    damping: float = 0.0,
    tol: float = 1e-10,
    max_iter: int = 1000,
    terms: int | None = None,
    bethe: bool = False,
) -> FactorGraph:
    """The graph of K rounds of loopy belief propagation on ``graph``: its discrete variables become real ones
    that hold their marginals.

    Add losses of these, run it, and read gradients at parameters, which have the names that they had.

    Parameters
    ----------
    graph : FactorGraph
        Of tables over discrete variables. Steps that compute log values are taken over.
    sweeps : int or None
        Rounds, in each of which all messages are new. None: until they no longer change, with the gradient
        of the fixed point.
    damping : float
        Share of the old log message in the new one.
    bethe : bool
        Add a real variable ``"log Z"``: Bethe's approximation from the messages as they are. Settled, its
        gradient at log tables are the beliefs of factors.
    tol, max_iter, terms
        Of ``sweeps=None``, as :meth:`~msgpass.Step.fixed_point` has them.

    Returns
    -------
    FactorGraph
        Variables and sequences of the same names with shape (states,): probabilities. Parameters and
        observations as they were; −1 is still missing where only tables read it. Messages of each round are
        ``m.forward["messages"]``.

    Examples
    --------
    A loop of three spins learns to have one marginal.

    >>> import numpy as np
    >>> from msgpass import FactorGraph, Loss, Table, run
    >>> from msgpass.learning import truncated_loopy
    >>> g = FactorGraph()
    >>> s = g.sequence("s", length=3, states=2)
    >>> _ = g.factor(Table(g.parameter("J", [[0.5, 0.0], [0.0, 0.5]])), s[[0, 1, 2]], s[[1, 2, 0]])
    >>> _ = g.factor(Table(g.parameter("h", [0.0, 0.3])), s[:])
    >>> t = truncated_loopy(g, sweeps=5)
    >>> _ = t.factor(Loss(lambda b: (-np.log(b[1]), (np.array([0, -1 / b[1]]),))), t["s"][:])
    >>> m = run(t)
    >>> m.forward["s"][0].round(4), m.parameters["h"].round(4)
    (array([0.3796, 0.6204]), array([ 1.8423, -1.8423]))
    """
    if not isinstance(graph, FactorGraph):
        raise GraphError(f"truncated_loopy takes a FactorGraph, got {type(graph).__name__}")
    if sweeps is not None and (
        isinstance(sweeps, bool) or not isinstance(sweeps, int | np.integer) or sweeps < 1
    ):
        raise DataError(f"sweeps is a whole number ≥ 1, or None for convergence, got {sweeps!r}")
    if not 0 <= damping < 1:
        raise DataError(f"damping is the old message's share, in [0, 1), got {damping!r}")
    settings = {"tol": tol, "max_iter": max_iter, "terms": terms}
    return _Truncated(graph, sweeps, damping, settings, bool(bethe)).made


class _Truncated:
    """One such graph under construction."""

    def __init__(self, graph: FactorGraph, sweeps, damping: float, settings: dict[str, Any], bethe: bool):
        self.graph, self.made = graph, FactorGraph()
        graph.check()
        tables = [f for f in graph.factors.values() if isinstance(f.potential, TABLES)]
        others = [f for f in graph.factors.values() if not isinstance(f.potential, TABLES)]
        self._check(others)
        elsewhere = {s.node.name for f in others for s in f.slices}
        for node in graph.nodes.values():
            self._node(node, node.name in elsewhere)
        for factor in others:
            args, out = ([self._slice(s) for s in part] for part in (factor.args, factor.out))
            self.made.factor(factor.potential, *args, out=tuple(out) or None, name=factor.name)
        families = [resolve(f) for f in tables]
        if not families:
            raise GraphError("truncated_loopy: the graph has no table over a discrete variable")
        nodes = dict.fromkeys(s.node.name for f in families for s in f.factor.args if _latent(s))
        flat = flatten(Tree(tuple(families), tuple(nodes)))
        around = Round(flat.states, flat.scopes, damping, flat.label)
        scaled = [self._weights(family) for family in families]
        weights, scales = [list(part) for part in zip(*scaled, strict=True)]
        last = self._messages(around, weights, sweeps, settings)
        self._beliefs(flat, around, last, weights)
        if bethe:
            step = _Bethe(around, len(weights))
            given = last, *weights, *scales
            self.made.factor(Step(step.f, step.vjp), *given, out=self.made.variable("log Z"), name="Bethe")

    def _check(self, others) -> None:
        if self.graph.conditions or self.graph.weights:
            raise UnsupportedError(
                "truncated_loopy: conditioned labels and weights belong to log Z, which is not here; add a "
                "loss of the beliefs, such as marginal_loss()"
            )
        for factor in others:
            if not isinstance(factor.potential, Step | Loss) or getattr(factor.potential, "noisy", False):
                raise UnsupportedError(
                    f"truncated_loopy: messages of {factor.name!r}, a {type(factor.potential).__name__}, are "
                    "no probabilities of states; it takes graphs of tables, and steps that compute log values"
                )

    def _node(self, node, elsewhere: bool) -> None:
        """The same node; what is discrete and latent holds probabilities."""
        if isinstance(node, Parameter):
            self.made.parameter(node.name, node.value)
        elif isinstance(node, Observation):
            # What tables alone read are numbers here, so that −1 passes: a step takes no missing state.
            discrete = node.discrete and elsewhere
            self.made.observe(node.name, node.value, states=node.states if discrete else None)
        else:
            if node.discrete and node.shape:
                raise UnsupportedError(
                    f"truncated_loopy: {node.describe()} is an aligned batch; write its members as rows"
                )
            shape = (node.states,) if node.discrete else node.shape
            if isinstance(node, Sequence):
                self.made.sequence(node.name, length=node.clock.lengths, shape=shape)
            else:
                self.made.variable(node.name, shape=shape)

    def _slice(self, s: Slice) -> Slice:
        edge = None if s.edge is None else self._slice(s.edge)
        return replace(s, node=self.made.nodes[s.node.name], edge=edge)

    def _weights(self, family: Family):
        """Variables that hold the tables of a family as weights, and the log of what they were divided by."""
        step = _Weights(family)
        out = (
            self.made.variable(f"weights of {family.name}", shape=step.shape),
            self.made.variable(f"scale of {family.name}"),
        )
        args = [self._whole(name) for name in step.names]
        self.made.factor(Step(step.f, step.vjp), *args, out=out, name=f"exp {family.name}")
        return out

    def _whole(self, name: str):
        node: Any = self.made.nodes[name]
        return node.all if isinstance(node, Sequence) else node

    def _messages(self, around: Round, weights, sweeps, settings):
        start = self.made.observe("no messages", around.start)
        if not around.size:
            return start
        if sweeps is None:
            settled = self.made.variable("messages", shape=(around.size,))
            loop = Step.fixed_point(around.f, around.vjp, **settings)
            self.made.factor(loop, start, *weights, out=settled, name="rounds")
            return settled
        messages = self.made.sequence("messages", length=int(sweeps), shape=(around.size,))
        step = Step(around.f, around.vjp)
        self.made.factor(step, messages.after(start), *weights, out=messages[:], name="rounds")
        return messages[-1]

    def _beliefs(self, flat, around: Round, last, weights) -> None:
        said = Readings(around)
        cells = self.made.variable("beliefs", shape=(int(around.where[-1]),))
        self.made.factor(Step(said.beliefs, said.beliefs_vjp), last, *weights, out=cells, name="all beliefs")
        for name in flat.names:
            node: Any = self.made.nodes[name]
            chosen = flat.of(name)
            part = _Part(
                slice(int(around.where[chosen.start]), int(around.where[chosen.stop])), node.shape[0]
            )
            sequence = isinstance(node, Sequence)
            step = Step(part.rows if sequence else part.one, part.vjp, vectorized=sequence)
            self.made.factor(step, cells, out=node[:] if sequence else node, name=f"belief of {name}")


def _latent(s: Slice) -> bool:
    return isinstance(s.node, Variable | Sequence)


class _Part:
    """One node's share of all beliefs."""

    def __init__(self, cells: slice, states: int):
        self.cells, self.states = cells, states

    def rows(self, cells):
        """(rows, states)."""
        return cells[self.cells].reshape(-1, self.states)

    def one(self, cells):
        """(states,)."""
        return cells[self.cells]

    def vjp(self, inputs, cotangent):
        """Where it came from."""
        found = np.zeros_like(inputs[0])
        found[self.cells] = np.ravel(cotangent)
        return (found,)


class _Bethe:
    """Bethe's log Z of messages, weights and their scales."""

    def __init__(self, around: Round, families: int):
        self.said, self.families = Readings(around), families

    def f(self, messages, *given):
        """What the weights say, and the scales."""
        weights, scales = given[: self.families], given[self.families :]
        return self.said.bethe(messages, *weights) + sum(scales)

    def vjp(self, inputs, cotangent):
        """None of scales: see :class:`_Weights`."""
        found = self.said.bethe_vjp(inputs[: self.families + 1], cotangent)
        return (*found, *(None for _ in range(self.families)))


class _Weights:
    """exp of a family's log tables, each instance's largest entry 1; one instance where all share a table.

    The scale counts as a number that does not move: messages and beliefs do not depend on it, and log Z does
    not depend on which part of a table is called its scale.
    """

    def __init__(self, family: Family):
        self.family = family
        factor = family.factor
        source = family.potential.source
        behind = (
            [] if isinstance(source, np.ndarray) else [source.node if isinstance(source, Slice) else source]
        )
        seen = [s.node for s in factor.args if isinstance(s.node, Observation)]
        self.names = list(dict.fromkeys(n.name for n in (*behind, *seen)))
        self.given = [n.name for n in behind]
        self.states = {n.name: n.states for n in seen}
        self.shape = (
            1 if not (seen or family.potential.stepped(factor)) else factor.n,
            *(s.node.states for s in factor.args if _latent(s)),
        )

    def f(self, *inputs):
        """Weights, and the sum of the logs of their scales over instances."""
        return self._tables(inputs)[1:]

    def vjp(self, inputs, cotangent):
        """Cotangents of the log values; none of observations."""
        made, weights, _ = self._tables(inputs)
        values = dict(zip(self.names, inputs, strict=True))
        store = {n: np.zeros_like(values[n]) for n in self.given}
        arrived = cotangent[0] * weights
        target = table_target(made, store)
        if target is not None:
            made.add_counts(arrived, target)
        return tuple(store.get(n) for n in self.names)

    def _tables(self, inputs):
        values = dict(zip(self.names, inputs, strict=True))
        for name, states in self.states.items():
            values[name] = _as_states(name, values[name], states)
        made = table_instances(self.family, values)
        shared = self.shape[0] == 1 and self.family.factor.n != 1
        logs = made.array[None] if shared else made.stacked()
        axes = tuple(range(1, logs.ndim))
        top = logs.max(axis=axes, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        scale = top.sum() * (self.family.factor.n if shared else 1)
        return made, np.exp(logs - top), np.asarray(scale, np.float64)


def _as_states(name: str, value, states: int) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), -1, array)
        if (array != np.rint(array)).any() or array.min(initial=0) < -1 or array.max(initial=0) >= states:
            raise DataError(f"{name!r} holds states, whole numbers from 0 to {states - 1}, −1 is missing")
    return array.astype(np.int64)


def marginal_loss() -> Loss:
    """−log b(label) of a variable's belief b and its label: the univariate likelihood (Kakade, Teh & Roweis
    2002). Rows whose label is −1 contribute nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass.learning import marginal_loss
    >>> loss = marginal_loss()
    >>> value, (slope, _) = loss.value_and_grad(np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([1, 0]))
    >>> round(value, 4), slope.tolist()
    (2.3026, [[0.0, -2.0], [-5.0, 0.0]])
    """

    def value_and_grad(belief, label):
        rows, labels = np.atleast_2d(belief), np.atleast_1d(label).astype(np.int64)
        places = np.arange(len(rows)), labels
        slope = np.zeros_like(rows)
        with np.errstate(divide="ignore"):
            value = -float(np.log(rows[places]).sum())
            slope[places] = -1 / rows[places]
        return value, (slope.reshape(np.shape(belief)), None)

    return Loss(value_and_grad, vectorized=True)
