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
from msgpass.learning.round_steps import Bethe, Labels, Part, Tables, latent_slice
from msgpass.nodes import Observation, Parameter, Sequence, Slice
from msgpass.plan import Family, resolve
from msgpass.plan.blocks import Tree
from msgpass.potentials import TABLES, Loss, Step, Structured
from msgpass.sweeps.flattened import flatten


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
        Of tables over discrete variables. Steps that compute log values are taken over; so are labels
        (``graph.condition``), as a loss: Bethe's log Z less that with labels clamped.
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


def _tabular(factor) -> bool:
    return isinstance(factor.potential, TABLES) and not isinstance(factor.potential, Structured)


class _Truncated:
    """One such graph under construction."""

    def __init__(self, graph: FactorGraph, sweeps, damping: float, settings: dict[str, Any], bethe: bool):
        self.graph, self.made = graph, FactorGraph()
        graph.check()
        tables = [f for f in graph.factors.values() if _tabular(f)]
        others = [f for f in graph.factors.values() if not _tabular(f)]
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
        nodes = dict.fromkeys(s.node.name for f in families for s in f.factor.args if latent_slice(s))
        flat = flatten(Tree(tuple(families), tuple(nodes)))
        around = Round(flat.states, flat.scopes, damping, flat.label)
        scaled = [self._tables(family) for family in families]
        logs, scales = [list(part) for part in zip(*scaled, strict=True)]
        last = self._messages(around, logs, sweeps, settings)
        self._beliefs(flat, around, last, logs)
        labels = [self._labels(name) for name in graph.conditions]
        if bethe or labels:
            free = self._log_z(around, last, logs, scales, "log Z")
        if labels:
            scopes = tuple(np.arange(flat.of(n).start, flat.of(n).stop)[:, None] for n in graph.conditions)
            clamped = Round(flat.states, (*flat.scopes, *scopes), damping, flat.label)
            last = self._messages(clamped, [*logs, *labels], sweeps, settings, " of labels")
            held = self._log_z(clamped, last, [*logs, *labels], scales, "log Z of labels")
            self.made.factor(Loss(lambda z, y: (float(z - y), (1.0, -1.0))), free, held, name="likelihood")

    def _check(self, others) -> None:
        if self.graph.weights:
            raise UnsupportedError("truncated_loopy: weights of components (g.weigh) are not taken over")
        for factor in others:
            if not isinstance(factor.potential, Step | Loss) or getattr(factor.potential, "noisy", False):
                raise UnsupportedError(
                    f"truncated_loopy: messages of {factor.name!r}, a {type(factor.potential).__name__}, are "
                    "not written out; it takes tables, steps that compute their log values, and losses of "
                    "beliefs. Give a small factor as a Table, or learn with schedule=Flooding()"
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

    def _tables(self, family: Family):
        """Variables that hold the log tables of a family, and what was taken off them."""
        step = Tables(family)
        out = (
            self.made.variable(f"tables of {family.name}", shape=step.shape),
            self.made.variable(f"scale of {family.name}"),
        )
        args = [self._whole(name) for name in step.names]
        self.made.factor(Step(step.f, step.vjp), *args, out=out, name=f"read {family.name}")
        return out

    def _labels(self, name: str):
        """A variable that holds labels of a node as log tables."""
        labels = self.graph.conditions[name]
        seen = self.graph.labels.get(name) or self.made.observe(f"labels of {name}", labels).name
        node: Any = self.graph.nodes[name]
        step = Labels(name, node.states)
        out = self.made.variable(f"tables of labels of {name}", shape=(max(labels.size, 1), node.states))
        self.made.factor(
            Step(step.f, step.vjp), self.made.nodes[seen], out=out, name=f"read labels of {name}"
        )
        return out

    def _log_z(self, around: Round, last, logs, scales, name: str):
        step = Bethe(around, len(logs))
        out = self.made.variable(name)
        self.made.factor(Step(step.f, step.vjp), last, *logs, *scales, out=out, name=f"Bethe {name}")
        return out

    def _whole(self, name: str):
        node: Any = self.made.nodes[name]
        return node.all if isinstance(node, Sequence) else node

    def _messages(self, around: Round, logs, sweeps, settings, what: str = ""):
        start = self.made.observe(f"no messages{what}", around.start)
        if not around.size:
            return start
        if sweeps is None:
            settled = self.made.variable(f"messages{what}", shape=(around.size,))
            loop = Step.fixed_point(around.f, around.vjp, **settings)
            self.made.factor(loop, start, *logs, out=settled, name=f"rounds{what}")
            return settled
        messages = self.made.sequence(f"messages{what}", length=int(sweeps), shape=(around.size,))
        step = Step(around.f, around.vjp)
        self.made.factor(step, messages.after(start), *logs, out=messages[:], name=f"rounds{what}")
        return messages[-1]

    def _beliefs(self, flat, around: Round, last, logs) -> None:
        said = Readings(around)
        cells = self.made.variable("beliefs", shape=(int(around.where[-1]),))
        self.made.factor(Step(said.beliefs, said.beliefs_vjp), last, *logs, out=cells, name="all beliefs")
        for name in flat.names:
            node: Any = self.made.nodes[name]
            chosen = flat.of(name)
            part = Part(slice(int(around.where[chosen.start]), int(around.where[chosen.stop])), node.shape[0])
            sequence = isinstance(node, Sequence)
            step = Step(part.rows if sequence else part.one, part.vjp, vectorized=sequence)
            self.made.factor(step, cells, out=node[:] if sequence else node, name=f"belief of {name}")


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
