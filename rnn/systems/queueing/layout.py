"""The graph of customers, one after another."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, Loss, Step


def step_of(f) -> Step:
    """The one place where functions become steps."""
    return Step(f, vectorized=True, kernel="auto")


def over_rate(unit, rate):
    """Times at a rate."""
    return unit / rate


def lay_out(discipline, gaps: np.ndarray, services: np.ndarray, of: str) -> FactorGraph:
    """The graph over (N, samples) unit gaps and (N, samples, K) unit services.

    ============= ===================== ================================================================
    arrival_rate  ()                    parameter λ
    service_rate  (K,)                  parameter μ
    start         (samples, columns)    parameter: the state before the first customer
    gap, service  (N, samples[, K])     times, unit times over the rate
    state         (N, samples, columns) what the customer finds and leaves, see the discipline
    weight        (N,)                  observation: what the customer's time counts
    price         (K,)                  observation: what a unit of each service rate costs
    ============= ===================== ================================================================
    """
    N, S, K = services.shape
    g = FactorGraph()
    rates = g.parameter("arrival_rate", 1.0), g.parameter("service_rate", np.ones(K))
    start = g.parameter("start", np.zeros((S, discipline.width)))
    units = g.observe("unit gap", gaps), g.observe("unit service", services)
    weight, price = g.observe("weight", np.zeros(N)), g.observe("price", np.zeros(K))
    gap, service = g.sequence("gap", N, shape=(S,)), g.sequence("service", N, shape=(S, K))
    state = g.sequence("state", N, shape=(S, discipline.width))
    for unit, rate, times in zip(units, rates, (gap, service), strict=True):
        g.factor(Step(over_rate, _pull_rate, vectorized=True), unit[:], rate, out=times[:])
    g.factor(
        step_of(discipline), state.after(start), gap[:], service[:], out=state[:], name=discipline.__name__
    )
    a, b = discipline.measure(of)

    def delay(state, service, weight):
        w = weight[..., None]
        value = float(np.sum(w * (state @ a + service @ b)))
        return value, (w[..., None] * a * np.ones((S, 1)), w[..., None] * b * np.ones((S, 1)), None)

    g.factor(Loss(delay, vectorized=True), state[:], service[:], weight[:], name=of)
    g.factor(Loss(lambda mu, c: (float(mu @ c), (c, None))), rates[1], price, name="service cost")
    return g


def _pull_rate(inputs, cotangent):
    unit, rate = inputs
    back = -cotangent * unit / rate**2
    return None, back.sum(axis=tuple(range(back.ndim - rate.ndim)))
