"""``Queue``: one line before one or several servers."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError
from rnn.systems.queueing.disciplines import Servers
from rnn.systems.queueing.line import Line
from rnn.validation import whole


class Queue(Line):
    """Customers who come one after another to c servers and wait in one line.

    W_{n+1} = max(0, W_n + S_n − A_{n+1}) with one server (Lindley); with several, the sorted workloads of
    Kiefer and Wolfowitz.

    Parameters
    ----------
    arrival_rate, service_rate : float, optional
        λ and μ, of one server; by default those of the laws.
    customers : int, optional
        N; by default as many as times are given.
    arrivals, services : str, scipy's frozen distribution, or array
        Laws of the times between arrivals and of service: "M", "D", "E2", …; a distribution, drawn by inverse
        transform; or times, (N,) or (samples, N). Their rate scales them.
    servers : int
        c.
    samples : int, optional
        Independent paths.
    seed : int or numpy.random.Generator
    warm_up : int
        Customers at the start that do not count.
    measure : {"sojourn", "waiting"}
        The mean time that is differentiated: until a customer leaves, or until its service begins.
    start : float or (c,) array, optional
        Work at each server when the path begins.

    Examples
    --------
    >>> queue = Queue(0.5, 1.0, customers=5, seed=1)
    >>> queue.simulate().waiting.round(3)
    array([0.   , 0.   , 1.447, 0.   , 0.05 ])
    """

    def __init__(
        self,
        arrival_rate=None,
        service_rate=None,
        customers: int | None = None,
        *,
        arrivals="M",
        services="M",
        servers: int = 1,
        samples: int | None = None,
        seed=0,
        warm_up: int = 0,
        measure: str = "sojourn",
        start=None,
    ):
        servers = whole("servers", servers)
        rates, laws = (arrival_rate, [service_rate]), (arrivals, [services])
        super().__init__(
            Servers(servers), servers, rates, laws, customers, samples, seed, warm_up, measure, start
        )

    def _started(self, start: np.ndarray) -> np.ndarray:
        if start.shape not in ((), (self.servers,)) or not np.isfinite(start).all() or (start < 0).any():
            raise DataError(f"start is work ≥ 0 at each of {self.servers} servers, got {start}")
        return np.concatenate([[0.0], np.sort(np.broadcast_to(start, self.servers))])
