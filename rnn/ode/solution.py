"""``Solution``: saved states, what they took, the chain that they are, and values between steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from msgpass import ForwardOnly, Messages, run
from msgpass.errors import DataError, UnsupportedError
from rnn.ode.adaptive import Stats
from rnn.ode.grid import Grid, locate
from rnn.ode.methods import METHODS
from rnn.ode.problem import Problem


@dataclass(frozen=True)
class Solution:
    """What :func:`odeint` returns.

    Attributes
    ----------
    t : ndarray (S,)
        Save times; t[0] is the start.
    y : ndarray (S, *shape)
        States there.
    method : str
    stats : Stats
        ``accepted`` and ``rejected`` steps, ``evaluations`` of f.
    grid : Grid
        ``grid.times`` (N + 1,) are the ends of the steps.
    states : ndarray (N + 1, *shape)
        States there, y0 first.
    """

    t: np.ndarray
    y: np.ndarray
    method: str
    stats: Stats
    grid: Grid
    kept: np.ndarray | None = field(repr=False)
    problem: Problem = field(repr=False)
    interpolant: Callable | None = field(default=None, repr=False)

    @cached_property
    def states(self) -> np.ndarray:
        """States at the ends of steps; a checkpointed run has not kept them, so they are computed anew."""
        return self.problem.states(self.grid) if self.kept is None else self.kept

    @property
    def graph(self):
        """The chain of steps as a :class:`msgpass.FactorGraph`."""
        return self.messages.graph

    @cached_property
    def messages(self) -> Messages:
        """The forward run of the chain: ``messages.forward["y"]`` are the states after each step."""
        if self.interpolant is not None:
            raise UnsupportedError(f"{self.method} is no chain of factors; take one of {', '.join(METHODS)}")
        graph = self.problem.kept(self.grid, None)
        return run(graph, schedule=ForwardOnly(), values=self.problem.values(self.grid))

    def at(self, t) -> np.ndarray:
        """States between the steps, by the method's interpolant.

        Parameters
        ----------
        t : float or array (M,)

        Returns
        -------
        ndarray (*shape) or (M, *shape)
        """
        times = np.asarray(t, float)
        low, high = sorted((self.grid.times[0], self.grid.times[-1]))
        slack = 1e-12 * max(abs(low), abs(high))
        if not ((times >= low - slack) & (times <= high + slack)).all():
            raise DataError(f"t = {t} lies outside the integration, {low:g} to {high:g}")
        if self.interpolant is not None:
            return self.interpolant(times)
        steps, theta = locate(self.grid.times, np.atleast_1d(times))
        found = np.empty((len(steps), *self.problem.y0.shape), self.problem.y0.dtype)
        for n in np.unique(steps):
            chosen = steps == n
            place = theta[chosen].reshape(-1, *(1,) * self.problem.y0.ndim)
            found[chosen] = self._within(int(n), place)
        return found if times.ndim else found[0]

    def _within(self, n: int, theta: np.ndarray) -> np.ndarray:
        step, (t, end) = self.problem.step, self.grid.times[n : n + 2]
        if n not in self._stages:
            self._stages[n] = step.stages(self.states[n], float(t), float(end - t), self.problem.params)[1]
        return step.dense(self.states[n], self._stages[n], float(end - t), theta)

    @cached_property
    def _stages(self) -> dict[int, list]:
        return {}

    def plot(self, ax=None, names=None):
        """Every number of the state over time; returns the axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
        names : list of str, optional
        """
        from msgpass.drawing import style
        from msgpass.optional import matplotlib

        flat = self.states.reshape(len(self.states), -1)
        if flat.shape[1] > 12:
            raise UnsupportedError(
                f"a state of {flat.shape[1]} numbers makes no figure; plot some of .states"
            )
        with style():
            if ax is None:
                matplotlib()
                from matplotlib.figure import Figure

                ax = Figure(figsize=(6, 3), layout="constrained").add_subplot()
            fine = np.linspace(self.grid.times[0], self.grid.times[-1], 400)
            curve = self.at(fine).reshape(len(fine), -1)
            for k in range(flat.shape[1]):
                (line,) = ax.plot(fine, curve[:, k], label=names[k] if names else f"y[{k}]")
                if self.grid.steps <= 200:
                    ax.plot(self.grid.times, flat[:, k], ".", ms=3, color=line.get_color())
            ax.set_xlabel("t")
            ax.legend()
        return ax

    def __repr__(self) -> str:
        s, shape = self.stats, self.problem.y0.shape
        return (
            f"Solution({self.method}, t = {self.t[0]:g} … {self.t[-1]:g}, {len(self.t)} saves of {shape}; "
            f"{s.accepted} steps, {s.rejected} rejected, {s.evaluations} evaluations)"
        )
