"""What :class:`Queue` and :class:`Tandem` share: customers that come one after another, run, differentiated,
tuned."""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages, run
from msgpass.errors import DataError, ShapeError
from rnn.systems.queueing.estimates import LongRun, batch_means, check_stable
from rnn.systems.queueing.laws import alike, times_of
from rnn.systems.queueing.layout import lay_out
from rnn.systems.queueing.results import QueueGradient, QueuePath, Tuned
from rnn.systems.queueing.tuning import prices_of, tune
from rnn.validation import generator, one_of, real_array, whole


class Line:
    """Abstract: a subclass hands over its discipline and what loads it."""

    def __init__(self, discipline, servers, rates, laws, customers, samples, seed, warm_up, measure, start):
        rng = generator(seed)
        customers = None if customers is None else whole("customers", customers)
        samples = None if samples is None else whole("samples", samples)
        arrival_rate, service_rates = rates
        arrivals, services = laws
        gaps = times_of("interarrival times", arrivals, arrival_rate, customers, samples, rng)
        customers = len(gaps.at_base) if customers is None else customers
        served = [
            times_of(f"service times{where}", law, rate, customers, samples, rng)
            for where, law, rate in zip(_where(services), services, service_rates, strict=True)
        ]
        stacked = np.stack(np.broadcast_arrays(*(s.at_base for s in served)), axis=-1)
        count = alike(gaps, stacked)
        self.discipline, self.servers = discipline, servers
        self.measure = one_of("measure", measure, ("sojourn", "waiting"))
        self.arrival_rate, self.service_rates = gaps.rate, np.array([s.rate for s in served])
        self.sampled = gaps.sampled or any(s.sampled for s in served)
        N, K = len(stacked), stacked.shape[-1]
        if customers != N:
            raise ShapeError(
                f"customers is {customers}, but times are given for {N}; leave it out, or cut the times"
            )
        self.base_gaps = np.broadcast_to(gaps.at_base, (N, count))
        self.base_services = np.broadcast_to(stacked, (N, count, K))
        self.base_rates = gaps.base, np.array([s.base for s in served])
        self.warm_up = whole("warm_up", warm_up, least=0)
        if self.warm_up >= N:
            raise ShapeError(f"warm_up leaves out {self.warm_up} of {N} customers; at least one must count")
        self.start = self._start(start)
        self._graph: FactorGraph | None = None

    @property
    def customers(self) -> int:
        """N."""
        return len(self.base_gaps)

    @property
    def rho(self) -> float:
        """Load of the busiest station: λ / (c μ)."""
        return float((self.arrival_rate / (self.servers * self.service_rates)).max())

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"<{kind}: {self.customers} customers, λ {self.arrival_rate:.4g}, ρ {self.rho:.4g}>"

    # -- running -----------------------------------------------------------------------------------------

    def graph(self) -> FactorGraph:
        """The factor graph, made once; :meth:`messages` hands it rates."""
        if self._graph is None:
            self._graph = lay_out(
                self.discipline, self.base_gaps, self.base_services, self.base_rates, self.measure
            )
        return self._graph

    def messages(
        self, service_rate=None, arrival_rate=None, *, weight=None, price=None, schedule=None
    ) -> Messages:
        """One run, with other rates if they are given.

        Parameters
        ----------
        service_rate : float or (K,) array, optional
        arrival_rate : float, optional
        weight : (N,) array, optional
            What each customer's time counts; by default 1 / (number of customers after the warm-up, in all
            samples), so that the total is a mean. A unit vector asks for one customer's derivatives.
        price : float or (K,) array, optional
            Added to the total: price · service_rate.
        """
        mu = self._rates(service_rate)
        rate = (
            self.arrival_rate if arrival_rate is None else float(self._positive("arrival_rate", arrival_rate))
        )
        N, S = self.base_gaps.shape
        if weight is None:
            weight = (np.arange(N) >= self.warm_up) / ((N - self.warm_up) * S)
        weight = real_array("weight", weight, np.dtype(float))
        if weight.shape != (N,):
            raise ShapeError(f"weight has shape {weight.shape}, wanted ({N},), one a customer")
        if not np.isfinite(weight).all():
            n = int(np.argmin(np.isfinite(weight)))
            raise DataError(f"weight must be finite, got {weight[n]} for customer {n}")
        prices = np.broadcast_to(prices_of(0.0 if price is None else price, mu.shape), mu.shape)
        values = {"service_rate": mu, "arrival_rate": np.array(rate), "weight": weight, "price": prices}
        return run(self.graph(), schedule=schedule, values={**values, "start": self.start})

    def simulate(self, service_rate=None, arrival_rate=None) -> QueuePath:
        """Forward only."""
        m = self.messages(service_rate, arrival_rate, schedule=ForwardOnly())
        service, state = m.forward["service"], m.forward["state"]
        times = [state @ a + service @ b for a, b in map(self.discipline.measure, ("waiting", "sojourn"))]
        gap, served, waiting, sojourn = (self._rows(x) for x in (m.forward["gap"], service, *times))
        return QueuePath(gap, served, waiting, sojourn, self.warm_up)

    def cost(self, service_rate=None, arrival_rate=None) -> float:
        """The mean waiting or sojourn time alone."""
        return float(self.messages(service_rate, arrival_rate, schedule=ForwardOnly()).total)

    def gradient(self, service_rate=None, arrival_rate=None) -> QueueGradient:
        """The mean time and its derivatives with respect to rates and to each customer's times."""
        m = self.messages(service_rate, arrival_rate)
        return QueueGradient(
            self.measure,
            float(m.total),
            m.parameters["service_rate"],
            float(m.parameters["arrival_rate"]),
            self._rows(m.gradient["service"]),
            self._rows(m.gradient["gap"]),
            m,
        )

    def long_run(self, level: float = 0.95, batches: int = 30) -> LongRun:
        """The mean time and its derivatives in the long run, with intervals by batch means.

        Derivatives are summed by cause: what each customer's own service time does to all that come after it
        is one term, a backward message times d(time)/d(rate). These terms make a stationary series as the
        times themselves do, and are cut into the same batches.

        Warns
        -----
        UnstableQueueWarning
            ρ ≥ 1: there is no long run.
        """
        check_stable(self.rho)
        m = self.messages()
        path = self.simulate()
        each = path.sojourn if self.measure == "sojourn" else path.waiting
        scale = (self.customers - self.warm_up) * self.base_gaps.shape[1]
        by_service = -m.gradient["service"] * m.forward["service"] / self.service_rates * scale
        by_gap = -m.gradient["gap"] * m.forward["gap"] / self.arrival_rate * scale
        times = each.T if each.ndim == 2 else each[:, None]
        return LongRun(
            self.measure,
            batch_means(times[self.warm_up :], batches, level),
            tuple(
                batch_means(by_service[self.warm_up :, :, k], batches, level)
                for k in range(len(self.service_rates))
            ),
            batch_means(by_gap[self.warm_up :], batches, level),
        )

    def tune(self, price, *, delay: float = 1.0, lower=None, upper=np.inf, n_iter=200, tol=1e-8) -> Tuned:
        """Service rates that minimise delay · (mean time) + price · μ on this path, by L-BFGS-B.

        Parameters
        ----------
        price : float or (K,) array
            Of a unit of service rate.
        delay : float
            What a unit of the mean time costs; h λ is a cost of h a customer present a unit of time (Little).
        lower, upper : float or (K,) array
            Bounds; by default ρ ≤ 0.999.
        """
        return tune(self, price, delay, lower, upper, n_iter, tol)

    # -- checks ------------------------------------------------------------------------------------------

    def _rates(self, value) -> np.ndarray:
        if value is None:
            return self.service_rates
        return np.broadcast_to(self._positive("service_rate", value), self.service_rates.shape)

    def _positive(self, what: str, value) -> np.ndarray:
        array = real_array(what, value, np.dtype(float))
        allowed = ((),) if what == "arrival_rate" else ((), self.service_rates.shape)
        if array.shape not in allowed:
            raise ShapeError(f"{what} has shape {array.shape}, wanted {allowed[-1]}")
        if not (np.isfinite(array) & (array > 0)).all():
            raise DataError(f"{what} must be finite and > 0, got {array}")
        return array

    def _start(self, start) -> np.ndarray:
        shape = self.base_gaps.shape[1], self.discipline.width
        if start is None:
            return np.zeros(shape)
        return np.broadcast_to(self._started(real_array("start", start, np.dtype(float))), shape)

    def _started(self, start: np.ndarray) -> np.ndarray:
        raise DataError("only a Queue starts with work; a Tandem starts empty")

    def _rows(self, array: np.ndarray) -> np.ndarray:
        turned = np.swapaxes(array, 0, 1)
        return turned if self.sampled else turned[0]


def _where(services) -> list[str]:
    return [""] if len(services) == 1 else [f" at station {k}" for k in range(len(services))]
