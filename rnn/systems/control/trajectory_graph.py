"""The graph of a path under given controls, kept and run with new ones.

    x_{t+1} = f(x_t, u_t)     λ_t = ∂cost/∂x_t + (∂f/∂x)ᵀλ_{t+1}     ∂J/∂u_t = ∂cost/∂u_t + (∂f/∂u)ᵀλ_{t+1}

Sequence "x" holds x_0, …, x_T, observations "u" and "t" controls and step numbers, parameter "start" x_0.
With S starts rows of x are (S, n) and the cost is their mean.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from msgpass import FactorGraph, Loss, Messages, Step, run
from msgpass.errors import NumericalError
from rnn.systems.control.costs.base import Cost
from rnn.systems.control.plant import Plant
from rnn.systems.control.plant_step import in_rows, plant_step


class TrajectoryGraph:
    """Of one horizon and number of starts.

    Parameters
    ----------
    plant, cost, terminal
    start : (n,) or (S, n) array
    inputs : (T, m) array
        Both may be others in a run, of these shapes.
    parameters : bool
        Whether what plant and costs depend on are parameters of the graph, "plant.…", "cost.…" and
        "terminal.…".
    step : Step, optional
        The plant's, where it is not to be made here.
    """

    def __init__(
        self,
        plant: Plant,
        cost: Cost,
        terminal: Cost | None,
        start: np.ndarray,
        inputs: np.ndarray,
        parameters: bool = False,
        step: Step | None = None,
    ):
        self.plant, self.cost, self.terminal = plant, cost, terminal
        self.lanes = lanes = len(start) if start.ndim == 2 else None
        self.steps, self.share = len(inputs), 1 / (lanes or 1)
        self.graph = g = FactorGraph()
        x = g.sequence("x", length=self.steps + 1, shape=start.shape)
        u = g.observe("u", _with_last(inputs))
        t = g.observe("t", np.arange(self.steps + 1.0))
        own: dict[str, list] = {"plant": [], "cost": [], "terminal": []}
        for owner, part in (("plant", plant), ("cost", cost), ("terminal", terminal)):
            if parameters and part is not None:
                own[owner] = [
                    g.parameter(f"{owner}.{name}", v) for name, v in part.parameters.items() if v.size
                ]
        here = x[:-1], u[:-1], t[:-1]
        g.factor(Step(lambda x: x, lambda _, c: (c,)), g.parameter("start", start), out=x[0])
        g.factor(step or plant_step(plant, lanes), *here, *own["plant"], out=x[1:], name="plant")
        g.factor(Loss(self._cost, vectorized=True), *here, *own["cost"], name="cost")
        if terminal is not None:
            g.factor(
                Loss(partial(self._terminal, terminal)), x[self.steps], *own["terminal"], name="terminal cost"
            )

    def values(self, start: np.ndarray, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Of a run."""
        return {"u": _with_last(inputs), "start": start}

    def run(self, start: np.ndarray, inputs: np.ndarray, schedule=None) -> Messages:
        """Path and cost forward, co-states and gradient backward."""
        options: dict[str, Any] = {} if schedule is None else {"schedule": schedule}
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                return run(self.graph, values=self.values(start, inputs), **options)
        except NumericalError as problem:
            step = self._lost(start, inputs)
            if step is None:
                raise
            raise NumericalError(lost_at(self.plant, step)) from problem

    def _lost(self, start, inputs) -> int | None:
        """Number of the first state that is not finite."""
        x = np.atleast_2d(start)
        with np.errstate(all="ignore"):
            for t, u in enumerate(inputs):
                x = self.plant(x, np.tile(u, (len(x), 1)), np.full(len(x), float(t)))
                if not np.isfinite(x).all():
                    return t + 1
        return None

    def _cost(self, x, u, t, *values):
        cost = _with(self.cost, values)
        rows = in_rows(x, u, t, self.lanes)
        total = self.share * float(np.sum(self._told(cost.value(*rows), rows[2])))
        at_x, at_u = cost.gradient(*rows)
        if self.lanes is not None:
            at_u = at_u.reshape(len(u), self.lanes, -1).sum(axis=1)
        found = [self.share * at_x.reshape(x.shape), self.share * at_u, None]
        return total, (*found, *self._of(cost, rows, values))

    def _told(self, costs, t) -> np.ndarray:
        """The same, where no row is NaN."""
        bad = np.flatnonzero(np.isnan(costs))
        if bad.size:
            step = int(np.broadcast_to(t, np.shape(costs))[bad[0]])
            when = f" ({step * self.plant.dt:g} s)" if self.plant.dt else ""
            raise NumericalError(f"the cost of step {step}{when} is NaN, at a state that is finite", step)
        return costs

    def _terminal(self, terminal: Cost, x, *values):
        terminal = _with(terminal, values)
        last = np.atleast_2d(x)
        rows = last, np.zeros((len(last), 0)), np.full(len(last), float(self.steps))
        total = self.share * float(np.sum(self._told(terminal.value(*rows), rows[2])))
        return total, (
            self.share * terminal.gradient(*rows)[0].reshape(x.shape),
            *self._of(terminal, rows, values),
        )

    def _of(self, cost: Cost, rows, values) -> list[np.ndarray]:
        return [self.share * g for g in cost.parameter_gradient(*rows).values() if g.size] if values else []


def _with_last(inputs: np.ndarray) -> np.ndarray:
    # The last state has no successor, so that the last row acts on nothing.
    return np.vstack([inputs, np.zeros_like(inputs[:1])])


def _with(cost: Cost, values) -> Cost:
    """The cost with these values of what it depends on; what has no numbers (R at the end) is not told."""
    told = [name for name, v in cost.parameters.items() if v.size]
    return cost.with_parameters(dict(zip(told, values, strict=True))) if values else cost


def lost_at(plant: Plant, step: int) -> str:
    """What is said of a path that blows up."""
    when = f" ({step * plant.dt:g} s)" if plant.dt else ""
    return (
        f"the path of plant {plant.name!r} blows up: state {step}{when} is NaN or infinite; take other "
        "controls or limits, shorter steps or a better integrator"
    )
