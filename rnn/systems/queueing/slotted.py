"""``SlottedQueue``: work that comes and is done in slots of time, h_{t+1} = max(0, h_t + a_t − σ_t)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Loss, Messages, run
from msgpass.errors import DataError, ShapeError
from rnn.systems.descent import descend, warn_unless
from rnn.systems.kinks import positive
from rnn.systems.queueing.layout import step_of
from rnn.validation import not_negative, real_array


def serve(h, a, rate):
    """One slot."""
    return positive(h + a - rate)


def _waiting(h):
    return float(h.mean(axis=-1).sum()), (np.full_like(h, 1 / h.shape[-1]),)


def _service(slots, rate, price):
    return slots * float(price) * float(rate.sum()), (np.full_like(rate, slots * float(price)), None)


class SlottedQueue:
    """A queue in discrete time: in each slot a_t units of work come and up to σ_t are done.

    Parameters
    ----------
    arrivals : (T,) or (samples, T) array
    rate : float or (T,) array
        σ: one for all slots, or one a slot.
    start : float
        h_0.

    Notes
    -----
    The total is Σ_t h_t, time spent waiting: each unit that is there at the end of a slot waits one slot. It
    is a mean over samples. ∂h_t/∂σ = −(slots since the queue was last empty), exactly.

    Examples
    --------
    >>> queue = SlottedQueue([3.0, 0.0, 1.0, 0.0], rate=1.0)
    >>> queue.simulate().length
    array([0., 2., 1., 1., 0.])
    >>> queue.gradient().rate
    array(-6.)
    """

    def __init__(self, arrivals, rate, start: float = 0.0):
        array = real_array("arrivals", arrivals, np.dtype(float))
        if array.ndim not in (1, 2) or 0 in array.shape:
            raise ShapeError(f"arrivals are (T,) or (samples, T), got shape {array.shape}")
        bad = ~(np.isfinite(array) & (array >= 0))
        if bad.any():
            at = tuple(int(k) for k in np.argwhere(bad)[0])
            raise DataError(f"arrivals in slot {at[-1]} are {array[at]}; they are finite and ≥ 0")
        self.sampled, self.arrivals = array.ndim == 2, np.atleast_2d(array).T
        self.start = not_negative("start", start)
        self.rate = self._rate(rate)
        self._graphs: dict[bool, FactorGraph] = {}

    @property
    def slots(self) -> int:
        """T."""
        return len(self.arrivals)

    @property
    def rho(self) -> float:
        """Mean arrivals over the mean rate."""
        return float(self.arrivals.mean() / max(self.rate.mean(), 1e-300))

    def __repr__(self) -> str:
        return f"<SlottedQueue: {self.slots} slots, ρ {self.rho:.4g}>"

    def _rate(self, value) -> np.ndarray:
        rate = real_array("rate", value, np.dtype(float))
        if rate.shape not in ((), (self.slots,)):
            raise ShapeError(f"rate has shape {rate.shape}, wanted one number or ({self.slots},)")
        bad = ~(np.isfinite(rate) & (rate >= 0))
        if bad.any():
            where = f" in slot {int(np.argwhere(bad)[0, 0])}" if rate.ndim else ""
            raise DataError(f"the rate{where} is {rate[bad].flat[0]}; rates are finite and ≥ 0")
        return rate

    def graph(self, by_slot: bool = False) -> FactorGraph:
        """``length`` (T, samples) after each slot, from ``arrivals`` and ``rate``: a parameter, or an
        observation with a row a slot."""
        if by_slot not in self._graphs:
            T, S = self.arrivals.shape
            g = FactorGraph()
            start, a = g.parameter("start", np.full(S, self.start)), g.observe("arrivals", self.arrivals)
            rate = g.observe("rate", np.zeros((T, 1)))[:] if by_slot else g.parameter("rate", np.zeros(1))
            price, h = g.observe("price", 0.0), g.sequence("length", T, shape=(S,))
            g.factor(step_of(serve), h.after(start), a[:], rate, out=h[:], name="serve")
            g.factor(Loss(_waiting, vectorized=True), h[:], name="waiting")
            g.factor(
                Loss(partial(_service, 1 if by_slot else T), vectorized=True),
                rate,
                price,
                name="service cost",
            )
            self._graphs[by_slot] = g
        return self._graphs[by_slot]

    def messages(self, rate=None, *, price: float = 0.0, schedule=None) -> Messages:
        """One run, with other rates if they are given; the total is Σ h_t + price Σ σ_t."""
        rate = self.rate if rate is None else self._rate(rate)
        by_slot = rate.ndim == 1
        price = not_negative("price", price)
        values = {"rate": rate[:, None] if by_slot else rate[None], "price": np.array(price)}
        return run(self.graph(by_slot), schedule=schedule, values=values)

    def simulate(self, rate=None) -> SlottedPath:
        """Forward only."""
        m = self.messages(rate, schedule=ForwardOnly())
        length = np.concatenate([np.full((1, self.arrivals.shape[1]), self.start), m.forward["length"]]).T
        return SlottedPath(length if self.sampled else length[0])

    def cost(self, rate=None, *, price: float = 0.0) -> float:
        """Σ h_t + price Σ σ_t."""
        return float(self.messages(rate, price=price, schedule=ForwardOnly()).total)

    def gradient(self, rate=None, *, price: float = 0.0) -> SlottedGradient:
        """With respect to the rate, the same for all slots or each, and to what comes in each slot."""
        m = self.messages(rate, price=price)
        found = m.gradient["rate"]
        back = m.gradient["arrivals"].T
        shape = found[:, 0] if found.ndim == 2 else found[0]
        return SlottedGradient(float(m.total), np.asarray(shape), back if self.sampled else back[0], m)

    def tune(self, price: float, *, lower=0.0, upper=np.inf, n_iter: int = 500, tol: float = 1e-6):
        """Rates, of one kind with the present one, that minimise Σ h_t + price Σ σ_t.

        Returns
        -------
        rate, cost : float or (T,) array, float
        """
        price = not_negative("price", price)

        def value_and_slope(rate):
            g = self.gradient(rate, price=price)
            return g.total, g.rate

        found = descend(value_and_slope, self.rate, lower, upper, n_iter, tol)
        warn_unless(found.converged, "the rate", found.reason, "use more samples of arrivals, or raise tol")
        return found.x[()], found.value


@dataclass(frozen=True, eq=False)
class SlottedPath:
    """``length``: h_0, …, h_T, (…, T + 1)."""

    length: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class SlottedGradient:
    """``total`` Σ h_t (with what service costs); ``rate``: ∂/∂σ, () or (T,); ``arrivals``: ∂/∂a_t, what a
    unit that comes in slot t adds to the waiting of all.
    """

    total: float
    rate: np.ndarray
    arrivals: np.ndarray
    messages: Messages

    def __repr__(self) -> str:
        return f"<SlottedGradient: total {self.total:.5g}>"
