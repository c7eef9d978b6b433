"""The factor graph: variables, factors over slices of them, and their validation. It knows no algebra and no
schedule.

A factor over slices stands for one factor a step, its parameters shared. Everything is checked when it is
added, once,
and :meth:`FactorGraph.check` looks at the whole. A graph is data for :func:`msgpass.run`, which never changes
it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import DataError, GraphError, ShapeError, UnavailableError
from msgpass.nodes import Clock, Observation, Parameter, Sequence, Slice, Variable, as_slice
from msgpass.values import all_finite, below_infinity, state_index, state_indices, unwritable


class Factor:
    """One potential over slices; ``f[t]`` is its t-th instance, ``len(f)`` their number."""

    def __init__(self, graph, name, potential, args, out, clock, counts):
        self.graph, self.name, self.potential = graph, name, potential
        self.args: tuple[Slice, ...] = args
        self.out: tuple[Slice, ...] = out
        self.clock: Clock | None = clock
        self.counts: np.ndarray | None = counts
        self.n = 1 if counts is None else int(counts.sum())

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Inputs, then outputs."""
        return self.args + self.out

    @property
    def stepped(self) -> bool:
        """One instance a step (otherwise one, or one a sequence)."""
        return any(s.stepped for s in self.slices)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, t) -> FactorInstance:
        if isinstance(t, bool | np.bool_) or not isinstance(t, int | np.integer) or not -self.n <= t < self.n:
            raise GraphError(f"factor {self.name!r} has {self.n} instances; {t!r} is not one of them")
        return FactorInstance(self, int(t) % self.n)

    def __repr__(self) -> str:
        kind = type(self.potential).__name__
        out = f" → {', '.join(s.name for s in self.out)}" if self.out else ""
        return (
            f"<factor {self.name!r}: {kind}({', '.join(s.name for s in self.args)}){out}, {self.n} instances>"
        )


@dataclass(frozen=True)
class FactorInstance:
    """The t-th instance of a factor, for :meth:`Messages.message`."""

    factor: Factor
    t: int

    @property
    def name(self) -> str:
        """As it is called in the unrolled graph."""
        return f"{self.factor.name}[{self.t}]"


class Weight(NamedTuple):
    """What a component's share of the loss is multiplied by: a number, or what an observation holds."""

    value: float
    observation: str | None
    task: str | None


