"""The one verb: run a graph's plan in an algebra, under a schedule, and return the messages."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.algebra import Adjoint, AssumedDensity, Gaussian, OnEdges, SumProduct, Tangent
from msgpass.algebra.base import Algebra
from msgpass.errors import DataError, GraphError, ShapeError, UnavailableError, UnsupportedError
from msgpass.graph import FactorGraph, check_observation
from msgpass.messages import Messages
from msgpass.nodes import Observation, Parameter, Sequence, Variable
from msgpass.plan import Plan, SwitchingChain, TableChain, Tree
from msgpass.schedule.base import Schedule
from msgpass.schedule.sequential import Sequential
from msgpass.sweeps.execution import Execution
from msgpass.sweeps.plain_network import keep_recipe
from msgpass.values import Values, below_infinity, state_indices, unwritable

_SEQUENTIAL = Sequential()
_SUM, _GAUSSIAN, _SWITCHING, _ADJOINT = SumProduct(), Gaussian(), AssumedDensity(), Adjoint()


def run(
    graph: FactorGraph, algebra=None, schedule: Schedule | None = None, values: dict | None = None
) -> Messages:
    """Pass messages over ``graph``.

    Parameters
    ----------
    graph : FactorGraph
        Kept unchanged; its plan is made once, so re-running with other ``values`` is cheap.
    algebra : algebra, class of one, or dict from variable to algebra, optional
        Applied where it fits, the default elsewhere: tables SumProduct, quadratics Gaussian, steps Adjoint.
    schedule : schedule, optional
        Sequential by default.
    values : dict, optional
        For this run: values of parameters and observations by name; state indices under the name of a
        discrete variable, or names of states where they have some, clamp it (−1 = free).

    Returns
    -------
    Messages

    Raises
    ------
    GraphError, UnsupportedError, ShapeError, DataError
        When the graph is not well formed, when algebra, schedule and variables do not go together, when
        values do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass import FactorGraph, Table, MaxProduct
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=3, states=2)
    >>> _ = g.factor(Table([0.0, 1.0]), z[0])
    >>> _ = g.factor(Table([[0.5, 0.0], [0.0, 0.5]]), z[:-1], z[1:])
    >>> m = run(g, MaxProduct())
    >>> m.total, m.assignment["z"].tolist()
    (2.0, [1, 1, 1])
    """
    if not isinstance(graph, FactorGraph):
        raise GraphError(
            f"run takes a FactorGraph, got {type(graph).__name__}; a model has .graph(X) that gives one"
        )
    plan = graph.plan()
    schedule = _as_schedule(schedule)
    directions = None
    plain = algebra is None and type(schedule) is Sequential
    if plain and (recipe := plan.cache.get("network recipe")) is not None:
        resolved = recipe.resolve(values)
        if resolved is not None:
            chosen = plan.cache["default algebras"]
            return Messages(Execution(plan, chosen, schedule, resolved, {}, frozenset(), recipe=recipe))
    if isinstance(algebra, Tangent) and algebra.over is not None:
        directions, algebra = algebra.directions, _over(algebra.over)
        _check_schedule(schedule)
    if algebra is None:
        chosen = plan.cache.get("default algebras")
        if chosen is None:
            chosen = plan.cache["default algebras"] = choose_algebras(plan, None)
    else:
        chosen = choose_algebras(plan, algebra)
    arrays, clamp = resolve_values(plan, values)
    made = Execution(plan, chosen, schedule, arrays, clamp, frozenset(values or ()), directions)
    if plain and "network recipe" not in plan.cache:
        keep_recipe(made)
    return Messages(made)


def _as_schedule(schedule) -> Schedule:
    if schedule is None:
        return _SEQUENTIAL
    if isinstance(schedule, type) and issubclass(schedule, Schedule):
        try:
            schedule = schedule()
        except TypeError:
            raise UnsupportedError(
                f"{schedule.__name__} needs numbers: FixedLag(lag), Truncated(k1, k2), Checkpointed(slots)"
            ) from None
    if not isinstance(schedule, Schedule):
        raise UnsupportedError(
            "schedule must be one of Sequential(), JunctionTree(), Flooding(), ParallelScan(), "
            f"ForwardOnly(), FixedLag(lag), Truncated(k1, k2), Checkpointed(slots), got {schedule!r}"
        )
    return schedule


def _as_algebra(algebra) -> Algebra:
    if isinstance(algebra, type) and issubclass(algebra, Algebra):
        if algebra is Tangent:
            raise UnsupportedError('Tangent needs a direction: Tangent({"w": direction})')
        if algebra is OnEdges:
            raise UnsupportedError('OnEdges needs rules: OnEdges(Adjoint(), {"h": ClipNorm(1.0)})')
        algebra = algebra()
    if not isinstance(algebra, Algebra):
        raise UnsupportedError(
            "algebra must be SumProduct(), MaxProduct(), Gaussian(), Adjoint(), Tangent({…}) or "
            f"a dict from variables to these, got {algebra!r}"
        )
    return algebra


def _over(algebra):
    """The algebra under a Tangent: any but another Tangent."""
    for own in algebra.values() if isinstance(algebra, dict) else [algebra]:
        if own is Tangent or isinstance(own, Tangent):
            raise UnsupportedError(
                "Tangent over Tangent: second derivatives are Tangent({…}, over=Adjoint()); there are no "
                "third"
            )
        if isinstance(own, OnEdges):
            raise UnsupportedError(
                f"Tangent over {own!r}: messages that went through rules are the gradient of nothing, so "
                "they have no second derivatives; use Adjoint()"
            )
    return algebra


def _check_schedule(schedule: Schedule) -> None:
    if schedule.windowed or schedule.slots is not None or not schedule.backward:
        raise UnsupportedError(
            f"Tangent over another algebra needs every message in both directions, and {schedule!r} leaves "
            "some out: a truncated gradient is the gradient of nothing, and a checkpointed run has dropped "
            "the values that curvature is of; use Sequential()"
        )


def _fits(block, algebra: Algebra) -> bool:
    if isinstance(block, SwitchingChain):
        return "switching" in algebra.potentials
    if isinstance(block, TableChain | Tree):
        return ("quadratic" if block.gaussian else "table") in algebra.potentials
    return "step" in algebra.potentials


def default_algebra(block) -> Algebra:
    """Tables SumProduct, quadratics Gaussian, steps and losses Adjoint."""
    if isinstance(block, TableChain):
        return _SUM
    if isinstance(block, Tree):
        return _GAUSSIAN if block.gaussian else _SUM
    if isinstance(block, SwitchingChain):
        return _SWITCHING
    return _ADJOINT


def choose_algebras(plan: Plan, algebra) -> tuple[Algebra, ...]:
    """One algebra a block."""
    defaults = [default_algebra(b) for b in plan.blocks]
    if algebra is None:
        return tuple(defaults)
    if isinstance(algebra, dict):
        for key, value in algebra.items():
            name: Any = getattr(key, "name", key)
            value = _as_algebra(value)
            if isinstance(value, Tangent) and value.over is not None:
                raise UnsupportedError(
                    f"algebra={{{name!r}: Tangent(…, over=…)}}: a direction moves the whole graph; give "
                    "Tangent({…}, over={variable: algebra}) as the algebra"
                )
            block = plan.owner.get(name)
            if block is None:
                raise UnavailableError(
                    f"algebra={{{name!r}: …}}: the graph has no latent variable of that name; it "
                    f"has {', '.join(plan.owner)}"
                )
            if not _fits(block, value):
                raise UnsupportedError(
                    f"{value.name} does not fit {name!r}, a {_what(block)}; use {_which(block)}"
                )
            defaults[plan.blocks.index(block)] = value
        return tuple(defaults)
    algebra = _as_algebra(algebra)
    if not any(_fits(b, algebra) for b in plan.blocks):
        block = plan.blocks[0]
        raise UnsupportedError(
            f"{algebra.name} fits nothing in this graph: {', '.join(block.nodes) or block.families[0].name} "
            f"is a {_what(block)}; use {_which(block)}"
        )
    return tuple(algebra if _fits(b, algebra) else d for b, d in zip(plan.blocks, defaults, strict=True))


def _what(block) -> str:
    if isinstance(block, SwitchingChain):
        return "Gaussian chain that states switch"
    if isinstance(block, TableChain | Tree):
        return "component of Gaussian variables" if block.gaussian else "component of discrete variables"
    return "deterministic variable (a Step computes it)" if block.nodes else "loss"


def _which(block) -> str:
    if isinstance(block, SwitchingChain):
        return "AssumedDensity(), which is approximate"
    if isinstance(block, TableChain | Tree):
        return "Gaussian()" if block.gaussian else "SumProduct() or MaxProduct()"
    return "Adjoint() or Tangent({…}); to put a state on a grid, write its transitions as a Table"


def resolve_values(plan: Plan, values: dict | None) -> tuple[Values, dict[str, np.ndarray]]:
    """Arrays of all given nodes in this run, and clamped latent variables."""
    defaults = plan.cache.get("defaults")
    if defaults is None:
        defaults = {
            n.name: n.value for n in plan.graph.nodes.values() if isinstance(n, Parameter | Observation)
        }
        plan.cache["defaults"] = defaults
        plan.cache["complete"] = {}
    clamp: dict[str, np.ndarray] = {}
    if values is None:
        return Values(defaults, plan.cache["complete"]), clamp
    if not isinstance(values, dict):
        raise DataError(f"values is a dict from names to arrays, got {type(values).__name__}")
    # What is known of the graph's own data stays known; what this run gives is looked through anew.
    arrays = Values(defaults, dict(plan.cache["complete"]))
    for key in values:
        arrays.known.pop(getattr(key, "name", key), None)
    for key, value in values.items():
        name = getattr(key, "name", key)
        node = plan.graph.nodes.get(name)
        if node is None:
            given = [n.name for n in plan.graph.nodes.values() if isinstance(n, Parameter | Observation)]
            raise UnavailableError(
                f"values has {name!r}, which the graph does not; its parameters and observations "
                f"are {', '.join(given) or 'none'}"
            )
        if name in plan.graph.state_names:
            value = state_indices(f"values[{name!r}]", value, plan.graph.state_names[name])
        if isinstance(node, Parameter):
            arrays[name] = _parameter(node, value)
        elif isinstance(node, Observation):
            # Not copied: a run reads its data, and keeps them only as long as its messages.
            array = check_observation(name, value, node.states, copy=False, complete=arrays.known)
            _same_shape(name, array, node.value)
            arrays[name] = array
        elif node.discrete and isinstance(node, Variable | Sequence):
            array = check_observation(name, value, node.states)
            wanted = ((node.clock.total,) if isinstance(node, Sequence) else ()) + node.shape
            if array.shape != wanted:
                raise ShapeError(f"values[{name!r}] has shape {array.shape}, wanted {wanted}")
            clamp[name] = array
        else:
            raise UnsupportedError(
                f"values[{name!r}]: {node.describe()} is computed or inferred; give values to "
                "parameters and observations"
            )
    return arrays, clamp


def _parameter(node: Parameter, value) -> np.ndarray:
    """A checked copy; a float64 array that nobody can write to is taken as it is."""
    array: np.ndarray
    try:
        if unwritable(value):
            array = value
        else:
            kind = np.float32 if getattr(value, "dtype", None) == np.float32 else np.float64
            array = np.array(value, dtype=kind)
    except (TypeError, ValueError) as problem:
        raise DataError(f"values[{node.name!r}] is not an array of numbers: {problem}") from None
    _same_shape(node.name, array, node.value)
    if not below_infinity(array):
        raise DataError(f"values[{node.name!r}] holds NaN or +∞")
    return array


def _same_shape(name: str, array: np.ndarray, default: np.ndarray) -> None:
    if array.shape != default.shape:
        raise ShapeError(
            f"values[{name!r}] has shape {array.shape}, but the graph was built for "
            f"{default.shape}; build a new graph for another size"
        )
