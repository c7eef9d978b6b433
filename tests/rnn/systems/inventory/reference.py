"""Goods moved one lot at a time, by rules written as a clerk would; and networks drawn by Hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from rnn.systems.inventory import Facility, Inventory, Supply


class Clerk:
    """One sample. Orders are given, (T, A), or asked of ``decide(self, t)``."""

    def __init__(self, facilities, supplies, demand: dict[str, np.ndarray], discount=1.0):
        self.facilities = {f.name: f for f in facilities}
        self.supplies, self.demand, self.discount = list(supplies), demand, discount
        self.hand = {f.name: max(f.stock, 0.0) for f in facilities}
        self.owed: dict = {}
        for f in facilities:
            claims = self.claims(f.name)
            for k in claims:
                self.owed[f.name, k] = 0.0
            waiting = [k for k in claims if not (k == "outside" and f.lost_sales)]
            if f.stock < 0:
                self.owed[f.name, waiting[0]] = -f.stock
        self.coming: list[tuple[int, int, float]] = []  # (period due, arc, amount)
        for a, s in enumerate(self.supplies):
            amounts = np.broadcast_to(s.in_transit, s.lead_time)
            self.coming += [(k, a, float(x)) for k, x in enumerate(amounts)]
        self.cost, self.stocks = 0.0, []
        self.ordered, self.claimed = np.zeros(len(self.supplies)), dict.fromkeys(self.facilities, 0.0)

    def claims(self, name):
        outside = ["outside"] if name in self.demand else []
        return outside + [a for a, s in enumerate(self.supplies) if s.supplier == name]

    def net(self, name):
        return self.hand[name] - sum(v for (i, _), v in self.owed.items() if i == name)

    def run(self, periods, decide):
        for t in range(periods):
            orders = decide(self, t)
            self.period(t, orders)
        return self.cost

    def period(self, t, orders):
        self.ordered += orders
        paid, lost = 0.0, {}
        waiting = list(self.facilities)
        for due, a, amount in self.coming:
            if due == t:
                self.hand[self.supplies[a].customer] += amount
        self.coming = [lot for lot in self.coming if lot[0] != t]
        for a, s in enumerate(self.supplies):
            paid += s.cost * orders[a] + 0.5 * s.quadratic * orders[a] ** 2 + s.fixed * (orders[a] > 1e-9)
            if s.supplier is None:
                self.send(t, a, orders[a])
        while waiting:  # whoever waits for nobody of this period
            ready = [
                n
                for n in waiting
                if not any(
                    s.customer == n and s.supplier in waiting and s.lead_time == 0 for s in self.supplies
                )
            ]
            waiting.remove(ready[0])
            lost |= self.serve(t, ready[0], orders)
        for name, f in self.facilities.items():
            y = self.net(name)
            short = lost[name] if name in lost else max(-y, 0.0)
            paid += f.holding * max(y, 0.0) + f.backlog * short + 0.5 * f.quadratic * (y - f.target) ** 2
        self.stocks.append([self.net(n) for n in self.facilities])
        self.cost += self.discount**t * paid

    def send(self, t, a, amount):
        s = self.supplies[a]
        if s.lead_time:
            self.coming.append((t + s.lead_time, a, amount))
        else:
            self.hand[s.customer] += amount

    def serve(self, t, name, orders):
        claims = self.claims(name)
        for k in claims:
            asked = self.demand[name][t] if k == "outside" else orders[k]
            self.owed[name, k] += asked
            self.claimed[name] += asked
        wanted = {k: self.owed[name, k] for k in claims}
        if self.facilities[name].allocation == "priority" or sum(wanted.values()) <= self.hand[name]:
            for k in claims:
                self.give(t, name, k, min(wanted[k], self.hand[name]))
        else:
            part = self.hand[name] / sum(wanted.values())
            for k in claims:
                self.give(t, name, k, wanted[k] * part)
        if self.facilities[name].lost_sales and "outside" in claims:
            missed = self.owed[name, "outside"]
            self.owed[name, "outside"] = 0.0
            self.claimed[name] -= missed
            return {name: missed}
        return {}

    def give(self, t, name, k, amount):
        self.hand[name] -= amount
        self.owed[name, k] -= amount
        if k != "outside":
            self.send(t, k, amount)


def up_to(levels, start, capacities):
    """Base stock by book-keeping: position = at the start + ordered − claimed, each supplied by one arc."""

    def decide(clerk, t):
        orders = np.zeros(len(clerk.supplies))
        for a, s in enumerate(clerk.supplies):
            position = start[s.customer] + clerk.ordered[a] - clerk.claimed[s.customer]
            orders[a] = min(max(levels[s.customer] - position, 0.0), capacities[a])
        return orders

    return decide


@st.composite
def trees(draw, samples=2, largest=4):
    """An inventory whose facilities have one supplier each, and its demand by sample."""
    count, T = draw(st.integers(1, largest)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    supplier = [None if i == 0 else draw(st.sampled_from([None, *range(i)])) for i in range(count)]
    leaves = [i for i in range(count) if i not in supplier]
    served = sorted({*leaves, *draw(st.sets(st.integers(0, count - 1)))})
    facilities = [
        Facility(
            f"f{i}",
            *rng.uniform(0.1, 2.0, 3),
            target=rng.normal(),
            stock=(0.0 if lost else -3.0) + rng.uniform(0, 12),
            lost_sales=lost,
            allocation=draw(st.sampled_from(["proportional", "priority"])),
        )
        for i in range(count)
        for lost in [draw(st.booleans())]
    ]
    supplies = []
    for i in range(count):
        lead = draw(st.integers(0, 3))
        supplies.append(
            Supply(
                f"f{i}",
                None if supplier[i] is None else f"f{supplier[i]}",
                lead,
                *rng.uniform(0.0, 1.0, 3),
                capacity=draw(st.sampled_from([np.inf, 9.0])),
                in_transit=tuple(rng.uniform(0, 5, lead)),
            )
        )
    demand = {f"f{i}": rng.gamma(2.0, 3.0, (samples, T)) for i in served}
    return Inventory(facilities, supplies, demand, discount=draw(st.sampled_from([1.0, 0.9])))


def given(problem, sample):
    """Demand of one sample, by name."""
    names = [problem.facilities[i].name for i in problem.network.served]
    return {n: problem.demand[:, sample, k] for k, n in enumerate(names)}


def clerk_of(problem, sample) -> Clerk:
    return Clerk(problem.facilities, problem.supplies, given(problem, sample), problem.discount)


def random_orders(problem, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.0, 9.0, (problem.periods, len(problem.supplies)))


def differences(f, x, step=1e-5):
    """Central differences where both sides agree, NaN at kinks."""
    found = np.full(x.shape, np.nan)
    middle = f(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = step
        right, left = (f(x + e) - middle) / step, (middle - f(x - e)) / step
        if abs(right - left) < 1e-2 * (1 + abs(right)) * step**0.25:
            found[i] = (right + left) / 2
    return found
