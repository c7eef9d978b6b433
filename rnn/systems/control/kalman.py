"""The Kalman filter of a controlled plant: gains from the forward messages of a chain, estimates step by
step.

x_0 ~ N(mean, cov),   x_{t+1} = A x_t + B u_t + b + N(0, W),   y_t = C x_t + N(0, V)

Covariances depend on no data, so that one run without any gives every gain before the plant moves:

    P_{t|t} from the messages,   P_{t+1|t} = A P_{t|t} Aᵀ + W,   L_t = P_{t|t−1}Cᵀ (C P_{t|t−1}Cᵀ + V)⁻¹
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Gaussian, Messages, Quadratic, run
from rnn.systems.control.problem import Stages


class Observer(NamedTuple):
    """How a plant is seen: C (1|T, p, n), process noise W (1|T, n, n), measurement noise V (1|T, p, p), and
    x_0 ~ N(mean, cov)."""

    C: np.ndarray
    W: np.ndarray
    V: np.ndarray
    mean: np.ndarray
    cov: np.ndarray


class FilterGains(NamedTuple):
    """L_t (T, n, p), covariances before and after the measurement of each step (T, n, n)."""

    gain: np.ndarray
    predicted: np.ndarray
    filtered: np.ndarray


def observed_graph(stages: Stages, observer: Observer, y: np.ndarray, inputs: np.ndarray) -> FactorGraph:
    """The chain of T states behind measurements ``y`` (T, p) under known ``inputs`` (T, m); NaN is
    missing.
    """
    T, n = len(y), observer.C.shape[-1]
    g = FactorGraph()
    x = g.sequence("x", length=T, shape=(n,))
    g.factor(Quadratic.prior(observer.mean, observer.cov), x[0])
    if T > 1:
        pushed = stages.b + (stages.B @ np.broadcast_to(inputs, (T, inputs.shape[-1]))[..., None])[..., 0]
        arrays = (stages.A, observer.W, pushed)
        A, W, b = (part[:-1] if len(part) > 1 else part[0] for part in arrays)
        g.factor(Quadratic.linear_gaussian(A, W, b), x[:-1], x[1:])
    C, V = (part if len(part) > 1 else part[0] for part in (observer.C, observer.V))
    g.factor(Quadratic.observation(C, V), x[:], g.observe("y", y)[:])
    return g


def filter_gains(stages: Stages, observer: Observer) -> FilterGains:
    """Gains of every step, from one run over measurements that are all 0."""
    T, p = stages.horizon, observer.C.shape[-2]
    zero = np.zeros((T, p)), np.zeros((T, stages.B.shape[-1]))
    filtered = run(observed_graph(stages, observer, *zero), Gaussian(), ForwardOnly()).forward["x"].cov
    A, W = (np.broadcast_to(part, (T, *part.shape[1:]))[:-1] for part in (stages.A, observer.W))
    later = A @ filtered[:-1] @ np.swapaxes(A, 1, 2) + W
    predicted = np.concatenate([observer.cov[None], later])
    C = np.broadcast_to(observer.C, (T, *observer.C.shape[1:]))
    cross = predicted @ np.swapaxes(C, 1, 2)
    gain = np.swapaxes(np.linalg.solve(C @ cross + observer.V, np.swapaxes(cross, 1, 2)), 1, 2)
    return FilterGains(gain, predicted, filtered)


def filtered_states(stages: Stages, observer: Observer, y: np.ndarray, inputs: np.ndarray) -> Messages:
    """The run over a whole record, whose forward messages are what the filter knew at each step."""
    return run(observed_graph(stages, observer, y, inputs), Gaussian())
