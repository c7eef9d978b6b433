"""One HMM as a value: initial and transition probabilities and an emission, and the factor graph that they
make over data.

p(z, x) = π[z_0] Π_t A[z_{t−1}, z_t] Π_t p(x_t | z_t)
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from hmm.emissions.base import Emission
from hmm.simplex import log
from msgpass import FactorGraph, Table


@dataclass(frozen=True, eq=False)
class Chain:
    """Parameters of an HMM.

    Parameters
    ----------
    initial : array, (K,)
    transition : array, (K, K)
        Row = from.
    emission : Emission
    """

    initial: np.ndarray
    transition: np.ndarray
    emission: Emission

    def graph(self, data, lengths: list[int]) -> FactorGraph:
        """Factor graph over prepared data, sequences end to end: states "z", parameters "initial",
        "transition", …"""
        g = FactorGraph()
        z = g.sequence("z", length=lengths if len(lengths) > 1 else lengths[0], states=len(self.initial))
        g.factor(Table(g.parameter("initial", log(self.initial))), z[0])
        g.factor(Table(g.parameter("transition", log(self.transition))), z[:-1], z[1:])
        self.emission.attach(g, z, data)
        return g

    def values(self, data) -> dict[str, np.ndarray]:
        """Values that make a graph built for this data, by whatever chain, a graph of this one."""
        return {
            "initial": log(self.initial),
            "transition": log(self.transition),
            **self.emission.values(data),
        }

    def sample(
        self, n: int, rng: np.random.Generator, first: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(observations (n, D), states (n,)) of one sequence, from state ``first`` if it is given."""
        cdfs = np.cumsum(self.transition, axis=1).tolist()
        u = rng.random(n)
        state = _draw(np.cumsum(self.initial).tolist(), u[0]) if first is None else first
        states = [state]
        for v in u[1:].tolist():
            state = _draw(cdfs[state], v)
            states.append(state)
        path = np.array(states)
        return self.emission.sample(path, rng), path

    def stationary(self) -> np.ndarray:
        """π with π A = π; of a chain with several, a mixture of all."""
        K = len(self.initial)
        system = np.concatenate([self.transition.T - np.eye(K), np.ones((1, K))])
        pi = np.maximum(np.linalg.lstsq(system, np.append(np.zeros(K), 1.0))[0], 0)
        return pi / pi.sum()


def _draw(cdf: list[float], u: float) -> int:
    """Inverse of a distribution function that may end a rounding below one."""
    return bisect_right(cdf, u * cdf[-1])
