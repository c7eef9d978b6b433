"""Customers served by an event list, and dates of departure station by station."""

from __future__ import annotations

import heapq

import numpy as np


def served(gaps, services, servers, start=None):
    """Waiting times: each customer takes the server that is free first."""
    free = [0.0] * servers if start is None else list(start)
    heapq.heapify(free)
    now, waits = 0.0, []
    for gap, service in zip(gaps, services, strict=True):
        now += gap
        begins = max(now, heapq.heappop(free))
        waits.append(begins - now)
        heapq.heappush(free, begins + service)
    return np.array(waits)


def departures(gaps, services, buffers):
    """Dates at which customers leave each station, (N, K); they hold a place until the next one has room."""
    N, K = services.shape
    arrivals, D = np.cumsum(gaps), np.zeros((N, K))
    for n in range(N):
        ready = arrivals[n]
        for k in range(K):
            begins = max(ready, D[n - 1, k] if n else 0.0)
            ends = begins + services[n, k]
            if k + 1 < K and buffers[k + 1] is not None and n > buffers[k + 1]:
                ends = max(ends, D[n - buffers[k + 1] - 1, k + 1])
            D[n, k] = ready = ends
    return arrivals, D


def busy_since(waits):
    """For each customer, the one who began its busy period."""
    first, found = 0, []
    for n, w in enumerate(waits):
        first = first if w > 0 else n
        found.append(first)
    return found
