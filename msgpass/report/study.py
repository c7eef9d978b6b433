"""Both models on one series: fit them, run them, and collect what the report shows.

An HMM by Baum-Welch and a recurrent net by back-propagation through time, both through ``run``; then their
predictions one step ahead, their messages, how far each looks back, and the identities on the fitted models.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from msgpass.algebra import MaxProduct
from msgpass.compare import Comparison, compare
from msgpass.data import Series
from msgpass.errors import DataError
from msgpass.identities import (
    IdentityTable,
    Influence,
    Network,
    adjoint_influence,
    message_influence,
)
from msgpass.identities import table as identity_table
from msgpass.messages import Messages
from msgpass.report import hidden_markov, recurrent
from msgpass.report.hidden_markov import HiddenMarkov
from msgpass.report.recurrent import Recurrent
from msgpass.run import run

SHORTEST = 12
"""Values that a series must have: two models are fitted to the first four fifths of it."""

SMALLEST_SPREAD, LARGEST_VALUE = 1e-100, 1e100
"""Standard deviation and size of values whose squares, and sums of squares, are finite numbers."""

IDENTITY_STEPS = 100
"""Steps of the series on which the identities are measured; the loss still to come is run from every one of
them."""

HELD_OUT = 0.2


@dataclass(frozen=True)
class Forecast:
    """One-step-ahead forecasts of one model: log p(y_t | y_0, …, y_{t−1}) and the mean (or category
    probabilities)."""

    log_density: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class Errors:
    """How good forecasts were: mean log-density, and the root mean square error (categories: the share of
    misses)."""

    log_density: float
    error: float


@dataclass
class Study:
    """Everything the report is made of."""

    series: Series
    seed: int
    hmm: HiddenMarkov
    net: Recurrent
    hmm_messages: Messages
    net_messages: Messages
    viterbi: np.ndarray
    forecasts: dict[str, Forecast]
    fitted: dict[str, Errors]
    held_out: dict[str, Errors]
    held_out_from: int
    comparison: Comparison
    influence: dict[str, Influence]
    identities: IdentityTable
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Number of missing values."""
        return int(self.series.missing.sum())

    @property
    def filtered(self) -> np.ndarray:
        """p(z_t | y_0, …, y_t), (T, K): forward messages, normalised."""
        return _normalised(self.hmm_messages.forward["z"])

    @property
    def backward(self) -> np.ndarray:
        """β_t / Σ β_t, (T, K)."""
        return _normalised(self.hmm_messages.backward["z"])

    @property
    def posterior(self) -> np.ndarray:
        """γ_t = p(z_t | y), (T, K)."""
        return np.exp(self.hmm_messages.belief["z"])

    @property
    def backward_sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Range of log β_t in nats and norm of λ_t (what later losses say), each (T,)."""
        part = self.comparison["backward", "z ~ h"]
        return part.left, part.right


def check(series: Series) -> None:
    """Refuse a series that is too short, or constant."""
    known = series.values[~series.missing]
    if len(known) < SHORTEST:
        raise DataError(
            f"{series.name!r} has {len(known)} values; {SHORTEST} are the fewest that two models can be "
            "fitted to"
        )
    if (known == known[0]).all():
        value = series.categories[known[0]] if series.categories else f"{known[0]:g}"
        raise DataError(
            f"all values of {series.name!r} are {value}; a model of change needs a series that changes"
        )
    if series.kind != "categorical" and not (
        np.abs(known).max() < LARGEST_VALUE and np.std(known.astype(float)) > SMALLEST_SPREAD
    ):
        raise DataError(
            f"the values of {series.name!r} run from {known.min():g} to {known.max():g}: their squares do "
            "not fit into floating-point numbers; give them in another unit"
        )


def study(
    series: Series,
    states: int = 2,
    hidden: int = 8,
    seed: int = 0,
    stage: Callable[[str], None] = lambda _: None,
) -> Study:
    """Fit both models to ``series`` and measure everything.

    Parameters
    ----------
    series : Series
    states, hidden : int
        Hidden states of the HMM, hidden units of the net.
    seed : int
        Of the random starts.
    stage : callable
        Told what is being done, for a progress bar.

    Raises
    ------
    DataError
        If the series is too short or constant, or there are more states than values can tell apart.
    """
    check(series)
    for what, number in (("states", states), ("hidden", hidden)):
        if number < 1:
            raise DataError(f"--{what} must be at least 1, got {number}")
    distinct = len(np.unique(series.values[~series.missing]))
    if states > distinct:
        raise DataError(
            f"{series.name!r} has {distinct} distinct values, which cannot tell {states} states apart; use "
            f"--states {distinct} or fewer"
        )
    values, kind, marks = series.values, series.kind, time.perf_counter()
    seconds = {}

    def lap(name):
        nonlocal marks
        now = time.perf_counter()
        seconds[name], marks = now - marks, now

    stage("Baum-Welch")
    hmm = _fit_hmm(values, series, states, seed)
    lap("Baum-Welch")
    stage("back-propagation through time")
    net = _fit_net(values, series, hidden, seed)
    lap("back-propagation through time")
    stage("messages")
    graph = hmm.graph(values)
    hmm_messages, net_messages = run(graph), run(net.graph(values))
    viterbi = run(graph, MaxProduct()).assignment["z"]
    forecasts = {
        "hmm": _forecast_hmm(hmm, values, hmm_messages),
        "rnn": _forecast_net(net, values, net_messages),
    }
    lap("messages")
    stage("held-out forecasts")
    cut = round((1 - HELD_OUT) * len(values))
    held_out = _held_out(series, cut, states, hidden, seed)
    lap("held-out forecasts")
    stage("identities")
    identities = _identities(hmm, net, values, seed)
    lap("identities")
    with np.errstate(divide="ignore"):
        log_transition = np.log(hmm.transition)
    local = net_messages.gradient["h"] - net_messages.backward["h"]
    influence = {
        "hmm": message_influence(log_transition, hmm.log_evidence(values), hmm_messages.backward["z"]),
        "rnn": adjoint_influence(net.jacobians(net_messages), local),
    }
    return Study(
        *(series, seed, hmm, net, hmm_messages, net_messages, viterbi, forecasts),
        fitted={name: _errors(f, values, kind, slice(0, None)) for name, f in forecasts.items()},
        held_out=held_out,
        held_out_from=cut,
        comparison=compare(hmm_messages, net_messages, align={"z": "h"}),
        influence=influence,
        identities=identities,
        seconds=seconds,
    )


def _fit_hmm(values, series, states, seed) -> HiddenMarkov:
    rng = np.random.default_rng(seed)
    return hidden_markov.fit(values, series.kind, states, rng=rng, categories=len(series.categories))


def _fit_net(values, series, hidden, seed) -> Recurrent:
    rng = np.random.default_rng(seed)
    return recurrent.fit(values, series.kind, hidden, rng=rng, categories=len(series.categories))


def _forecast_hmm(hmm: HiddenMarkov, values, m: Messages) -> Forecast:
    log_z = np.logaddexp.reduce(m.forward["z"], axis=1)
    missing = values < 0 if hmm.kind == "categorical" else np.isnan(np.asarray(values, float))
    centre = hmm.emission["rate" if hmm.kind == "counts" else "mean" if hmm.kind == "real" else "probability"]
    return Forecast(np.where(missing, np.nan, np.diff(log_z, prepend=0.0)), hmm.predictive(m) @ centre)


def _forecast_net(net: Recurrent, values, m: Messages) -> Forecast:
    return Forecast(net.log_density(values, m), net.mean(m))


def _errors(forecast: Forecast, values, kind, part: slice) -> Errors:
    log_density, mean, y = forecast.log_density[part], forecast.mean[part], values[part]
    seen = ~np.isnan(log_density)
    if not seen.any():
        return Errors(np.nan, np.nan)
    if kind == "categorical":
        return Errors(float(log_density[seen].mean()), float((mean[seen].argmax(axis=1) != y[seen]).mean()))
    return Errors(float(log_density[seen].mean()), float(np.sqrt(((mean[seen] - y[seen]) ** 2).mean())))


def _held_out(series, cut, states, hidden, seed) -> dict[str, Errors]:
    """Models fitted to the steps before ``cut``, judged on the rest, beside two that know no dynamics."""
    values, kind = series.values, series.kind
    past = values[:cut]
    hmm, net = _fit_hmm(past, series, states, seed), _fit_net(past, series, hidden, seed)
    alone = _fit_hmm(past, series, 1, seed)
    found = {
        "hmm": _forecast_hmm(hmm, values, run(hmm.graph(values))),
        "rnn": _forecast_net(net, values, run(net.graph(values))),
        "independent": _forecast_hmm(alone, values, run(alone.graph(values))),
    }
    return {name: _errors(f, values, kind, slice(cut, None)) for name, f in found.items()}


def _identities(hmm: HiddenMarkov, net: Recurrent, values, seed) -> IdentityTable:
    part = values[:IDENTITY_STEPS]
    w = net.weights
    loss = {"counts": "poisson", "real": "squared", "categorical": "softmax"}[net.kind]
    network = Network(
        *(w["weight_hh"], w["weight_ih"], w["bias"], w["weight_out"], w["bias_out"], np.zeros(net.hidden)),
        *(net.inputs(values)[:IDENTITY_STEPS], net.targets(part), loss),
    )
    with np.errstate(divide="ignore"):
        chain = (np.log(hmm.init), np.log(hmm.transition), hmm.log_evidence(part))
    return identity_table(*chain, network, seed=seed)


def _normalised(log_messages: np.ndarray) -> np.ndarray:
    return np.exp(log_messages - np.logaddexp.reduce(log_messages, axis=1)[:, None])
