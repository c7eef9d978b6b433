"""``Problem``: what was handed to :func:`odeint`, checked, and the graph that it is.

    y_n = step(y_{n−1}, t_n, h_n, θ…)      one factor a step, over y.after(y0), t[:] and h[:]

The graph of a problem depends on f, the method and sizes alone, so it is kept; times, starts and parameters
are values of a run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Loss, Step, run
from msgpass.errors import DataError, ShapeError, UnavailableError
from rnn.ode.grid import Grid
from rnn.ode.kept import KEPT, Kept, Same
from rnn.ode.parameters import Packing, real
from rnn.ode.steps import SolverStep

STRETCH = 256  # steps of which all states are held at a time, where few are to be kept


_GRAPHS, _STEPS = Kept(), Kept()


@dataclass(frozen=True)
class Problem:
    """dy/dt = f(t, y, params) from y0."""

    step: SolverStep
    params: Any
    packing: Packing
    arrays: dict[str, np.ndarray]
    y0: np.ndarray

    @classmethod
    def of(cls, f, y0, params, method) -> Problem:
        """Checked: f is called once, later."""
        y0 = real("y0", y0)
        if not y0.size:
            raise ShapeError(f"y0 holds no number: its shape is {y0.shape}")
        packing = Packing.of(params)
        arrays = packing.arrays(params)
        dtype = np.result_type(y0, *arrays.values()) if arrays else y0.dtype
        y0 = y0.astype(dtype)
        arrays = {name: a.astype(dtype) for name, a in arrays.items()}
        return cls(SolverStep(f, method), packing.user(arrays), packing, arrays, y0)

    # -- the graph -----------------------------------------------------------------------------------

    def potential(self) -> Step:
        """One step as a factor; kept by f and method, for what is compiled goes with it."""
        return _STEPS.of(("step", *self.key), lambda: self.step.potential(self.params, self.y0))

    def within(self) -> Step:
        """A place within a step as a factor: (y, t, h, θ, *arrays) → y(t + θh)."""
        return _STEPS.of(("within", *self.key), lambda: self.step.potential_within(self.params, self.y0))

    @property
    def key(self) -> tuple:
        """Problems with equal keys have equal steps."""
        sizes = tuple((n, a.shape) for n, a in self.arrays.items())
        return Same(self.step.f), self.step.tableau, self.packing.kind, sizes, self.y0.shape, self.y0.dtype

    def values(self, grid: Grid) -> dict[str, np.ndarray]:
        """A run's values by name."""
        dtype = self.y0.dtype
        found = {"y0": self.y0, **self.arrays}
        found["t"], found["h"] = grid.times[:-1].astype(dtype), np.diff(grid.times).astype(dtype)
        if grid.theta is not None:
            found["theta"], found["place"] = grid.theta.astype(dtype), grid.at.astype(dtype)
            found["t_before"], found["h_around"] = found["t"][grid.at], found["h"][grid.at]
        return found

    def build(self, grid: Grid, saved: bool = False) -> FactorGraph:
        """``y0``, parameters, ``t``, ``h``, ``y``; with ``saved`` or dense saves also the saved states."""
        graph, values = FactorGraph(), self.values(grid)
        y0 = graph.parameter("y0", self.y0)
        own = [graph.parameter(name, a) for name, a in self.arrays.items()]
        t, h = graph.observe("t", values["t"]), graph.observe("h", values["h"])
        y = graph.sequence("y", grid.steps, shape=self.y0.shape)
        graph.factor(self.potential(), y.after(y0), t[:], h[:], *own, out=y[:], name="step")
        if grid.dense:
            before = graph.sequence("before", len(grid.t), shape=self.y0.shape)
            place = graph.observe("place", values["place"])
            graph.factor(picking(), y.all, y0, place[:], out=before[:], name="pick")
            more = [graph.observe(name, values[name])[:] for name in ("t_before", "h_around", "theta")]
            found = graph.sequence("saved", len(grid.t), shape=self.y0.shape)
            graph.factor(self.within(), before[:], *more, *own, out=found[:], name="interpolate")
        elif saved:
            found = graph.sequence("saved", len(grid.t), shape=self.y0.shape)
            place = graph.observe("place", grid.at.astype(self.y0.dtype))
            graph.factor(picking(), y.all, y0, place[:], out=found[:], name="pick")
        return graph

    def states(self, grid: Grid) -> np.ndarray:
        """(N + 1, *shape), by the engine."""
        m = run(self.kept(grid, None), schedule=ForwardOnly(), values=self.values(grid))
        return np.concatenate([self.y0[None], m.forward["y"]])

    def saved_states(self, grid: Grid) -> np.ndarray:
        """(S, *shape) alone, by stretches of steps of which nothing else is kept."""
        found, y = np.empty((len(grid.t), *self.y0.shape), self.y0.dtype), self.y0
        found[grid.at == 0] = y
        for start in range(0, grid.steps, STRETCH):
            times = grid.times[start : start + STRETCH + 1]
            part = Grid(times, times[[0, -1]], np.array([0, len(times) - 1]), None)
            states = replace(self, y0=y).states(part)
            here = (grid.at > start) & (grid.at < start + len(times))
            found[here] = states[grid.at[here] - start]
            y = states[-1]
        return found

    def kept(self, grid: Grid, key, attach: Callable[[FactorGraph], None] | None = None) -> FactorGraph:
        """The graph of this shape, with what ``attach`` adds for ``key``."""
        theirs = grid.steps, len(grid.t), grid.dense, key

        def make():
            graph = self.build(grid)
            if attach is not None:
                attach(graph)
            return graph

        return _GRAPHS.of((*self.key, *theirs), make)


