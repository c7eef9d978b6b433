"""What a run of the graph says of a state space: sufficient statistics for EM, and the gradient of log p(y).

The graph is built once and run with the values of each state space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.state_space.fisher import fisher_slopes
from hmm.state_space.graph import make_graph, values
from hmm.state_space.regression import Relation
from hmm.state_space.series import Series
from hmm.state_space.space import StateSpace
from hmm.state_space.stationary import through_stationary
from hmm.state_space.statistics import initial_relation, observation_relations, transition_relation
from msgpass import Messages, run
from msgpass.errors import NumericalError


@dataclass(frozen=True, eq=False)
class Expected:
    """What an E-step says.

    Attributes
    ----------
    log_likelihood : float
        log p(y).
    transition : Relation
        Of x_{t+1} on (x_t, u_t).
    observation : list of Relation
        Of y_t on (x_t, u_t): one for all outputs, or one for each.
    initial : Relation or None
        Of x_0; None where it is not normal.
    """

    log_likelihood: float
    transition: Relation
    observation: list[Relation]
    initial: Relation | None


class Expectation:
    """E-steps and gradients over one set of data.

    Parameters
    ----------
    series : Series
    apart : bool
        Whether outputs are independent given the state, so that a missing cell can be left out.
    """

    def __init__(self, series: Series, apart: bool = False):
        self.series, self.apart = series, apart
        self._graph: Any = None

    def messages(self, space: StateSpace) -> Messages:
        """The graph, run with the values of ``space``."""
        if self._graph is None:
            self._graph = make_graph(space, self.series)
        return run(self._graph, values=values(space, self.series))

    def __call__(self, space: StateSpace) -> Expected:
        """E-step."""
        m = self.messages(space)
        return Expected(
            finite(m.total),
            transition_relation(m, space.n_states),
            observation_relations(m, self.series, self.apart),
            None if space.initial == "diffuse" else initial_relation(m),
        )

    def slopes(
        self, space: StateSpace, names: list[str] | None = None
    ) -> tuple[float, dict[str, np.ndarray]]:
        """log p(y) and ∂log p(y)/∂parameter by name, in the parameters' own shapes; a parameter with a step
        axis gets a row for each step that was read.

        Parameters
        ----------
        space : StateSpace
        names : list of str, optional
            Those that are wanted.
        """
        m = self.messages(space)
        found = fisher_slopes(m, space, self.series)
        if found is None:
            found = message_slopes(m, space)
        if space.initial == "stationary":
            found = through_stationary(space, found)
        return finite(m.total), found if names is None else {name: found[name] for name in names}


def message_slopes(m: Messages, space: StateSpace) -> dict[str, np.ndarray]:
    """What arrives at the parameters, by name and in their shapes."""
    found: dict[str, np.ndarray] = {}
    n, k = space.n_states, space.n_inputs
    for kind in ("transition", "observation"):
        arrived = m.parameters[f"{kind}_matrix"]
        found[f"{kind}_matrix"], found[f"{kind}_input_matrix"] = arrived[..., :n], arrived[..., n : n + k]
        found[f"{kind}_covariance"] = m.parameters[f"{kind}_covariance"]
        found[f"{kind}_offset"] = m.parameters[f"{kind}_offset"]
    if space.initial != "diffuse":
        found["initial_mean"] = m.parameters["initial_mean"]
        if "initial_covariance" in m.parameters:
            found["initial_covariance"] = m.parameters["initial_covariance"]
    return {name: _summed(slope, space, name) for name, slope in found.items()}


def _summed(slope: np.ndarray, space: StateSpace, name: str) -> np.ndarray:
    """A matrix that is shared, beside one that varies, gets the sum over steps."""
    shape = getattr(space, name).shape
    return slope if space.varies(name) or slope.shape == shape else slope.sum(axis=0)


def finite(total) -> float:
    """log p(y)."""
    total = float(total)
    if not np.isfinite(total):
        raise NumericalError(
            f"the log-likelihood is {total}: the model cannot follow the data (an unstable transition "
            f"overflows, a "
            "covariance without noise contradicts them); give it another start, or rescale the data"
        )
    return total
