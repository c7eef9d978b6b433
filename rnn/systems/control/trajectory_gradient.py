"""What :meth:`Trajectory.gradient` returns: a path and everything first-order about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass import Messages
from rnn.systems.control.plant import Plant


@dataclass(frozen=True, repr=False, eq=False)
class TrajectoryGradient:
    """A path and the gradient of its cost; with S starts, states, costs and costates have an axis of starts.

    Attributes
    ----------
    cost : float
        J; the mean over several starts.
    costs : (T + 1,) array
        Of every step, the terminal cost last.
    states, inputs : (T + 1, n), (T, m) arrays
    gradient : (T, m) array
        ∂J/∂u_t.
    costates : (T + 1, n) array
        λ_t = ∂J/∂x_t; λ_0 is the gradient with respect to the start.
    parameters : dict
        ∂J/∂θ by name: "plant.length", "cost.target", "terminal.Q".
    messages : Messages
        Of the run: every message of the graph.
    """

    cost: float
    costs: np.ndarray
    states: np.ndarray
    inputs: np.ndarray
    gradient: np.ndarray
    costates: np.ndarray
    parameters: dict[str, np.ndarray]
    messages: Messages
    plant: Plant

    def __repr__(self) -> str:
        largest = float(np.abs(self.gradient).max())
        return (
            f"<TrajectoryGradient: cost {self.cost:.6g}, {len(self.inputs)} steps, max |∂J/∂u| {largest:.3g}>"
        )

    def plot(self):
        """Matplotlib figure: states, co-states, controls, gradient over time."""
        from rnn.systems.control.figures import plot_gradient

        return plot_gradient(self)
