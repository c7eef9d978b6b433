"""The messages of a network beside those of the hidden Markov model that it is, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn.dbn.discretized import Discretized
from rnn.dbn.refinement import given


@dataclass(frozen=True, eq=False)
class Correspondence:
    """λ_t of ``Adjoint`` beside −∇(log β_t + local evidence) of ``SumProduct`` (identities 4 and 12).

    Attributes
    ----------
    labels : list of str
        The numbers of the state.
    visited : (T, D) array
        States of the network.
    adjoint, slope : (T, D) array
        The two sides.
    discretized : Discretized
        The hidden Markov model of the right side.
    """

    labels: list[str]
    visited: np.ndarray
    adjoint: np.ndarray
    slope: np.ndarray
    discretized: Discretized

    @property
    def gap(self) -> np.ndarray:
        """slope − adjoint, (T, D)."""
        return self.slope - self.adjoint

    @property
    def relative(self) -> float:
        """Largest gap over the largest adjoint."""
        size = np.abs(self.adjoint).max(initial=0.0)
        return float(np.abs(self.gap).max(initial=0.0) / (size or 1.0))

    def to_frame(self):
        """One row a step and number of the state."""
        from msgpass.optional import pandas

        T, D = self.adjoint.shape
        columns = {
            "time": np.repeat(np.arange(T), D),
            "state": self.labels * T,
            "visited": self.visited.ravel(),
            "adjoint": self.adjoint.ravel(),
            "slope": self.slope.ravel(),
            "gap": self.gap.ravel(),
        }
        return pandas().DataFrame(columns)

    def plot(self, ax=None):
        """Both sides over time; returns matplotlib axes."""
        from rnn.dbn.plot import plot_correspondence

        return plot_correspondence(self, ax)

    def __repr__(self) -> str:
        width = max(8, *map(len, self.labels))
        rows = [f"{'t':>4}  {'state':<{width}} {'visited':>10} {'λ_t':>12} {'−∇ log β':>12} {'gap':>9}"]
        for t in range(len(self.adjoint)):
            for d, label in enumerate(self.labels):
                rows.append(
                    f"{t:>4}  {label:<{width}} {self.visited[t, d]:>10.4f} {self.adjoint[t, d]:>12.6f} "
                    f"{self.slope[t, d]:>12.6f} {self.gap[t, d]:>9.1e}"
                )
        sigma = ", ".join(f"{s:.3g}" for s in np.unique(self.discretized.sigma))
        shape = " × ".join(map(str, self.discretized.shape))
        return "\n".join([*rows, f"σ = {sigma} on {shape} cells: largest gap {self.relative:.1e} of |λ|"])


def correspondence(net, x=None, loss=None, sigma=0.05, grid=None, cells=None, **data: Any) -> Correspondence:
    """Line up the adjoints of a network with the slopes of its discretised backward messages.

    Parameters
    ----------
    net, x, loss, **data
        As for :func:`as_dbn`; or a DBN.
    sigma, grid, cells
        As for :meth:`DBN.discretize`.

    Returns
    -------
    Correspondence
        It prints as a table.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, SquaredError
    >>> x, y = np.array([[0.5], [-0.3]]), np.array([[0.1], [0.0]])
    >>> correspondence(RNN(1, 1, random_state=0), x, SquaredError(y), sigma=0.01).relative < 1e-4
    True
    """
    dbn = given(net, x, loss, data)
    hmm = dbn.discretize(sigma, grid, cells)
    return Correspondence(hmm.labels, dbn.visited, dbn.cotangents, hmm.slopes, hmm)
