"""Systems of the case of that name: each as msgpass has it, and as a loop over torch numbers."""

from __future__ import annotations

import numpy as np

from benchmarks import peers
from benchmarks.harness import Contender

LEVEL, START, CAPACITY, HOLDING, BACKLOG, PRICE = 20.0, 15.0, 9.0, 1.0, 9.0, 0.5
RATES, END = {"k1": 1.0, "k2": 0.5}, 2.0


def demand(steps: int) -> np.ndarray:
    return np.random.default_rng(0).gamma(4.0, 1.2, steps)


def inventory(steps: int) -> Contender:
    """A shop whose orders take two periods, under a base-stock rule with a capacity."""
    from rnn.systems.inventory import BaseStock, Facility, Inventory, Supply

    shop = Facility("shop", holding=HOLDING, backlog=BACKLOG, stock=START)
    problem = Inventory(shop, Supply("shop", lead_time=2, cost=PRICE, capacity=CAPACITY), demand(steps))

    def gradient() -> dict[str, object]:
        found = problem.gradient(BaseStock(LEVEL))
        return {"cost": found.cost, "level": np.ravel(found.policy["levels"])[0]}

    return gradient


def torch_inventory(steps: int) -> Contender:
    torch = peers.require("torch")
    asked = torch.tensor(demand(steps)).unbind()

    def gradient() -> dict[str, object]:
        level = torch.tensor(LEVEL, dtype=torch.float64, requires_grad=True)
        zero = torch.zeros((), dtype=torch.float64)
        stock, due, later, stocks, orders = zero + START, zero, zero, [], []
        for d in asked:
            order = torch.clamp(level - (stock + due + later), 0.0, CAPACITY)
            stock = stock + due - d
            due, later = later, order
            stocks.append(stock)
            orders.append(order)
        left, placed = torch.stack(stocks), torch.stack(orders)
        cost = (HOLDING * left.clamp(min=0) + BACKLOG * (-left).clamp(min=0) + PRICE * placed).sum()
        cost.backward()
        return {"cost": cost.item(), "level": level.grad.item()}

    return gradient


def queue(steps: int) -> Contender:
    """Work in slots of time, h ← max(0, h + a − σ)."""
    from rnn.systems.queueing import SlottedQueue

    slots = SlottedQueue(demand(steps), rate=5.0)

    def gradient() -> dict[str, object]:
        found = slots.gradient()
        return {"cost": found.total, "rate": found.rate}

    return gradient


def torch_queue(steps: int) -> Contender:
    torch = peers.require("torch")
    arrivals = torch.tensor(demand(steps))

    def gradient() -> dict[str, object]:
        rate = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
        length, lengths = torch.zeros((), dtype=torch.float64), []
        for change in (arrivals - rate).unbind():
            length = torch.relu(length + change)
            lengths.append(length)
        cost = torch.stack(lengths).sum()
        cost.backward()
        return {"cost": cost.item(), "rate": rate.grad.numpy()}

    return gradient


def kinetics(steps: int) -> Contender:
    """A → B → C by Euler's method; what is left of B."""
    from rnn.systems.kinetics import ReactionNetwork, Reactor

    network = ReactionNetwork("k1: A -> B; k2: B -> C")
    reactor = Reactor(network, RATES, {"A": 1.0}, END, method="euler", step=END / steps)

    def gradient() -> dict[str, object]:
        found = reactor.gradient("B")
        return {"B": found.value, **found.rates}

    return gradient


def torch_kinetics(steps: int) -> Contender:
    torch = peers.require("torch")
    change = torch.tensor([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]], dtype=torch.float64) * (END / steps)

    def gradient() -> dict[str, object]:
        k = torch.tensor(list(RATES.values()), dtype=torch.float64, requires_grad=True)
        scaled = k[:, None] * change
        c = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
        for _ in range(steps):
            c = c + c[:2] @ scaled
        c[1].backward()
        return {"B": c[1].item()} | dict(zip(RATES, k.grad.numpy(), strict=True))

    return gradient