class FactorGraph:
    """A graph of variables and factors.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass import FactorGraph, Table, run
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=2, states=2)
    >>> y = g.observe("y", [0, 1], states=2)
    >>> _ = g.factor(Table.from_probabilities([0.5, 0.5]), z[0])
    >>> _ = g.factor(Table.from_probabilities([[0.7, 0.3], [0.3, 0.7]]), z[:-1], z[1:], name="transition")
    >>> _ = g.factor(Table.from_probabilities([[0.9, 0.1], [0.2, 0.8]]), z[:], y[:])
    >>> round(float(np.exp(run(g).total)), 6)
    0.1985
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.factors: dict[str, Factor] = {}
        self.conditions: dict[str, np.ndarray] = {}
        self.labels: dict[str, str] = {}  # conditioned variable → observation that holds its labels
        self.weights: dict[str, Weight] = {}
        self.state_names: dict[str, tuple] = {}  # of variables, sequences and data whose states have names
        self.version = 0  # counts the additions, so that a cached plan knows when it is stale
        self._plan: Any = None
        self._numbers: dict[str, int] = {}  # where to look for the next free default name

    # -- nodes -------------------------------------------------------------------------------------------

    def variable(self, name: str, states=None, shape: tuple[int, ...] = ()) -> Variable:
        """Add one latent variable: ``states=K``, or real of ``shape``; both together make an aligned
        batch. ``states=["yes", "no"]`` gives names to the states; see :meth:`evidence`.
        """
        states, names = _named_states(name, states)
        return self._add(Variable(self, name, *_domain(name, states, shape)), names)

    def sequence(self, name: str, length, states=None, shape: tuple[int, ...] = ()) -> Sequence:
        """Add latent variables on a clock; ``length=[5, 2, 7]`` lays ragged sequences end to end."""
        clock = Clock.of(length)
        states, names = _named_states(name, states)
        return self._add(Sequence(self, name, clock, *_domain(name, states, shape)), names)

    def parameter(self, name: str, value) -> Parameter:
        """Add a value shared by all steps (log tables may hold −∞; nothing may be NaN or +∞).

        It is copied, except a float64 array that nobody can write to.
        """
        array = value if unwritable(value) else _real_array(f"parameter {name!r}", value)
        if not below_infinity(array):
            raise DataError(
                f"parameter {name!r} holds NaN or +∞ at {_where(~(array < np.inf))}; give finite "
                "numbers (−∞ only in log tables)"
            )
        return self._add(Parameter(self, name, array))

    def observe(self, name: str, value, states=None) -> Observation:
        """Add data: real numbers (NaN = missing), or state indices below ``states`` (−1 = missing).

        With names in ``states``, the data may hold names, too.
        """
        states, names = _named_states(name, states)
        if names:
            value = state_indices(f"observation {name!r}", value, names)
        array = check_observation(name, value, states)
        return self._add(Observation(self, name, array, states), names)

    def evidence(self, given: dict | None = None, **more) -> dict[str, Any]:
        """States by name as the numbers that a run takes: ``run(g, values=g.evidence(smoke="yes"))``.

        Parameters
        ----------
        given : dict, optional
            Name of a discrete variable, sequence or observation → state, or array of states. None is
            missing. A variable whose states have no names takes numbers. (``run`` reads names that are
            strings by itself; where states are called 1, 2, 3, this says that names are meant.)
        **more
            The same as keywords.

        Examples
        --------
        >>> from msgpass import FactorGraph
        >>> g = FactorGraph()
        >>> rain = g.variable("rain", states=["no", "yes"])
        >>> g.evidence(rain="yes"), g.decode({"rain": 1})
        ({'rain': 1}, {'rain': 'yes'})
        """
        found: dict[str, Any] = {}
        for name, value in {**(given or {}), **more}.items():
            name = getattr(name, "name", name)
            if not getattr(self[name], "discrete", False):
                raise GraphError(f"evidence: {name!r} has no states; give its value to run(values=…)")
            names = self.state_names.get(name)
            if names is None:
                found[name] = value
            elif isinstance(value, str) or np.ndim(value) == 0:
                found[name] = state_index(f"{name!r}", getattr(value, "item", lambda v=value: v)(), names)
            else:
                states = [state_index(f"{name!r}", v, names) for v in np.asarray(value, object).ravel()]
                found[name] = np.array(states).reshape(np.shape(value))
        return found

    def decode(self, states) -> dict[str, Any]:
        """State numbers by name of a variable, such as ``m.assignment``, with names of states for numbers."""
        found: dict[str, Any] = {}
        for name in states:
            value, names = states[name], self.state_names.get(name)
            if names is None:
                found[name] = value
            elif np.ndim(value) == 0:
                found[name] = names[int(value)] if value >= 0 else None
            else:
                lookup = np.array([*names, None], dtype=object)
                found[name] = lookup[np.asarray(value)]
        return found

    def condition(self, variable: Variable | Sequence, labels) -> None:
        """Clamp ``variable`` to ``labels`` (−1 = unknown): its component contributes log Z − log Z clamped to
        the run's loss.

        ``labels`` is an array, or an observation of this graph, whose data a run may replace.
        """
        self._own_discrete("condition", variable)
        given = labels if isinstance(labels, Observation) else None
        if given is not None:
            if given.graph is not self or given.states != variable.states:
                raise GraphError(
                    f"labels of {variable.name!r} are an observation of this graph with states="
                    f"{variable.states}, got {given!r}"
                )
            labels = given.value
        elif names := self.state_names.get(variable.name):
            labels = state_indices(f"labels of {variable.name!r}", labels, names)
        if variable.name in self.conditions:
            raise GraphError(f"{variable.name!r} is conditioned already")
        rows = (variable.clock.total,) if isinstance(variable, Sequence) else ()
        array = check_observation(f"labels of {variable.name}", labels, variable.states)
        if array.shape != rows + variable.shape:
            raise ShapeError(
                f"labels of {variable.name!r} have shape {array.shape}, wanted {rows + variable.shape}"
            )
        self.conditions[variable.name] = array
        if given is not None:
            self.labels[variable.name] = given.name
        self._touch()

    def weigh(self, variable: Variable | Sequence, weight=1.0, task: str | None = None) -> None:
        """Multiply what the component of ``variable`` contributes to the run's total, and say to which task
        it belongs.

        Parameters
        ----------
        variable : discrete variable or sequence
        weight : float, or an observation of one number
            Such as 1 / (number of sequences), for a mean. A run may replace an observation's.
        task : str, optional
            As that of a :class:`~msgpass.Loss`.

        Examples
        --------
        >>> from msgpass import FactorGraph, Table, run
        >>> g = FactorGraph()
        >>> z = g.sequence("z", length=2, states=2)
        >>> _ = g.factor(Table(g.parameter("s", [[0.0, 1.0], [0.0, 0.0]])), z[:])
        >>> g.condition(z, [0, 1])
        >>> loss = run(g).total
        >>> g.weigh(z, 0.5)
        >>> bool(run(g).total == loss / 2)
        True
        """
        self._own_discrete("weigh", variable)
        if variable.name in self.weights:
            raise GraphError(f"{variable.name!r} has a weight already")
        if task is not None and not isinstance(task, str):
            raise GraphError(f"weigh: task is a name, got {task!r}")
        name = None
        if isinstance(weight, Observation):
            if weight.graph is not self or weight.discrete or weight.shape:
                raise GraphError(
                    f"weigh: a weight is an observation of one number of this graph, got {weight!r}"
                )
            name, weight = weight.name, weight.value
        value = float(_real_array("a weight", weight).reshape(())) if np.ndim(weight) == 0 else np.nan
        if not np.isfinite(value):
            raise DataError(f"weigh: the weight of {variable.name!r} must be a finite number, got {weight!r}")
        self.weights[variable.name] = Weight(value, name, task)
        self._touch()

    def _own_discrete(self, what: str, variable) -> None:
        if (
            not isinstance(variable, Variable | Sequence)
            or variable.graph is not self
            or not variable.discrete
        ):
            raise GraphError(f"{what} takes a discrete variable or sequence of this graph, got {variable!r}")

    def _add(self, node, state_names: tuple | None = None):
        if not isinstance(node.name, str) or not node.name:
            raise GraphError(f"a name is a non-empty string, got {node.name!r}")
        if node.name in self.nodes or node.name in self.factors:
            raise GraphError(
                f"the name {node.name!r} is taken; variables, parameters and factors share one namespace"
            )
        self.nodes[node.name] = node
        if state_names:
            self.state_names[node.name] = state_names
        self._touch()
        return node

    def _touch(self) -> None:
        self.version += 1
        self._plan = None

    # -- factors -----------------------------------------------------------------------------------------

    def factor(self, potential, *variables, out=None, name: str | None = None) -> Factor:
        """Add ``potential`` over ``variables``; with slices, one instance a step.

        Parameters
        ----------
        potential : Table, Quadratic, Step or Loss
        *variables : slices, variables, observations and (for a Step or Loss) parameters
        out : slice or tuple of slices, for a Step only
            What the step computes.
        name : str, optional
            By default after the potential's parameter or kind.

        Raises
        ------
        GraphError, ShapeError
            When slices, states or shapes do not fit together.
        """
        kind = isinstance(potential, type)
        if kind or not hasattr(potential, "check"):
            got = f"the class {potential.__name__}" if kind else type(potential).__name__
            raise GraphError(
                "a factor needs a Table, Quadratic, Step or Loss, or one with structure such as Parity(), "
                f"got {got}"
            )
        args = tuple(as_slice(v) for v in variables)
        outs = tuple(
            as_slice(v) for v in (out if isinstance(out, tuple | list) else () if out is None else (out,))
        )
        for s in (*args, *outs, *(s.edge for s in args if s.edge), *potential.reads):
            if s.node.graph is not self:
                raise GraphError(f"{s.name!r} belongs to another graph")
        for p in potential.parameters.values():
            if p.graph is not self:
                raise GraphError(
                    f"parameter {p.name!r} belongs to another graph; register it here with "
                    "g.parameter(name, value)"
                )
        clock, counts = _alignment((*args, *outs, *potential.reads))
        name = self._factor_name(name, potential)
        factor = Factor(self, name, potential, args, outs, clock, counts)
        potential.check(factor)
        self.factors[name] = factor
        self._touch()
        return factor

    def _factor_name(self, name: str | None, potential) -> str:
        if name is not None:
            if not isinstance(name, str) or not name or name in self.factors or name in self.nodes:
                raise GraphError(
                    f"the name {name!r} is taken or empty; variables, parameters and factors share "
                    "one namespace"
                )
            return name
        base = potential.default_name
        fresh, k = base, self._numbers.get(base, 0)
        while fresh in self.factors or fresh in self.nodes:
            k += 1
            fresh = f"{base} {k}"
        self._numbers[base] = k
        return fresh

    def __getitem__(self, name: str):
        if name in self.nodes:
            return self.nodes[name]
        if name in self.factors:
            return self.factors[name]
        raise UnavailableError(
            f"the graph has nothing called {name!r}; it has "
            f"{', '.join([*self.nodes, *self.factors]) or 'nothing yet'}"
        )

    def __repr__(self) -> str:
        instances = sum(f.n for f in self.factors.values())
        return f"<FactorGraph: {len(self.nodes)} nodes, {len(self.factors)} factors ({instances} instances)>"

    # -- the whole ---------------------------------------------------------------------------------------

    def check(self) -> FactorGraph:
        """Raise a :class:`GraphError` where the graph is loose, over-determined or cyclic; return it
        otherwise.
        """
        self.plan()
        return self

    def plan(self):
        """The blocks of this graph in dependency order (made once, reads no values)."""
        if self._plan is None:
            from msgpass.plan import make_plan

            self._plan = make_plan(self)
        return self._plan

    def unroll(self) -> FactorGraph:
        """The flat graph with one node a step: ``z[3]`` is a variable of that name."""
        from msgpass.unroll import unroll

        return unroll(self)

    def to_networkx(self):
        """Bipartite ``networkx.Graph`` of node and factor names, objects in the attribute ``item``."""
        from msgpass.interop.networkx import to_networkx

        return to_networkx(self)

    def to_dot(self, view: str = "factors", path=None) -> str:
        """Text for Graphviz: see :func:`msgpass.interop.dot.to_dot`."""
        from msgpass.interop.dot import to_dot

        return to_dot(self, view, path)

    def edges(self, parameters: bool = False):
        """Which slices feed which, with their lags: see :func:`msgpass.edge_report.edge_report`."""
        from msgpass.edge_report import edge_report

        return edge_report(self, parameters)

    def plot(self, ax=None, view: str = "factors"):
        """Draw the graph, its ``"slices"``, all rows (``"unrolled"``) or its ``"moral"`` graph; returns the
        matplotlib axes: see :func:`msgpass.plot_graph.plot_graph`.
        """
        from msgpass.plot import plot_graph

        return plot_graph(self, ax, view)


def check_observation(
    name: str, value, states: int | None, copy: bool = True, complete: dict[str, bool] | None = None
) -> np.ndarray:
    """Data as an array: integers in −1 … states−1, or real numbers with NaN for missing.

    Whether real data are complete is noted in ``complete``. Masked entries of a masked array are missing.
    """
    if np.ma.isMaskedArray(value):
        value = np.ma.filled(value.astype(float), np.nan)
    if states is None:
        array = _real_array(f"observation {name!r}", value, copy)
        finite = all_finite(array)
        if not finite and np.isinf(array).any():
            raise DataError(
                f"observation {name!r} holds an infinite value at {_where(np.isinf(array))}; "
                "missing values are NaN"
            )
        if complete is not None:
            complete[name] = finite
        return array
    if isinstance(states, bool) or not isinstance(states, int | np.integer) or states < 1:
        raise ShapeError(f"observation {name!r}: states must be a whole number ≥ 1, got {states!r}")
    try:
        array = np.asarray(value)
    except ValueError as problem:
        raise DataError(f"observation {name!r} is not an array of whole numbers: {problem}") from None
    if array.dtype.kind == "f" and not np.isinf(array).any():
        array = np.where(np.isnan(array), -1, array)
        array = array.astype(np.int64) if (array == np.floor(array)).all() else array
    if array.dtype.kind not in "iu":
        raise DataError(
            f"observation {name!r} with states={states} wants whole numbers (−1 = missing), got "
            f"dtype {array.dtype}"
        )
    if array.size and (array.min() < -1 or array.max() >= states):
        bad = (array < -1) | (array >= states)
        raise DataError(
            f"observation {name!r} holds the state {array[bad][0]} at {_where(bad)}; states run "
            f"from 0 to {states - 1}, −1 is missing"
        )
    return np.array(array, dtype=np.int64)


def _real_array(what: str, value, copy: bool = True) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype.kind in "iub":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{what} is not an array of numbers: {problem}") from None
    if array.dtype.kind != "f":
        raise DataError(f"{what} must hold real numbers, got dtype {array.dtype}")
    dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    return np.array(array, dtype, copy=True if copy else None)


def _where(mask: np.ndarray) -> str:
    index = np.unravel_index(int(np.argmax(mask)), mask.shape)
    return f"index {tuple(int(i) for i in index)}" if len(index) != 1 else f"index {int(index[0])}"


def _named_states(name: str, states) -> tuple[Any, tuple | None]:
    """Number of states, and their names where ``states`` lists them."""
    if isinstance(states, str) or not isinstance(states, Iterable):
        return states, None
    names = tuple(states)
    if not names or len(set(names)) < len(names) or None in names:
        raise ShapeError(f"{name!r}: names of states differ from each other and from None, got {names}")
    return len(names), names


def _domain(name: str, states, shape) -> tuple[tuple[int, ...], int | None]:
    shape = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in shape):
        raise ShapeError(f"{name!r}: a shape is a tuple of whole numbers ≥ 1, got {shape}")
    if states is not None and (
        isinstance(states, bool) or not isinstance(states, int | np.integer) or states < 1
    ):
        raise ShapeError(f"{name!r}: states must be a whole number ≥ 1, got {states!r}")
    return tuple(int(n) for n in shape), None if states is None else int(states)


def _alignment(slices: tuple[Slice, ...]) -> tuple[Clock | None, np.ndarray | None]:
    """The clock that the slices share and the number of instances in each sequence (None: a single
    instance).
    """
    own_clocks = [s for s in slices if s.kind not in ("single", "all") and isinstance(s.node, Sequence)]
    if any(s.kind == "pick" for s in slices):
        return _picked(slices)
    clock = next((s.node.clock for s in sorted(own_clocks, key=lambda s: not s.stepped)), None)
    stepped = [s for s in slices if s.stepped]
    for s in slices:
        if s.kind in ("single", "all"):
            continue
        if not isinstance(s.node, Sequence) and not s.node.shape:
            raise ShapeError(f"{s.name}: {s.node.name!r} holds a single number, so it has no steps to slice")
        own = s.node.clock if isinstance(s.node, Sequence) else None
        clock = clock or Clock((s.node.shape[0],))
        if s.kind == "index" and own and not own.ragged:
            s.index_row(own.total)
            continue  # one row, which all steps share whatever its clock
        rows = s.node.clock.total if own else s.node.shape[0]
        if (own and own != clock) or rows != clock.total:
            span = "ragged lengths" if clock.ragged else f"{clock.total} steps"
            raise ShapeError(
                f"{s.name} has {rows} rows, but the factor's other slices run over {span} "
                f"({clock.total} rows in all); slices of one factor share a clock"
            )
    if clock is None:
        return None, None
    if not stepped:
        for s in slices:
            if s.kind == "index":
                s.index_row(int(clock.sizes.min()))
        return clock, np.ones(len(clock.lengths), np.int64)
    counts: Any = None
    for s in stepped:
        first, last = s.span(clock.lengths)
        these = np.maximum(0, clock.sizes + last - first)
        if counts is not None and not np.array_equal(counts, these):
            raise ShapeError(
                f"the slices do not fit: {stepped[0].name} has {int(counts.sum())} steps and "
                f"{s.name} has {int(these.sum())}; "
                "pair z[:-1] with z[1:], and z[:] with x[:]"
            )
        counts = these
    return clock, counts


def _picked(slices: tuple[Slice, ...]) -> tuple[Clock, np.ndarray]:
    """A clock of the instances of a factor over picked rows."""
    first = next(s for s in slices if s.kind == "pick")
    n = len(first.start.rows)
    for s in slices:
        if s.kind in ("after", "before"):
            raise GraphError(f"{s.name} stands beside picked rows, {first.name}, which have no order in time")
        if s.kind == "index":
            s.index_row(s.node.clock.total if isinstance(s.node, Sequence) else s.node.shape[0])
        if not s.stepped:
            continue
        if isinstance(s.node, Sequence) and s.node.clock.ragged:
            raise GraphError(
                f"{s.name} stands beside picked rows, {first.name}, and is ragged; pick its rows, too"
            )
        total = s.node.clock.total if isinstance(s.node, Sequence) else (s.node.shape or (0,))[0]
        low, high = s.span((total,))
        if (own := max(0, total + high - low)) != n:
            raise ShapeError(f"the slices do not fit: {first.name} has {n} rows and {s.name} has {own}")
    return Clock((n,)), np.array([n], np.int64)