def picking() -> Step:
    """Rows of y, the start in front: (y of all steps, y0, place) → the state before step ``place``."""

    def pick(states, start, place):
        return np.concatenate([start[None], states])[np.asarray(place).astype(int)]

    def vjp(inputs, cotangent):
        states, start, place = inputs
        bars = np.zeros((len(states) + 1, *start.shape), states.dtype)
        np.add.at(bars, place.astype(int), cotangent)
        return bars[1:], bars[0], None

    return Step(pick, vjp, vectorized=True)


class Losses:
    """The losses of the last runs of kept graphs, by number: a graph's loss factor reads the number of its
    run, so that messages made later are those of the run's own loss."""

    def __init__(self) -> None:
        self.functions: OrderedDict[int, Callable] = OrderedDict()
        self.count = 0

    def add(self, function: Callable) -> np.ndarray:
        """Its number, as an observation holds it."""
        self.count += 1
        self.functions[self.count] = function
        while len(self.functions) > KEPT:
            self.functions.popitem(last=False)
        return np.array(float(self.count))

    def __call__(self, number, saved):
        if int(number) not in self.functions:
            raise UnavailableError(f"the loss of this run is gone; the last {KEPT} are kept. Run it again")
        return self.functions[int(number)](saved)


LOSSES = Losses()


def states_loss(rows: np.ndarray) -> Loss:
    """A loss on the states ``rows`` of y0, y_1, …, y_N, all at once, of (y, y0, number of the loss)."""

    def value_and_grad(states, start, number):
        value, gradient = LOSSES(number, np.concatenate([start[None], states])[rows])
        bars = np.zeros((len(states) + 1, *start.shape), states.dtype)
        np.add.at(bars, rows, gradient)
        return value, (bars[1:], bars[0], None)

    return Loss(value_and_grad, vectorized=True)


def saved_loss() -> Loss:
    """A loss on all saved states, of (saved, number of the loss)."""

    def value_and_grad(saved, number):
        value, gradient = LOSSES(number, saved)
        return value, (gradient, None)

    return Loss(value_and_grad, vectorized=True)


def seeds_loss() -> Loss:
    """Σ ⟨seed_i, y_n⟩ over steps n at which save i = ``which`` is, −1 where there is none: step by step, so
    that any schedule can cut it."""

    def value_and_grad(states, which, seeds):
        bars, here = np.zeros_like(states), which >= 0
        bars[here] = seeds[which[here].astype(int)]
        return float((states * bars).sum()), (bars, None, None)

    return Loss(value_and_grad, vectorized=True)


def check_choice(name: str, value, choices: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in choices:
        raise DataError(f"{name} is one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
