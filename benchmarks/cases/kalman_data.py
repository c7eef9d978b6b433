"""A stable random linear-Gaussian model and data of equal length, shared by the Kalman cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class KalmanData:
    """x_0 ~ N(0, I), x_{t+1} = F x_t + N(0, .1 I), y_t = H x_t + N(0, .5 I); y is (sequences, length, p)."""

    F: np.ndarray
    Q: np.ndarray
    H: np.ndarray
    R: np.ndarray
    y: np.ndarray

    @classmethod
    def random(cls, states: int, outputs: int, sequences: int, length: int, seed: int = 0) -> KalmanData:
        rng = np.random.default_rng(seed)
        F = 0.95 * np.linalg.qr(rng.normal(size=(states, states)))[0]
        H = rng.normal(size=(outputs, states))
        x, y = rng.normal(size=(sequences, states)), np.empty((sequences, length, outputs))
        for t in range(length):
            y[:, t] = x @ H.T + np.sqrt(0.5) * rng.normal(size=(sequences, outputs))
            x = x @ F.T + np.sqrt(0.1) * rng.normal(size=x.shape)
        return cls(F, 0.1 * np.eye(states), H, 0.5 * np.eye(outputs), y)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """States, outputs, sequences, length."""
        return self.F.shape[0], self.H.shape[0], *self.y.shape[:2]

    def arrays(self):
        """As the kernels take them."""
        from msgpass.kernels.gaussian_chain_types import GaussianChainArrays

        n, p, sequences, length = self.sizes
        shared = (self.F[None], self.Q[None], np.zeros((1, n)), self.H[None], self.R[None])
        start = np.zeros((1, n)), np.eye(n)[None], np.zeros((n, 0))
        return GaussianChainArrays(*start, *shared, self.y.reshape(-1, p), np.arange(sequences + 1) * length)

    def graph(self):
        """The model as a factor graph, kept from call to call."""
        from msgpass import FactorGraph, Quadratic

        n, p, sequences, length = self.sizes
        g = FactorGraph()
        x = g.sequence("x", length=length if sequences == 1 else [length] * sequences, shape=(n,))
        y = g.observe("y", self.y.reshape(-1, p))
        g.factor(Quadratic.prior(np.zeros(n), np.eye(n)), x[0])
        g.factor(Quadratic.linear_gaussian(g.parameter("F", self.F), g.parameter("Q", self.Q)), x[:-1], x[1:])
        g.factor(Quadratic.observation(g.parameter("H", self.H), g.parameter("R", self.R)), x[:], y[:])
        return g
