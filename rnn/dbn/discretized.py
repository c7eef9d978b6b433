"""The network's state on a grid, with a little noise: a hidden Markov model as a graph of tables.

    p(s_t = j | s_{t−1} = i) ∝ exp(−½ |(g_j − F_t(g_i))/σ|²),      evidence exp(−ℓ_t(g_j))

Rows are normalised over the grid. ``SumProduct`` gives log β_t as a whole function of the state; −∇(log β_t
+ local evidence) at the visited state tends to the adjoint λ_t as σ → 0, with an error of order σ², as long
as the grid is no coarser than the noise (identity 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from msgpass import FactorGraph, Messages, SumProduct, Table, run
from msgpass.errors import DataError
from rnn.dbn.grids import grid_points, make_axes, standard_deviations
from rnn.dbn.slices import Slices


@dataclass(frozen=True, eq=False)
class Discretized:
    """A discretised network, made by :meth:`rnn.dbn.DBN.discretize`.

    Attributes
    ----------
    axes : tuple of arrays
        Points along each number of the state.
    sigma : (D,) array
        Standard deviations of the noise.
    labels : list of str
        What the numbers of the state are.
    graph : FactorGraph
        Sequence ``state`` with N = Π cells states; tables ``start``, ``transition``, ``evidence``.
    log_start : (N,) array
    log_transition : (T − 1, N, N) or (N, N) array
        One table where no step differs from another.
    log_evidence : (T, N) array
        Minus the losses.
    visited : (T, D) array
        States of the network without noise.
    """

    axes: tuple[np.ndarray, ...]
    sigma: np.ndarray
    labels: list[str]
    graph: FactorGraph
    log_start: np.ndarray
    log_transition: np.ndarray
    log_evidence: np.ndarray
    visited: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """States of the grid, (N, D)."""
        return grid_points(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(map(len, self.axes))

    @property
    def resolution(self) -> np.ndarray:
        """σ over the largest distance of points, by axis; below about ½ the grid does not see the noise."""
        return self.sigma / np.array([np.diff(a).max() for a in self.axes])

    @cached_property
    def messages(self) -> Messages:
        """One run under ``SumProduct``."""
        return run(self.graph, SumProduct())

    @property
    def log_backward(self) -> np.ndarray:
        """log β_t on the grid, (T, *shape)."""
        return self.messages.backward["state"].reshape(-1, *self.shape)

    @cached_property
    def slopes(self) -> np.ndarray:
        """−∇(log β_t + local evidence) at the visited states, (T, D), by splines through the grid."""
        told = self.log_backward + self.log_evidence.reshape(-1, *self.shape)
        return -np.stack([_gradient(self.axes, f, at) for f, at in zip(told, self.visited, strict=True)])

    def expected(self) -> np.ndarray:
        """Posterior means of the state, (T, D)."""
        return np.exp(self.messages.belief["state"]) @ self.points

    def to_pgmpy(self):
        """A ``DynamicBayesianNetwork`` of pgmpy, and the evidence that stands for data and losses.

        Returns
        -------
        (pgmpy.models.DynamicBayesianNetwork, dict)
            Variables ``state``; ``loss``, whose value 1 has probability exp(−loss + least loss of the
            step); and, where steps differ, ``input``, a root whose value picks the step's tables. The
            evidence maps (name, slice) to values, for ``DBNInference``.
        """
        from rnn.dbn.pgmpy import to_pgmpy

        return to_pgmpy(self)

    def __repr__(self) -> str:
        grid = " × ".join(map(str, self.shape))
        return (
            f"<Discretized {', '.join(self.labels)}: {len(self.visited)} steps, {grid} states, "
            f"σ = {', '.join(f'{s:.3g}' for s in np.unique(self.sigma))}>"
        )


def discretized(slices: Slices, visited: np.ndarray, sigma, grid=None, cells=None) -> Discretized:
    """Tables of a network over a grid of its states."""
    noise = standard_deviations(sigma, slices.size)
    axes = make_axes(slices, noise, grid, cells)
    for label, axis, path in zip(slices.labels, axes, visited.T, strict=True):
        if path.min() < axis[0] or path.max() > axis[-1]:
            raise DataError(
                f"the grid of {label} runs from {axis[0]:.3g} to {axis[-1]:.3g}, and the network goes from "
                f"{path.min():.3g} to {path.max():.3g}; give a grid that holds all it visits, and some σ more"
            )
    points, steps = grid_points(axes), slices.template.length
    start = _kernel(axes, noise, slices.transition(0, points[:1]))[0]
    means = [slices.transition(t, points) for t in range(1, steps)]
    alike = bool(means) and all(np.array_equal(means[0], m) for m in means[1:])
    tables = [_kernel(axes, noise, m) for m in (means[:1] if alike else means)]
    size = len(points)
    link = tables[0] if alike else np.stack(tables) if tables else np.zeros((0, size, size))
    evidence = -np.stack([slices.loss(t, points) for t in range(steps)])
    graph = FactorGraph()
    state = graph.sequence("state", length=steps, states=size)
    graph.factor(Table(start), state[0], name="start")
    if steps > 1:
        graph.factor(Table(link), state[:-1], state[1:], name="transition")
    graph.factor(Table(evidence), state[:], name="evidence")
    return Discretized(axes, noise, slices.labels, graph, start, link, evidence, visited)


def _kernel(axes, sigma: np.ndarray, means: np.ndarray) -> np.ndarray:
    """log p(s_t = grid point | mean), (M, N): the axes are independent given the slice before."""
    total = np.zeros((len(means), 1))
    for axis, s, mean in zip(axes, sigma, means.T, strict=True):
        logs = -0.5 * ((axis - mean[:, None]) / s) ** 2
        top = logs.max(axis=1, keepdims=True)
        logs -= top + np.log(np.exp(logs - top).sum(axis=1, keepdims=True))
        total = (total[:, :, None] + logs[:, None, :]).reshape(len(means), -1)
    return total


def _gradient(axes, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Gradient at one point of a function given on a grid."""
    from scipy.interpolate import CubicSpline

    found = []
    for d in range(len(axes)):
        rest = values
        for k, (axis, x) in enumerate(zip(axes, at, strict=True)):
            rest = CubicSpline(axis, rest, axis=0)(x, 1 if k == d else 0)
        found.append(float(rest))
    return np.array(found)
