"""Closed forms of the long run, for comparison: M/M/1, M/G/1, M/M/c, and tandems of them.

M/M/c   W_q = C(c, λ/μ) / (cμ − λ)              C: Erlang's probability of waiting (1917)
M/G/1   W_q = ρ (1 + c²) / (2 (μ − λ))          c²: squared coefficient of variation (Pollaczek 1930,
                                                Khinchine 1932)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.validation import not_negative, positive, whole


class Mean(NamedTuple):
    """Mean times in the long run."""

    waiting: float
    sojourn: float
    rho: float


def mmc(arrival_rate: float, service_rate: float, servers: int = 1) -> Mean:
    """M/M/c; of one server, sojourn 1 / (μ − λ).

    Examples
    --------
    >>> mmc(0.5, 1.0).sojourn
    2.0
    """
    rho = load(arrival_rate, service_rate, servers)
    wait = erlang_c(servers, arrival_rate / service_rate) / (servers * service_rate - arrival_rate)
    return Mean(wait, wait + 1 / service_rate, rho)


def mg1(arrival_rate: float, service_rate: float, scv: float) -> Mean:
    """M/G/1, from the squared coefficient of variation of service: 1 of M, 0 of D, 1/k of E_k.

    Examples
    --------
    >>> mg1(0.5, 1.0, scv=0.0).waiting
    0.5
    """
    rho = load(arrival_rate, service_rate)
    wait = rho * (1 + not_negative("scv", scv)) / (2 * (service_rate - arrival_rate))
    return Mean(wait, wait + 1 / service_rate, rho)


def tandem(arrival_rate: float, service_rates) -> Mean:
    """M/M/1 stations in a row: what leaves one is a Poisson stream again (Burke 1956).

    Examples
    --------
    >>> tandem(0.5, [1.0, 1.5]).sojourn
    3.0
    """
    if np.ndim(service_rates) != 1 or not len(service_rates):
        raise ShapeError(f"service_rates has one rate a station, at least one, got {service_rates!r}")
    parts = [mmc(arrival_rate, rate) for rate in service_rates]
    return Mean(sum(p.waiting for p in parts), sum(p.sojourn for p in parts), max(p.rho for p in parts))


def erlang_c(servers: int, offered: float) -> float:
    """The probability that an arrival has to wait, at λ/μ = ``offered``.

    Examples
    --------
    >>> round(erlang_c(2, 1.0), 6)
    0.333333
    """
    servers, blocked = whole("servers", servers), 1.0
    load(positive("offered", offered), 1.0, servers)
    for k in range(1, servers + 1):  # Erlang's B, by its recursion
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def load(arrival_rate: float, service_rate: float, servers: int = 1) -> float:
    """ρ, which must be below 1."""
    rate = positive("service_rate", service_rate) * whole("servers", servers)
    rho = positive("arrival_rate", arrival_rate) / rate
    if rho >= 1:
        raise DataError(
            f"the load is ρ = {rho:.4g} ≥ 1: there is no long run; the service rate must be above "
            f"{arrival_rate}" + (f" / {servers}" if servers > 1 else "")
        )
    return rho
