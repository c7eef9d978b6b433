"""log p(y) of a structural time series and its slope: one run of a graph that is kept.

The engine's total takes flat starts as densities of 1. Durbin and Koopman's diffuse log-likelihood (2012,
section 7.2.2), which statsmodels has too, is smaller by d/2 log 2π for d flat states; it is what is reported.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hmm.state_space.structural.assembly import Assembly, Values
from hmm.state_space.structural.graph import make_graph, slopes, values
from msgpass import ForwardOnly, Messages, run
from msgpass.errors import NumericalError

LOG_2PI = math.log(2 * math.pi)


class Likelihood:
    """Of one series.

    Parameters
    ----------
    assembly : Assembly
    y : array, (T,)
        NaN where missing.
    inputs : array, (T, k)
    """

    def __init__(self, assembly: Assembly, y: np.ndarray, inputs: np.ndarray):
        self.assembly, self.y, self.inputs = assembly, y, inputs
        self._graph: Any = None

    def messages(self, at: Values, schedule=None) -> Messages:
        """A run with some values."""
        own = self.assembly.blocks(at, self.inputs)
        if self._graph is None:
            self._graph = make_graph(self.y, own)
        return run(
            self._graph,
            schedule=schedule,
            values={name: value for name, value in values(own).items() if name in self._graph.nodes},
        )

    def __call__(self, at: Values) -> float:
        """The diffuse log-likelihood."""
        return self._reported(self.messages(at, ForwardOnly()), at)

    def slopes(self, at: Values) -> tuple[float, Values]:
        """(diffuse log-likelihood, its slope by full name)."""
        m = self.messages(at)
        own = self.assembly.blocks(at, self.inputs)
        return self._reported(m, at), self.assembly.pullback(at, slopes(m.parameters, own))

    def _reported(self, m: Messages, at: Values) -> float:
        total = float(m.total)
        if not np.isfinite(total):
            raise NumericalError(
                f"the log-likelihood is {total}: the model has no noise left that could make these data; do "
                "not "
                "hold all variances at 0"
            )
        return total - 0.5 * int(self.assembly.flat(at).sum()) * LOG_2PI
