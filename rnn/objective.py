"""``Objective``: what an optimiser sees of a network, one vector of weights; the best met are kept."""

from __future__ import annotations

import numpy as np

from msgpass import run
from msgpass.errors import NumericalError
from msgpass.schedule.base import Schedule
from rnn.losses import OutputLoss
from rnn.networks import Network


class Objective:
    """Loss and gradient at a vector of weights, over one graph that holds the data."""

    def __init__(self, net: Network, x, loss: OutputLoss, schedule: Schedule | None, data: dict):
        self.net, self.loss, self.schedule = net, loss, schedule
        self.graph = net.build(net.call(x, loss, **data))
        self.weights = {**net.weights, **loss.weights}
        self.best, self.best_weights, self.evaluations = np.inf, self.weights, 0

    @property
    def start(self) -> np.ndarray:
        """The present weights as one vector, in float64."""
        return np.concatenate([w.ravel() for w in self.weights.values()]).astype(np.float64)

    def split(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """A vector as weights by key."""
        ends = np.cumsum([w.size for w in self.weights.values()])
        parts = np.split(theta.astype(self.net.dtype), ends[:-1])
        return {
            key: part.reshape(w.shape) for (key, w), part in zip(self.weights.items(), parts, strict=True)
        }

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and its gradient at ``theta``."""
        weights = self.split(theta)
        m = run(self.graph, schedule=self.schedule, values=weights)
        arrived = [
            m.parameters[key] if key in m.parameters else np.zeros_like(w) for key, w in weights.items()
        ]
        gradient = np.concatenate([a.ravel() for a in arrived]).astype(np.float64)
        if not np.isfinite(m.total) or not np.isfinite(gradient).all():
            what = "gradient" if np.isfinite(m.total) else "loss"
            raise NumericalError(f"the {what} became NaN or infinite")
        self.evaluations += 1
        if m.total < self.best:
            self.best, self.best_weights = m.total, weights
        return m.total, gradient

    def install(self) -> None:
        """Give the best weights to the network and the readout."""
        own = self.best_weights
        self.net.load_state_dict({k: own[k] for k in self.net.weights})
        self.loss.load_weights(own)
