"""``Objective``: loss and gradient of a network over data, at a vector of weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass import FactorGraph, ForwardOnly, run
from msgpass.errors import NumericalError
from msgpass.schedule.base import Schedule
from rnn.losses import OutputLoss
from rnn.networks import Call, Network
from rnn.training.data import Data
from rnn.training.surgery import Surgery, operated
from rnn.training.vector import Vector


class Evaluation(NamedTuple):
    """Loss, its weight among batches, and the gradient."""

    loss: float
    weight: float
    gradient: np.ndarray


class Objective:
    """A network, its loss's readout and a schedule as a function of their weights.

    It keeps graphs of its own, one a shape, which run compiled sweeps from the first step on: what a fit
    computes depends neither on what the network has done before nor on where the fit was resumed.
    """

    def __init__(
        self,
        net: Network,
        loss: OutputLoss,
        schedule: Schedule | None = None,
        surgery: Surgery | None = None,
    ):
        self.net, self.schedule, self.surgery = net, schedule, surgery
        self.initial = {**net.weights, **loss.weights}
        self.vector = Vector(self.initial)
        self._graphs: dict[tuple, FactorGraph] = {}

    @property
    def start(self) -> np.ndarray:
        """The present weights as one vector."""
        return self.vector.joined(self.initial)

    def _graph(self, call: Call) -> FactorGraph:
        graph = self._graphs.get(call.key)
        if graph is None:
            graph = self._graphs[call.key] = self.net.build(call)
            graph.plan().start_compiled()
        return graph

    def _problem(self, theta: np.ndarray, data: Data, rng: np.random.Generator | None):
        chance = {} if rng is None else {"random_state": rng}
        call = self.net.call(data.x, data.loss, **data.extra, **chance)
        weights = self.vector.views(theta.astype(self.net.dtype, copy=False))
        return call, self._graph(call), {**weights, **call.arrays}

    def __call__(
        self, theta: np.ndarray, data: Data, rng: np.random.Generator | None = None, count: int = 0
    ) -> Evaluation:
        """Loss and gradient; ``rng`` draws what is dropped out, ``count`` is the number of the update.

        Raises
        ------
        NumericalError
            Where one is NaN or infinite; it names the variable.
        """
        call, graph, values = self._problem(theta, data, rng)
        try:
            m = run(graph, schedule=self.schedule, values=values)
        except NumericalError as problem:
            raise self.net.explained(problem, values) from None
        total = float(m.total)
        if not np.isfinite(total):
            raise NumericalError(self._blame(theta) or f"the loss became NaN or infinite ({total})")
        gradient = np.zeros(self.vector.size, theta.dtype)
        for key, part in self.vector.parts.items():
            if key in m.parameters:  # a weight that no factor reads, such as a start that h0= replaces
                gradient[part] = m.parameters[key].ravel()
        bad = self.vector.first_bad(gradient)
        if bad is not None:
            raise NumericalError(f"the gradient of {bad} became NaN or infinite")
        if self.surgery is not None:
            gradient = operated(self.surgery, m, gradient, self.vector, count)
        return Evaluation(total, data.loss.number(call.arrays), gradient)

    def _blame(self, theta: np.ndarray) -> str | None:
        bad = self.vector.first_bad(theta)
        return None if bad is None else f"the weight {bad} became NaN or infinite"

    def loss(self, theta: np.ndarray, parts: list[Data]) -> float:
        """The loss over several batches: their sum, or their mean by weight."""
        found = [self._loss(theta, part) for part in parts]
        return combined([f[0] for f in found], [f[1] for f in found], parts[0].loss.reduction)

    def _loss(self, theta: np.ndarray, data: Data) -> tuple[float, float]:
        call, graph, values = self._problem(theta, data, None)
        total = float(run(graph, schedule=ForwardOnly(), values=values).total)
        return total, data.loss.number(call.arrays)

    def install(self, theta: np.ndarray, loss: OutputLoss) -> None:
        """Give weights to the network and to a loss's readout."""
        weights = self.vector.copies(theta.astype(self.net.dtype, copy=False))
        self.net.load_state_dict({k: weights[k] for k in self.net.weights})
        loss.load_weights(weights)


def combined(losses: list[float], weights: list[float], reduction: str) -> float:
    """Losses of batches as one."""
    if reduction == "sum":
        return float(np.sum(losses))
    return float(np.dot(losses, weights) / np.sum(weights))
