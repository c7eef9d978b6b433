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
    """h_t = tanh(W h_{t−1} + U x_t + b), o_t = V h_t + c, and a loss between o_t and y_t; NaN in y is
    missing.

    ``loss`` is "squared", ½ ‖o − y‖²; "poisson", exp(o) − y o; or "softmax", log Σ exp o − o_y with y the
    index, (T, 1).
    """

    W: np.ndarray
    U: np.ndarray
    b: np.ndarray
    V: np.ndarray
    c: np.ndarray
    h0: np.ndarray
    x: np.ndarray
    y: np.ndarray
    loss: str = "squared"


def random_network(seed=0, hidden: int = 4, inputs: int = 2, outputs: int = 2, length: int = 12) -> Network:
    """A network whose recurrent weights have spectral radius about 1."""
    rng = np.random.default_rng(seed)
    shapes = ((hidden, hidden), (hidden, inputs), (hidden,), (outputs, hidden), (outputs,), (hidden,))
    W, U, b, V, c, h0 = (rng.normal(size=shape) / np.sqrt(shape[-1]) for shape in shapes)
    return Network(W, U, b, V, c, h0, rng.normal(size=(length, inputs)), rng.normal(size=(length, outputs)))


def network_graph(network: Network) -> FactorGraph:
    """The network as a recurrence: sequence h; parameters W, U, b, V, c, h0."""
    g = FactorGraph()
    h = g.sequence("h", length=len(network.x), shape=(len(network.b),))
    given, target = g.observe("x", network.x), g.observe("y", network.y)
    names = ("W", "U", "b", "V", "c", "h0")
    W, U, b, V, c, h0 = (g.parameter(name, getattr(network, name)) for name in names)
    cell = Step(lambda h, x, W, U, b: np.tanh(h @ W.T + x @ U.T + b), vectorized=True)
    g.factor(cell, h.after(h0), given[:], W, U, b, out=h[:])
    value, slope = _LOSSES[network.loss]

    def error(h, y, V, c):
        o = V @ h + c
        at_o = slope(o, y)
        return float(value(o, y)), (V.T @ at_o, None, np.outer(at_o, h), at_o)

    g.factor(Loss(error), h[:], target[:], V, c)
    return g


def adjoint_is_slope(network: Network | None = None, *, seed=0) -> Identity:
    """4. λ_t = ∂L/∂h_t = −∇(log β_t + local evidence) at h_t, for a deterministic network.

    A network is a chain of transitions δ(h_t − f(h_{t−1})) with evidence exp(−loss), so that its exact
    backward message is log β_t(h) = −(loss still to come after t when at h). That function is evaluated by
    running the rest of the network from h, and differentiated by complex steps, Im J(h + iεe)/ε, which are
    exact to rounding.

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
        raise ShapeError(
            f"adjoint_is_slope takes a Network (W, U, b, V, c, h0, x, y, loss), got {type(network).__name__}"
        )
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
    W, U, b, V, c, _, x, y, loss = network
    value = _LOSSES[loss][0]
    total = np.zeros(len(h), h.dtype)
    for s in range(t, len(x)):
        if s > t:
            h = np.tanh(h @ W.T + U @ x[s] + b)
        if not np.isnan(y[s]).all():
            total = total + value(h @ V.T + c, y[s])
    return total


# Values over the last axis, real or complex, and slopes.
_LOSSES = {
    "squared": (lambda o, y: 0.5 * ((o - y) ** 2).sum(axis=-1), lambda o, y: o - y),
    "poisson": (lambda o, y: (np.exp(o) - y * o).sum(axis=-1), lambda o, y: np.exp(o) - y),
    "softmax": (
        lambda o, y: np.log(np.exp(o - o.real.max()).sum(axis=-1)) + o.real.max() - o[..., int(y[0])],
        lambda o, y: np.exp(o - np.logaddexp.reduce(o)) - np.eye(o.size)[int(y[0])],
    ),
}
