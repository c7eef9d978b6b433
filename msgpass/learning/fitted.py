"""What learning returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Fitted:
    """Learned parameters.

    Attributes
    ----------
    values : dict of str to array
        By name, as ``run(graph, values=…)`` takes them: log tables.
    history : list of float
        The objective (log-likelihood plus log prior) after each iteration, ``history[0]`` at the start.
    converged : bool
        Whether the last iteration gained less than the tolerance.
    scores : list of float
        Where each start ended; the best one is told here.
    """

    values: dict[str, np.ndarray]
    history: list[float]
    converged: bool
    scores: list[float] = field(default_factory=list)

    @property
    def objective(self) -> float:
        """Of ``values``."""
        return self.history[-1]

    @property
    def n_iter(self) -> int:
        """Iterations of the best start."""
        return len(self.history) - 1

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """exp of the learned log tables."""
        return {name: np.exp(value) for name, value in self.values.items()}

    def __repr__(self) -> str:
        end = "converged" if self.converged else "not converged"
        return (
            f"<Fitted: {', '.join(self.values)}; objective {self.objective:.8g} after {self.n_iter} "
            f"iterations, {end}>"
        )
