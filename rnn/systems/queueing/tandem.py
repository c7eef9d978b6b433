"""``Tandem``: stations one after another."""

from __future__ import annotations

import numpy as np

from msgpass.errors import ShapeError
from rnn.systems.queueing.disciplines import Stations
from rnn.systems.queueing.line import Line
from rnn.validation import whole


class Tandem(Line):
    """Customers who pass K stations in their order, a server at each.

    D_{n,k} = max(D_{n,k−1}, D_{n−1,k}) + S_{n,k}; behind a full buffer a customer stays where it is (blocking
    after service), D_{n,k} ≥ D_{n−b−1,k+1}.

    Parameters
    ----------
    arrival_rate : float, optional
    service_rates : (K,) sequence of floats or None
        None: that of the station's law.
    customers : int, optional
    arrivals : law
        As of a :class:`Queue`.
    services : law, or list of K laws
    buffers : (K,) sequence of ints or None, optional
        Places before each station; None is no limit, and the first has none.
    samples, seed, warm_up, measure
        As of a :class:`Queue`. Time during which a customer is blocked counts as waiting.

    Examples
    --------
    >>> line = Tandem(0.5, [1.0, 0.8], customers=1000)
    >>> line.gradient().service_rates.shape
    (2,)
    """

    def __init__(
        self,
        arrival_rate,
        service_rates,
        customers: int | None = None,
        *,
        arrivals="M",
        services="M",
        buffers=None,
        samples: int | None = None,
        seed=0,
        warm_up: int = 0,
        measure: str = "sojourn",
    ):
        if np.ndim(service_rates) != 1 or not len(service_rates):
            raise ShapeError(f"service_rates has one rate a station, at least one, got {service_rates!r}")
        rates = list(service_rates)
        laws = list(services) if isinstance(services, list | tuple) else [services] * len(rates)
        if buffers is not None and np.ndim(buffers) != 1:
            raise ShapeError(f"buffers has one number of places a station, or None for it, got {buffers!r}")
        places = [None] * len(rates) if buffers is None else list(buffers)
        if not len(laws) == len(places) == len(rates):
            raise ShapeError(
                f"{len(rates)} service rates, {len(laws)} laws and {len(places)} buffers; one of each a "
                "station"
            )
        if places[0] is not None:
            raise ShapeError(
                "the first station's buffer has no limit: customers who came cannot be sent back"
            )
        places = [b if b is None else whole(f"buffer {k}", b, least=0) for k, b in enumerate(places)]
        super().__init__(
            Stations(places), 1, (arrival_rate, rates), (arrivals, laws), customers, samples, seed, warm_up,
            measure, None,
        )  # fmt: skip
