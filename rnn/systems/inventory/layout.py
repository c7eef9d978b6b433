"""The graph of an inventory, and which step it is made of."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, Loss, Step
from rnn.systems.inventory.costs import Costs
from rnn.systems.inventory.flow import Flow
from rnn.systems.inventory.network import Network
from rnn.systems.kinks import EXACT, SMOOTH


def step_of(f) -> Step:
    """The one place where functions become steps."""
    return Step(f, vectorized=True, kernel="auto")


def lay_out(network: Network, policy, demand: np.ndarray, weight: np.ndarray, smooth: bool) -> FactorGraph:
    """The graph over (T, samples, E) demand, with (T,) weights of the periods' costs.

    ========== ==================== ================================================================
    start      (samples, columns)   parameter: the state before the first period
    orders     (T, samples, A)      observation: what is ordered, in addition to what the policy says
    levels, …  ([T,] samples, F)    of the policy: parameters; observations where there is one a period
    placed     (T, samples, A)      what is ordered in all
    state      (T, samples, columns) at the end of each period
    ========== ==================== ================================================================
    """
    T, S, _ = demand.shape
    kink = SMOOTH if smooth else EXACT
    flow, costs = Flow(network, policy, kink, smooth), Costs(network, kink, smooth)
    g = FactorGraph()
    start = g.parameter("start", np.broadcast_to(network.start, (S, network.width)))
    names = () if policy is None else policy.names
    rows = S, len(network.facilities)
    if policy is not None and policy.kind[-1]:
        shared: list = [g.observe(n, np.zeros((T, *rows)))[:] for n in names]
    else:
        shared = [g.parameter(n, np.zeros(rows)) for n in names]
    extra = g.observe("orders", np.zeros((T, S, len(network.supplies))))
    wanted, weights = g.observe("demand", demand), g.observe("weight", weight)
    width = [g.observe("width", 0.0)] if smooth else []
    state = g.sequence("state", T, shape=(S, network.width))
    placed = g.sequence("placed", T, shape=(S, len(network.supplies)))
    before = state.after(start)
    g.factor(step_of(flow), before, extra[:], wanted[:], *shared, *width, out=state[:], name="flow")
    if policy is None:
        g.factor(Step(lambda x: x, lambda _, c: (c,), vectorized=True), extra[:], out=placed[:], name="order")
    else:
        g.factor(step_of(flow.placed), before, extra[:], *shared, *width, out=placed[:], name="order")
    g.factor(Loss(costs.stock_loss, vectorized=True), state[:], weights[:], *width, name="stock cost")
    g.factor(Loss(costs.order_loss, vectorized=True), placed[:], weights[:], name="order cost")
    return g
