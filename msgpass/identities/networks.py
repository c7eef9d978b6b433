"""Identity 4: what back-propagation sends back is the slope of an exact backward message."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.algebra import Adjoint
from msgpass.errors import ShapeError
from msgpass.graph import FactorGraph
from msgpass.identities.record import Identity
from msgpass.potentials import Loss, Step
from msgpass.run import run


class Network(NamedTuple):
    """h_t = tanh(W h_{t−1} + U x_t + b) with the loss Σ_t ½ ‖y_t − V h_t − c‖²; NaN in y is missing."""

    W: np.ndarray
    U: np.ndarray
    b: np.ndarray
    V: np.ndarray
    c: np.ndarray
    h0: np.ndarray
    x: np.ndarray
    y: np.ndarray


def random_network(seed=0, hidden: int = 4, inputs: int = 2, outputs: int = 2, length: int = 12) -> Network:
    """A network whose recurrent weights have spectral radius about 1."""
    rng = np.random.default_rng(seed)
    shapes = ((hidden, hidden), (hidden, inputs), (hidden,), (outputs, hidden), (outputs,), (hidden,))
    weights = [rng.normal(size=shape) / np.sqrt(shape[-1]) for shape in shapes]
    return Network(*weights, rng.normal(size=(length, inputs)), rng.normal(size=(length, outputs)))


def network_graph(network: Network) -> FactorGraph:
    """The network as a recurrence: sequence h; parameters W, U, b, V, c, h0."""
    W, U, b, V, c, h0, x, y = network
    g = FactorGraph()
    h = g.sequence("h", length=len(x), shape=(W.shape[0],))
    given, target = g.observe("x", x), g.observe("y", y)
    W, U, b, V, c, h0 = (g.parameter(name, value) for name, value in zip(("W", "U", "b", "V", "c", "h0"), network[:6], strict=True))
    g.factor(Step(lambda h, x, W, U, b: np.tanh(h @ W.T + x @ U.T + b), vectorized=True), h.after(h0), given[:], W, U, b, out=h[:])
    g.factor(Loss(_squared_error), h[:], target[:], V, c)
    return g


def _squared_error(h, y, V, c):
    gap = V @ h + c - y
    return 0.5 * (gap**2).sum(), (V.T @ gap, -gap, np.outer(gap, h), gap)


def adjoint_is_slope(network: Network | None = None, *, seed=0) -> Identity:
    """4. λ_t = ∂L/∂h_t = −∇(log β_t + local evidence) at h_t, for a deterministic network.

    A network is a chain of transitions δ(h_t − f(h_{t−1})) with evidence exp(−loss), so that its exact backward message is
    log β_t(h) = −(loss still to come after t when at h). That function is evaluated by running the rest of the network from
    h, and differentiated by complex steps, Im J(h + iεe)/ε, which are exact to rounding.

    Parameters
    ----------
    network : Network, optional
        A random one by default.
    seed : int or numpy.random.Generator

    Examples
    --------
    >>> adjoint_is_slope(seed=1).holds
    True
    """
    network = random_network(seed) if network is None else network
    if not isinstance(network, Network):
        raise ShapeError(f"adjoint_is_slope takes a Network (W, U, b, V, c, h0, x, y), got {type(network).__name__}")
    m = run(network_graph(network), Adjoint())
    h = m.forward["h"]
    tiny = 1e-40
    slope = np.empty_like(h)
    for t in range(len(h)):
        moved = h[t] + 1j * tiny * np.eye(h.shape[1])
        slope[t] = loss_to_come(network, t, moved).imag / tiny
    return Identity(
        4,
        "adjoint_is_slope",
        "λ_t = −∇(log β_t + local evidence) at h_t",
        "adjoint λ_t of back-propagation through time (Adjoint)",
        "slope of the loss still to come, run from h_t (complex step)",
        m.gradient["h"],
        slope,
        "Dauwels, Korl & Loeliger 2005; Minka 2019; Eaton 2022",
    )


def loss_to_come(network: Network, t: int, h: np.ndarray) -> np.ndarray:
    """−(log β_t + local evidence)(h): the losses from t on, for every row of h (N, H), real or complex."""
    W, U, b, V, c, _, x, y = network
    total = np.zeros(len(h), h.dtype)
    for s in range(t, len(x)):
        if s > t:
            h = np.tanh(h @ W.T + U @ x[s] + b)
        if not np.isnan(y[s]).all():
            total = total + 0.5 * ((h @ V.T + c - y[s]) ** 2).sum(axis=1)
    return total
