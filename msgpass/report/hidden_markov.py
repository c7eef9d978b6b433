"""A hidden Markov model of one series, as short as the engine makes it: build a graph, read messages, repeat.

Baum-Welch: what arrives at the parameters ``initial``, ``transition`` and ``evidence`` is γ_0, Σ_t ξ_t and
γ_t; the M-step divides. Counts have Poisson emissions, real numbers Gaussian ones, categories a table.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from msgpass.data import Kind
from msgpass.graph import FactorGraph
from msgpass.messages import Messages
from msgpass.potentials import Table
from msgpass.run import run

TOLERANCE = 1e-6
"""Gain in log-likelihood below which Baum-Welch stops."""

SMALLEST_RATE = 1e-3
SMALLEST_SPREAD = 1e-3
"""Floor of a state's standard deviation, in standard deviations of the series: one value alone would drive it
to zero."""


SMALLEST_COUNT = 1e-3
"""What a category counts that no step shows: steps held out may show it."""


@dataclass(frozen=True)
class HiddenMarkov:
    """Fitted parameters, in probabilities; ``emission`` is {"rate"}, {"mean", "variance"} or
    {"probability"}."""

    kind: Kind
    init: np.ndarray
    transition: np.ndarray
    emission: dict[str, np.ndarray]
    log_likelihoods: list[float] = field(default_factory=list)

    @property
    def states(self) -> int:
        """Number of hidden states."""
        return len(self.init)

    @property
    def free_parameters(self) -> int:
        """Numbers that were fitted, sums to one taken off."""
        K = self.states
        emission = sum(v.size for v in self.emission.values()) - (K if "probability" in self.emission else 0)
        return K - 1 + K * (K - 1) + emission

    def log_evidence(self, values: np.ndarray) -> np.ndarray:
        """log p(y_t | z_t), (T, K); a missing value says nothing."""
        return _DENSITY[self.kind](values, self.emission)

    def graph(self, values: np.ndarray) -> FactorGraph:
        """The factor graph: sequence z, parameters initial, transition, evidence."""
        g = FactorGraph()
        z = g.sequence("z", length=len(values), states=self.states)
        with np.errstate(divide="ignore"):
            init, transition = np.log(self.init), np.log(self.transition)
        g.factor(Table(g.parameter("initial", init)), z[0])
        g.factor(Table(g.parameter("transition", transition)), z[:-1], z[1:], name="links")
        g.factor(Table(g.parameter("evidence", self.log_evidence(values))), z[:])
        return g

    def predictive(self, m: Messages) -> np.ndarray:
        """p(z_t | y_0, …, y_{t−1}), (T, K), from the forward messages of a run."""
        alpha = m.forward["z"]
        filtered = np.exp(alpha - np.logaddexp.reduce(alpha, axis=1)[:, None])
        return np.vstack([self.init, filtered[:-1] @ self.transition])


def fit(
    values: np.ndarray,
    kind: Kind,
    states: int,
    *,
    rng: np.random.Generator,
    categories: int = 0,
    starts: int = 10,
    short: int = 40,
    iterations: int = 300,
) -> HiddenMarkov:
    """Baum-Welch: a short run from each of several random starts, then a long one from the best."""
    first = (_start(values, kind, states, rng, categories, spread=k > 0) for k in range(starts))
    tried = [_baum_welch(start, values, short) for start in first]
    best = max(tried, key=lambda model: model.log_likelihoods[-1])
    return _ordered(_baum_welch(best, values, iterations) if len(best.log_likelihoods) == short else best)


def _baum_welch(model: HiddenMarkov, values, iterations: int) -> HiddenMarkov:
    graph, found = model.graph(values), model.log_likelihoods[:-1]
    for _ in range(iterations):
        with np.errstate(divide="ignore"):
            logs = {"initial": np.log(model.init), "transition": np.log(model.transition)}
        m = run(graph, values={**logs, "evidence": model.log_evidence(values)})
        found.append(float(m.total))
        fitted = model
        if len(found) > 1 and found[-1] - found[-2] < TOLERANCE:
            break
        model = _maximise(model, values, m)
    return HiddenMarkov(fitted.kind, fitted.init, fitted.transition, fitted.emission, found)


def _maximise(model: HiddenMarkov, values, m: Messages) -> HiddenMarkov:
    """The M-step: what arrives at the parameters, divided by its sums."""
    counts = m.parameters["transition"]
    rows = counts.sum(axis=1, keepdims=True)
    # A state that is never left keeps its row.
    transition = np.where(rows > 0, counts / np.where(rows > 0, rows, 1.0), model.transition)
    emission = _UPDATE[model.kind](values, m.parameters["evidence"], model.emission)
    return HiddenMarkov(model.kind, m.parameters["initial"], transition, emission)


def _start(values, kind, states, rng, categories, spread) -> HiddenMarkov:
    """Sticky transitions; emissions at quantiles of the series, scattered from the second start on."""
    init = np.full(states, 1.0 / states)
    transition = np.full((states, states), 0.2 / max(states - 1, 1))
    np.fill_diagonal(transition, 0.8 if states > 1 else 1.0)
    if kind == "categorical":
        seen = np.bincount(values[values >= 0], minlength=categories) + 1.0
        probability = seen * rng.gamma(2.0, size=(states, categories))
        transition = rng.dirichlet(np.ones(states), size=states)
        return HiddenMarkov(
            kind, init, transition, {"probability": probability / probability.sum(axis=1, keepdims=True)}
        )
    levels = (np.arange(states) + 0.5) / states
    if spread:
        levels = np.sort(rng.uniform(size=states))
        transition = 0.5 * transition + 0.5 * rng.dirichlet(np.ones(states), size=states)
    place = np.nanquantile(values, levels)
    if kind == "counts":
        return HiddenMarkov(kind, init, transition, {"rate": np.maximum(place, SMALLEST_RATE)})
    return HiddenMarkov(
        kind, init, transition, {"mean": place, "variance": np.full(states, np.nanvar(values))}
    )


def _ordered(model: HiddenMarkov) -> HiddenMarkov:
    """States from low to high mean (from rare to frequent where emissions are categories)."""
    if model.kind == "categorical":
        # The stationary weight by enough steps of the chain.
        order = np.argsort(np.linalg.matrix_power(model.transition, 1024)[0])
    else:
        order = np.argsort(model.emission["rate" if model.kind == "counts" else "mean"])
    emission = {name: value[order] for name, value in model.emission.items()}
    return HiddenMarkov(
        model.kind, model.init[order], model.transition[np.ix_(order, order)], emission, model.log_likelihoods
    )


# -- emissions: log-density (T, K) and the M-step's weighted means -------------------------------------


def _poisson(values, emission):
    from scipy.special import gammaln

    rate, y = emission["rate"], np.asarray(values, float)[:, None]
    return np.where(np.isnan(y), 0.0, y * np.log(rate) - rate - gammaln(y + 1))


def _gaussian(values, emission):
    mean, variance, y = emission["mean"], emission["variance"], np.asarray(values, float)[:, None]
    return np.where(np.isnan(y), 0.0, -0.5 * (np.log(2 * np.pi * variance) + (y - mean) ** 2 / variance))


def _categorical(values, emission):
    with np.errstate(divide="ignore"):
        table = np.log(emission["probability"].T)
    return np.where((values >= 0)[:, None], table[values], 0.0)


def _weighted_mean(values, gamma, old):
    seen = ~np.isnan(values)
    weight = gamma[seen].sum(axis=0)
    return np.where(weight > 0, values[seen] @ gamma[seen] / np.where(weight > 0, weight, 1.0), old)


def _poisson_update(values, gamma, old):
    return {"rate": np.maximum(_weighted_mean(np.asarray(values, float), gamma, old["rate"]), SMALLEST_RATE)}


def _gaussian_update(values, gamma, old):
    mean = _weighted_mean(values, gamma, old["mean"])
    seen = ~np.isnan(values)
    weight = gamma[seen].sum(axis=0)
    square = ((values[seen, None] - mean) ** 2 * gamma[seen]).sum(axis=0)
    variance = np.where(weight > 0, square / np.where(weight > 0, weight, 1.0), old["variance"])
    return {"mean": mean, "variance": np.maximum(variance, SMALLEST_SPREAD**2 * np.nanvar(values))}


def _categorical_update(values, gamma, old):
    counts = np.zeros_like(old["probability"])
    np.add.at(counts.T, values[values >= 0], gamma[values >= 0])
    unseen = gamma[values >= 0].sum(axis=0) == 0
    counts[:, counts.sum(axis=0) == 0] = SMALLEST_COUNT
    probability = counts / counts.sum(axis=1, keepdims=True)
    probability[unseen] = old["probability"][unseen]
    return {"probability": probability}


_DENSITY = {"counts": _poisson, "real": _gaussian, "categorical": _categorical}
_UPDATE = {"counts": _poisson_update, "real": _gaussian_update, "categorical": _categorical_update}
