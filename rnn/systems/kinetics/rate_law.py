"""The right-hand side f(t, c, params) of a reactor, its VJP and Jacobian.

    dc/dt = N v(c, k(t)) + feed(t)        k(t) = k, or A exp(−E / (R T(t)))

Parameters by name: ``k`` (R,), or ``A`` (R,), ``E`` (R,) and ``T`` (M,), the temperature at knots; ``feed``
(F, M'), of F species at knots.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rnn.ode.field import Field
from rnn.ode.steps import tableau_of
from rnn.systems.kinetics.network import ReactionNetwork
from rnn.systems.kinetics.profile import Hats

GAS_CONSTANT = 8.314462618
"""R in J/(mol K)."""

MANY = 2000
"""Explicit steps from which on compiling them (about a second) costs less than it saves."""


class RateLaw:
    """f of a network, with a temperature and a feed at knots, or None."""

    def __init__(self, network: ReactionNetwork, temperature, fed, feed):
        self.network, self.law = network, network.law
        self.temperature = None if temperature is None else Hats(temperature)
        self.feed = None if feed is None else Hats(feed)
        self.into = np.zeros((len(fed), len(network.species)))
        self.into[np.arange(len(fed)), list(fed)] = 1.0
        self.names = (("k",) if temperature is None else ("A", "E", "T")) + (("feed",) if fed else ())

    def rates(self, t, p) -> np.ndarray:
        """k(t), (R,)."""
        if self.temperature is None:
            return p["k"]
        temperature = np.sum(self.temperature(t) * p["T"])
        return p["A"] * np.exp(-p["E"] / (GAS_CONSTANT * temperature))

    def forward(self, t, c, p):
        """dc/dt, in straight-line NumPy."""
        change = self.law.forward(c, self.rates(t, p))
        if self.feed is None:
            return change
        return change + np.sum(p["feed"] * self.feed(t), axis=-1) @ self.into

    def of_arrays(self, t, c, *arrays):
        """dc/dt of arrays in the order of ``names``."""
        return self.forward(t, c, dict(zip(self.names, arrays, strict=True)))

    def vjp(self, inputs, w):
        """Cotangents of (t, c, *arrays)."""
        t, c, *arrays = inputs
        p = dict(zip(self.names, arrays, strict=True))
        k = self.rates(t, p)
        into = w @ self.law.stoichiometry  # cotangents of the reactions' speeds
        c_bar = np.einsum("...r,...rs->...s", into * k, self.law.slopes(c))
        k_bar = (into * self.law.monomials(c)).reshape(-1, len(k)).sum(axis=0)
        t_bar, bars = 0.0, [k_bar]
        if self.temperature is not None:
            hats, slopes = self.temperature(t), self.temperature.slopes(float(t))
            heat = GAS_CONSTANT * np.sum(hats * p["T"])
            to_T = np.sum(k_bar * k * p["E"]) * GAS_CONSTANT / heat**2
            bars = [k_bar * np.exp(-p["E"] / heat), -k_bar * k / heat, to_T * hats]
            t_bar += to_T * np.sum(slopes * p["T"])
        if self.feed is not None:
            fed = self.into @ w.reshape(-1, w.shape[-1]).sum(axis=0)
            bars.append(fed[:, None] * self.feed(t))
            t_bar += fed @ (p["feed"] @ self.feed.slopes(float(t)))
        return (np.asarray(t_bar), c_bar, *bars)

    def matrix(self, t, c, *arrays) -> np.ndarray:
        """∂(dc/dt)/∂c of one reactor."""
        return self.law.jacobian(c, self.rates(t, dict(zip(self.names, arrays, strict=True))))

    @property
    def factor(self) -> str:
        """The parameter that rates are proportional to."""
        return "k" if self.temperature is None else "A"

    @property
    def knots(self) -> np.ndarray:
        """Times at which f has kinks."""
        parts = [h.times for h in (self.temperature, self.feed) if h is not None and len(h.times) > 1]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0)

    def field(self, method, batched: bool, steps: float) -> Field:
        """f as the solver takes it. The one place where that is decided: few steps, and implicit ones, have
        the VJP here, and the engine compiles the function itself for many explicit ones."""
        own = tableau_of(method).implicit or steps < MANY
        key = own, batched
        if key not in self._fields:
            matrix = None if batched else self.matrix
            self._fields[key] = Field(self.of_arrays, self.vjp if own else None, matrix)
        return self._fields[key]

    @property
    def _fields(self) -> dict:
        return self.__dict__.setdefault("_made", {})


@lru_cache(maxsize=64)
def rate_law(network: ReactionNetwork, temperature=None, fed=(), feed=None) -> RateLaw:
    """Kept, for graphs and what is compiled go with it: knots and places of fed species as tuples."""
    return RateLaw(network, temperature, fed, feed)
