"""The graph of customers, one after another."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, Loss, Step


def step_of(f) -> Step:
    """The one place where functions become steps."""
    return Step(f, vectorized=True, kernel="auto")


def at_rate(base) -> Step:
    """Times at a rate, from those at the base rate."""

    def pull(inputs, cotangent):
        times, rate = inputs
        back = -cotangent * times * (base / rate**2)
        return None, back.sum(axis=tuple(range(back.ndim - rate.ndim)))

    return Step(lambda times, rate: times * (base / rate), pull, vectorized=True)


def lay_out(discipline, gaps: np.ndarray, services: np.ndarray, bases, of: str) -> FactorGraph:
    """The graph over (N, samples) gaps and (N, samples, K) services at base rates.

    ============= ===================== ================================================================
    arrival_rate  ()                    parameter λ
    service_rate  (K,)                  parameter μ
    start         (samples, columns)    parameter: the state before the first customer
    gap, service  (N, samples[, K])     times at these rates
    state         (N, samples, columns) what the customer finds and leaves, see the discipline
    weight        (N,)                  observation: what the customer's time counts
    price         (K,)                  observation: what a unit of each service rate costs
    ============= ===================== ================================================================
    """
    N, S, K = services.shape
    g = FactorGraph()
    rates = g.parameter("arrival_rate", bases[0]), g.parameter("service_rate", bases[1])
    start = g.parameter("start", np.zeros((S, discipline.width)))
    given = g.observe("gap at base", gaps), g.observe("service at base", services)
    weight, price = g.observe("weight", np.zeros(N)), g.observe("price", np.zeros(K))
    gap, service = g.sequence("gap", N, shape=(S,)), g.sequence("service", N, shape=(S, K))
    state = g.sequence("state", N, shape=(S, discipline.width))
    for times, base, rate, out in zip(given, bases, rates, (gap, service), strict=True):
        g.factor(at_rate(base), times[:], rate, out=out[:], name=f"{out.name} at rate")
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
