"""One period: what arrives, what is sent to whom, what is left. Straight-line NumPy on the last axis.

y′ = y + Σ arrivals − Σ new claims (+ what is lost)
sent to claimant k: min(claims, stock) by the rule of the facility; what it lacks is owed
"""

from __future__ import annotations

import numpy as np

from rnn.systems.inventory.network import OUTSIDE, Network
from rnn.systems.kinks import Kink


class Flow:
    """(state, orders, demand) → state, each (…, columns); with ``policy`` its own arrays follow, and with a
    smooth ``kink`` its width.
    """

    __name__ = "flow"

    def __init__(self, network: Network, policy, kink: Kink, smooth: bool):
        self.network, self.policy, self.kink, self.smooth = network, policy, kink, smooth

    def placed(self, state, extra, *arrays):
        """What is ordered: what the policy says at the start of the period, plus ``extra``."""
        if self.policy is None:
            return extra
        return extra + self.policy.orders(self.network, state, arrays, self._positive(arrays))

    def __call__(self, state, extra, demand, *arrays):
        net, positive = self.network, self._positive(arrays)
        placed = self.placed(state, extra, *arrays)
        orders = [placed[..., a] for a in range(len(net.supplies))]
        sent: list = [None if i is not None else x for i, x in zip(net.supplier, orders, strict=True)]
        after: list = [None] * net.width
        for i in net.flow:
            y = state[..., i]
            inflow = None
            for a in net.into[i]:
                arrives = state[..., net.transit[a].stop - 1] if net.supplies[a].lead_time else sent[a]
                inflow = arrives if inflow is None else inflow + arrives
            new = [demand[..., net.served.index(i)] if k == OUTSIDE else orders[k] for k in net.claims[i]]
            self._serve(i, y, inflow, new, state, sent, after, positive)
        for a, columns in enumerate(net.transit):
            for c in range(columns.start, columns.stop):
                after[c] = sent[a] if c == columns.start else state[..., c - 1]
        return np.stack(after, axis=-1)

    def _positive(self, arrays):
        if not self.smooth:
            return self.kink.positive
        return lambda x: self.kink.positive(x, arrays[-1])

    def _serve(self, i, y, inflow, new, state, sent, after, positive) -> None:
        net, facility = self.network, self.network.facilities[i]
        claims = net.claims[i]
        if not claims:
            after[i] = y + inflow
        elif len(claims) == 1 and i in net.lost:
            missing = new[0] - (y + inflow)
            after[i], after[net.lost[i]] = positive(-missing), positive(missing)
        elif len(claims) == 1:
            after[i] = y + inflow - new[0]
            if claims[0] != OUTSIDE:
                sent[claims[0]] = positive(-y) + new[0] - positive(-after[i])
        else:
            stock = positive(y) + inflow
            wanted = [
                state[..., net.owed[i, k]] + x if (i, k) in net.owed else x
                for k, x in zip(claims, new, strict=True)
            ]
            rule = _by_priority if facility.allocation == "priority" else _in_proportion
            left = y + inflow - sum(new)
            for k, w, s in zip(claims, wanted, rule(stock, wanted, positive), strict=True):
                if (i, k) in net.owed:
                    after[net.owed[i, k]] = w - s
                else:
                    after[net.lost[i]] = w - s
                    left = left + (w - s)
                if k != OUTSIDE:
                    sent[k] = s
            after[i] = left


def _in_proportion(stock, wanted, positive) -> list:
    """Each the same part of its claim: w_k min(1, stock / Σ w)."""
    every = sum(wanted)
    part = (every - positive(every - stock)) / np.where(every > 0, every, 1.0)
    return [w * part for w in wanted]


def _by_priority(stock, wanted, positive) -> list:
    """The first takes what it wants of what there is, the next of what is left."""
    sent = []
    for w in wanted:
        sent.append(w - positive(w - stock))
        stock = stock - sent[-1]
    return sent
