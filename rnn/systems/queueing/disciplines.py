"""One customer: straight-line NumPy on the last axis, (state, gap, service) → state.

    servers     V⁺ = (V − A)⁺ sorted, W = V⁺_1, then S joins V⁺_1     (Lindley 1952; Kiefer & Wolfowitz 1955)
    stations    D_k = max(D_{k−1}, D_k before) + S_k                  times since the customer's arrival
    blocking    D_k ≥ D_{k+1} of the customer b + 1 before            it stays at k while the buffer is full

A is the gap since the customer before, so that times since an arrival are those of the one before less A.
"""

from __future__ import annotations

import numpy as np

from rnn.systems.kinks import larger, positive, smaller


class Servers:
    """c servers, one line, first come first served. Columns: the wait W, then c workloads after the arrival,
    ascending.
    """

    __name__ = "servers"
    stations = 1

    def __init__(self, servers: int):
        self.servers = servers
        self.width = 1 + servers

    def __call__(self, state, gap, service):
        left = [positive(state[..., 1 + k] - gap) for k in range(self.servers)]
        carried, sorted_ = left[0] + service[..., 0], []
        for other in left[1:]:
            sorted_.append(smaller(carried, other))
            carried = larger(carried, other)
        return np.stack([left[0], *sorted_, carried], axis=-1)

    def measure(self, of: str) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of the state and of service times."""
        return np.eye(self.width)[0], np.array([float(of == "sojourn")])


class Stations:
    """K stations one after another, a server each. Columns: of each station, the departures of the last
    customers, latest first: one, or b + 1 where the buffer in front of the station has b places.
    """

    __name__ = "stations"

    def __init__(self, buffers: list[int | None]):
        self.buffers, self.stations = buffers, len(buffers)
        lengths = [1 if b is None else b + 1 for b in buffers]
        self.first = np.concatenate([[0], np.cumsum(lengths)]).tolist()
        self.width = self.first[-1]

    def __call__(self, state, gap, service):
        before = [state[..., c] - gap for c in range(self.width)]
        now: list = []
        for k in range(self.stations):
            free = before[self.first[k]]
            begins = larger(now[-1], free) if now else positive(free)
            ends = begins + service[..., k]
            if k + 1 < self.stations and self.buffers[k + 1] is not None:
                ends = larger(ends, before[self.first[k + 2] - 1])
            now.append(ends)
        columns = []
        for k in range(self.stations):
            columns += [now[k], *before[self.first[k] : self.first[k + 1] - 1]]
        return np.stack(columns, axis=-1)

    def measure(self, of: str) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of the state and of service times."""
        return np.eye(self.width)[self.first[-2]], np.full(self.stations, -float(of == "waiting"))
