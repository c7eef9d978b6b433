"""Identities 5 and 6: the linear-quadratic chain, where control, smoothing and back-propagation coincide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.algebra import Adjoint, Gaussian
from msgpass.graph import FactorGraph
from msgpass.identities.record import Identity
from msgpass.potentials import Loss, Quadratic, Step
from msgpass.run import run
from msgpass.schedule import ForwardOnly


class Control(NamedTuple):
    """x_{t+1} = A x_t + B u_t from ``start``, cost ½ Σ_t (x_t − r_t)ᵀQ(x_t − r_t) + ½ Σ_t u_tᵀ R u_t, t = 0 …
    T−1."""

    A: np.ndarray
    B: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    start: np.ndarray
    targets: np.ndarray


class LinearChain(NamedTuple):
    """x_0 ~ N(mean, cov), x_{t+1} = F x_t + N(0, Q), and a local factor exp(h_t·x_t − ½ x_tᵀ Λ_t x_t) at
    every step."""

    mean: np.ndarray
    cov: np.ndarray
    F: np.ndarray
    Q: np.ndarray
    h: np.ndarray
    precision: np.ndarray


def random_control(seed=0, size: int = 3, inputs: int = 1, length: int = 10) -> Control:
    """A random controllable problem with targets to track."""
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(size, size)) / np.sqrt(size), rng.normal(size=(size, inputs))
    return Control(
        A,
        B,
        _positive(rng, size),
        _positive(rng, inputs),
        rng.normal(size=size),
        rng.normal(size=(length, size)),
    )


def random_linear_chain(seed=0, size: int = 2, length: int = 6) -> LinearChain:
    """A random linear-Gaussian chain."""
    rng = np.random.default_rng(seed)
    F = rng.normal(size=(size, size)) / np.sqrt(size)
    local = np.stack([_positive(rng, size) for _ in range(length)])
    return LinearChain(
        rng.normal(size=size),
        _positive(rng, size),
        F,
        _positive(rng, size),
        rng.normal(size=(length, size)),
        local,
    )


def costate_is_message(control: Control | None = None, *, seed=0) -> Identity:
    """5. λ_t = Λ_t x_t − h_t with the local cost included, which is LQR's co-state P_t x_t − p_t (Riccati).

    The control cost makes each transition Gaussian with the singular covariance B R⁻¹ Bᵀ. ``p`` is the linear
    part that targets bring in; it is zero without them. Back-propagation through the plant under the optimal
    control gives the same λ.

    Parameters
    ----------
    control : Control, optional
        A random one by default.
    seed : int or numpy.random.Generator

    Examples
    --------
    >>> costate_is_message(seed=1).holds
    True
    """
    A, B, Q, R, start, targets = control = random_control(seed) if control is None else control
    m = run(_control_graph(control), Gaussian())
    x, said = m.belief["x"].mean, m.backward["x"]
    message = np.einsum("tij,tj->ti", said.precision + Q, x) - (said.h + targets @ Q)

    P, p = _riccati(control)
    states, inputs = [start], []
    for t in range(len(targets) - 1):
        gain = np.linalg.solve(R + B.T @ P[t + 1] @ B, B.T)
        inputs.append(gain @ (p[t + 1] - P[t + 1] @ A @ states[-1]))
        states.append(A @ states[-1] + B @ inputs[-1])
    costate = np.einsum("tij,tj->ti", P, np.array(states)) - p
    adjoint = run(_plant_graph(control, np.array(inputs)), Adjoint()).gradient["x"]
    return Identity(
        5,
        "costate_is_message",
        "λ_t = Λ_t x_t − h_t = LQR's co-state P_t x_t − p_t",
        "backward information message at the smoothed mean (Gaussian)",
        "Riccati recursion; adjoint of the controlled plant (Adjoint)",
        np.stack([message, message]),
        np.stack([costate, adjoint]),
        "Kalman 1960; Bryson & Ho 1975; Todorov 2008",
    )


def smoothing_is_optimising(chain: LinearChain | None = None, *, seed=0) -> Identity:
    """6. The smoothed mean is the MAP path, and ∂log Z/∂h_t is the posterior mean.

    The path solves the dense normal equations. log Z is quadratic in h, so that its central differences are
    exact.

    Parameters
    ----------
    chain : LinearChain, optional
        A random one by default.
    seed : int or numpy.random.Generator

    Examples
    --------
    >>> smoothing_is_optimising(seed=1).holds
    True
    """
    chain = random_linear_chain(seed) if chain is None else chain
    graph = _linear_graph(chain)
    m = run(graph, Gaussian())
    slope = np.empty_like(chain.h)
    for place in np.ndindex(chain.h.shape):
        sides = []
        for sign in (1.0, -1.0):
            h = chain.h.copy()
            h[place] += sign
            sides.append(run(graph, Gaussian(), ForwardOnly(), values={"h": h}).total)
        slope[place] = (sides[0] - sides[1]) / 2
    return Identity(
        6,
        "smoothing_is_optimising",
        "smoothed mean = MAP path; ∂log Z/∂h_t = posterior mean",
        "smoothed mean; message at h (Gaussian)",
        "least squares over whole paths; central differences of log Z",
        np.stack([m.belief["x"].mean, m.parameters["h"]]),
        np.stack([_least_squares(chain), slope]),
        "Rauch, Tung & Striebel 1965; Bell 1994",
    )


def _positive(rng: np.random.Generator, size: int) -> np.ndarray:
    root = rng.normal(size=(size, size))
    return root @ root.T / size + 0.5 * np.eye(size)


def _control_graph(control: Control) -> FactorGraph:
    A, B, Q, R, start, targets = control
    g = FactorGraph()
    x = g.sequence("x", length=len(targets), shape=start.shape)
    g.factor(Quadratic.prior(start, np.zeros((start.size, start.size))), x[0])
    noise = B @ np.linalg.solve(R, B.T)
    g.factor(Quadratic.linear_gaussian(A, (noise + noise.T) / 2), x[:-1], x[1:])
    g.factor(Quadratic(targets @ Q, Q), x[:])
    return g


def _plant_graph(control: Control, inputs: np.ndarray) -> FactorGraph:
    A, B, Q, _, start, targets = control
    g = FactorGraph()
    x = g.sequence("x", length=len(targets), shape=start.shape)
    # The last state has no successor, so that the last input acts on nothing.
    u, r = g.observe("u", np.vstack([inputs, np.zeros((1, B.shape[1]))])), g.observe("targets", targets)
    g.factor(Step(lambda s: s), g.parameter("start", start), out=x[0])
    g.factor(Step(lambda x, u: A @ x + B @ u), x[:-1], u[:-1], out=x[1:])
    g.factor(Loss(lambda x, r: (0.5 * (x - r) @ Q @ (x - r), (Q @ (x - r), None))), x[:], r[:])
    return g


def _riccati(control: Control) -> tuple[np.ndarray, np.ndarray]:
    """P_t = Q + Aᵀ P (I + S P)⁻¹ A and p_t = Q r_t + Aᵀ (I + P S)⁻¹ p, S = B R⁻¹ Bᵀ, P and p those of t +
    1."""
    A, B, Q, R, start, targets = control
    S, eye = B @ np.linalg.solve(R, B.T), np.eye(start.size)
    P, p = [Q], [Q @ targets[-1]]
    for target in targets[-2::-1]:
        p.insert(0, Q @ target + A.T @ np.linalg.solve(eye + P[0] @ S, p[0]))
        P.insert(0, Q + A.T @ P[0] @ np.linalg.solve(eye + S @ P[0], A))
    return np.array(P), np.array(p)


def _linear_graph(chain: LinearChain) -> FactorGraph:
    g = FactorGraph()
    x = g.sequence("x", length=len(chain.h), shape=chain.mean.shape)
    g.factor(Quadratic.prior(chain.mean, chain.cov), x[0])
    g.factor(Quadratic.linear_gaussian(chain.F, chain.Q), x[:-1], x[1:])
    g.factor(Quadratic(g.parameter("h", chain.h), chain.precision), x[:])
    return g


def _least_squares(chain: LinearChain) -> np.ndarray:
    """The path that maximises the joint density, by the normal equations over all steps at once."""
    length, size = chain.h.shape
    matrix, vector = np.zeros((length, size, length, size)), chain.h.copy()
    W = np.linalg.inv(chain.Q)
    matrix[0, :, 0] += np.linalg.inv(chain.cov)
    vector[0] += np.linalg.solve(chain.cov, chain.mean)
    for t in range(length):
        matrix[t, :, t] += chain.precision[t]
        if t + 1 < length:
            matrix[t, :, t] += chain.F.T @ W @ chain.F
            matrix[t, :, t + 1] -= chain.F.T @ W
            matrix[t + 1, :, t] -= W @ chain.F
            matrix[t + 1, :, t + 1] += W
    return np.linalg.solve(matrix.reshape(length * size, -1), vector.ravel()).reshape(length, size)
