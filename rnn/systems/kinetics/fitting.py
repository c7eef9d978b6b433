"""Rates from measured concentrations: least squares over logarithms.

    min_θ ½ Σ ((c(t_i; θ) − y_i) / σ_i)²,     θ = ln k (or ln A, E), and unknown starts

by scipy's trust-region method, whose Jacobian ∂c/∂θ is the chain's tangent (:mod:`tangents`). At the optimum
(JᵀJ)⁻¹ is the covariance of θ; where JᵀJ is singular, the data say nothing along its null directions.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.descent import warn_unless
from rnn.systems.kinetics.arrhenius import Arrhenius
from rnn.systems.kinetics.errors import IdentifiabilityWarning
from rnn.systems.kinetics.experiment import Experiment
from rnn.systems.kinetics.network import ReactionNetwork, pair_of
from rnn.systems.kinetics.rate_fit import RateFit
from rnn.systems.kinetics.rate_law import GAS_CONSTANT
from rnn.systems.kinetics.reactor import Reactor
from rnn.systems.kinetics.tangents import TangentField, tangents
from rnn.validation import positive, whole

SINGULAR = 1e-10
"""Least eigenvalue of the scaled information, relative to the largest, below which a direction is unknown:
its standard error is then 10⁵ times that of the best-known one."""
REACH = 20.0  # in ln k from the first guess: rates up to 5·10⁸ times as large or small


class Parameter(NamedTuple):
    """One number of θ: what it is called, its kind, its first value and bounds."""

    name: str
    kind: str  # "log", "energy" or "start"
    place: tuple[int, ...]
    first: float
    low: float
    high: float


def fit_rates(
    network: ReactionNetwork,
    experiments: Experiment | Iterable[Experiment],
    rates: Mapping[str, float] | Arrhenius,
    *,
    fixed: Iterable[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    n_iter: int = 200,
    tol: float = 1e-10,
    **options,
) -> RateFit:
    """Fit rates to experiments.

    Parameters
    ----------
    network : ReactionNetwork
    experiments : Experiment or several
    rates : dict by rate, or Arrhenius
        First guesses, all > 0. Under Arrhenius A and E (dicts) are fitted; its T is that of experiments that
        name none.
    fixed : names of rates that are held
    bounds : dict, optional
        (low, high) of rates by name (of A under Arrhenius).
    n_iter : int
        Steps at most.
    tol : float
        Of relative steps, cost and gradient.
    **options
        ``method``, ``step``, ``rtol``, ``atol`` of the reactors.

    Returns
    -------
    RateFit

    Warns
    -----
    IdentifiabilityWarning
        Where data leave a combination of parameters open; the message names it.

    Examples
    --------
    >>> chain = ReactionNetwork(["k1: A -> B", "k2: B -> C"])
    >>> t = np.array([0.5, 1.0, 2.0, 4.0])
    >>> b = np.array([0.3445, 0.4773, 0.4651, 0.2340])
    >>> fit = fit_rates(chain, Experiment(t, {"B": b}, {"A": 1.0}), {"k1": 0.3, "k2": 0.3})
    >>> {name: round(k, 2) for name, k in fit.rates.items()}
    {'k1': 1.0, 'k2': 0.5}
    """
    from scipy.optimize import least_squares

    n_iter, tol = whole("n_iter", n_iter), max(positive("tol", tol), 4e-16)  # least_squares takes no less
    if unknown := sorted(set(options) - {"method", "step", "rtol", "atol", "max_steps"}):
        raise DataError(
            f"there is no option {unknown[0]!r}; reactors take method, step, rtol, atol, max_steps"
        )
    fixed = (fixed,) if isinstance(fixed, str) else tuple(fixed)
    runs = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    if not runs or not all(isinstance(e, Experiment) for e in runs):
        raise DataError("experiments is an Experiment, or several of them")
    problem = _Problem(network, runs, rates, fixed, dict(bounds or {}), options)
    if not problem.parameters:
        raise DataError("everything is fixed; leave a rate, or a start as NaN, to be fitted")
    first = np.array([p.first for p in problem.parameters])
    low, high = (np.array([getattr(p, side) for p in problem.parameters]) for side in ("low", "high"))
    found = least_squares(
        lambda x: problem(x)[0],
        np.clip(first, low + 1e-9 * (high - low).clip(max=1), high),
        jac=lambda x: problem(x)[1],
        bounds=(low, high),
        x_scale="jac",
        max_nfev=n_iter,
        xtol=tol,
        ftol=tol,
        gtol=tol,
    )
    warn_unless(found.success, "the rates", found.message, "raise n_iter or begin nearer")
    return _result(problem, found)


class _Problem:
    """Residuals and their Jacobian."""

    def __init__(self, network, experiments, rates, fixed, bounds, options):
        self.network, self.experiments, self.warm = network, experiments, isinstance(rates, Arrhenius)
        self.options, self.rates = options, rates
        self.base = network.rate_vector(rates.A if self.warm else rates)
        if not (self.base > 0).all():
            raise DataError(
                "first guesses of rates must be > 0, for their logarithms are fitted; leave a reaction "
                "that does not happen out of the network"
            )
        names = network.rate_names
        for name in (*fixed, *bounds):
            network.rate_index(name)
        self.parameters: list[Parameter] = []
        for r, name in enumerate(names):
            if name in fixed:
                continue
            at = float(np.log(self.base[r]))
            ends = _logs(name, bounds[name]) if name in bounds else (at - REACH, at + REACH)
            self.parameters.append(Parameter(name, "log", (r,), at, *ends))
        self.energies = np.zeros(len(names))
        if self.warm:
            self.energies = network._vector(rates.E, names, network.rate_index, "E")
            for r, name in enumerate(names):
                if name not in fixed:
                    p = Parameter(f"E({name})", "energy", (r,), float(self.energies[r]), -np.inf, np.inf)
                    self.parameters.append(p)
        self.starts: list[np.ndarray] = []
        self.data: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for e, experiment in enumerate(experiments):
            start, unknown = experiment.beginning(network)
            self.starts.append(start)
            many = f"[{e}]" if len(experiments) > 1 else ""
            for i in unknown:
                p = Parameter(f"{network.species[i]}₀{many}", "start", (e, i), float(start[i]), 0.0, np.inf)
                self.parameters.append(p)
            values, sigma = experiment.values(network), experiment.deviations(network)
            here = np.isfinite(values)
            self.data.append((values[here], sigma[here], here))
        self.size = sum(len(y) for y, _, _ in self.data)
        self.fields: dict = {}
        self.last: tuple | None = None

    def reactor(self, x: np.ndarray, e: int) -> Reactor:
        """Experiment e at θ."""
        k, start = self.base.copy(), self.starts[e].copy()
        E = self.energies.copy()
        for value, p in zip(x, self.parameters, strict=True):
            if p.kind == "log":
                k[p.place[0]] = np.exp(value)
            elif p.kind == "energy":
                E[p.place[0]] = value
            elif p.kind == "start" and p.place[0] == e:
                start[p.place[1]] = value
        experiment = self.experiments[e]
        rates = k
        if self.warm:
            T = self.rates.T if experiment.T is None else experiment.T
            rates = Arrhenius(k, E, T)
        elif experiment.T is not None:
            raise DataError(
                "an experiment has a temperature T, but rates are constants; give Arrhenius rates"
            )
        return Reactor(self.network, rates, start, self.span(e), experiment.feed, **self.options)

    def span(self, e: int) -> np.ndarray:
        """Times to save at: one more where everything is measured at the start."""
        grid = self.experiments[e].grid
        if len(grid) < 2:
            raise ShapeError("an experiment needs a measurement after t0")
        return grid

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.last is not None and np.array_equal(self.last[0], x):
            return self.last[1]
        parts, slopes = [], []
        S, R = len(self.network.species), len(self.network.rate_names)
        for e, (y, sigma, here) in enumerate(self.data):
            reactor = self.reactor(x, e)
            own = [j for j, p in enumerate(self.parameters) if p.kind != "start" or p.place[0] == e]
            if (e, reactor.law) not in self.fields:
                logs, energies = np.zeros((len(own), R)), np.zeros((len(own), R))
                for row, j in enumerate(own):
                    p = self.parameters[j]
                    if p.kind == "log":
                        logs[row, p.place[0]] = 1.0
                    elif p.kind == "energy":
                        energies[row, p.place[0]] = -1.0
                self.fields[e, reactor.law] = TangentField(reactor.law, logs, energies)
            begun = np.zeros((len(own), S))
            for row, j in enumerate(own):
                if self.parameters[j].kind == "start":
                    begun[row, self.parameters[j].place[1]] = 1.0
            try:
                c, moved = tangents(reactor, self.fields[e, reactor.law], begun)
            except NumericalError as failed:
                raise NumericalError(f"experiment {e} cannot be run at {self.shown(x)}: {failed}") from failed
            skip = len(c) - len(here)
            parts.append((c[skip:][here] - y) / sigma)
            jacobian = np.zeros((len(y), len(x)))
            jacobian[:, own] = np.moveaxis(moved[skip:], 1, -1)[here] / sigma[:, None]
            slopes.append(jacobian)
        self.last = x.copy(), (np.concatenate(parts), np.concatenate(slopes))
        return self.last[1]

    def shown(self, x: np.ndarray) -> str:
        """θ to read."""
        pairs = zip(self.parameters, x.tolist(), strict=True)
        return ", ".join(f"{p.name} = {np.exp(v) if p.kind == 'log' else v:.4g}" for p, v in pairs)


def _logs(name, pair) -> tuple[float, float]:
    low, high = pair_of(name, pair)
    if not 0 < low < high < np.inf:
        raise DataError(f"bounds of {name} must be 0 < low < high, got ({low}, {high})")
    return float(np.log(low)), float(np.log(high))


def _result(problem: _Problem, found) -> RateFit:
    residuals, J = problem(found.x)
    names = [p.name for p in problem.parameters]
    # Energies are scaled to the unit in which ln k moves by about one.
    scale = np.array([GAS_CONSTANT * 300.0 if p.kind == "energy" else 1.0 for p in problem.parameters])
    scale = np.where(
        [p.kind == "start" for p in problem.parameters], np.maximum(np.abs(found.x), 1e-300), scale
    )
    weights, vectors = np.linalg.eigh((J * scale).T @ (J * scale))
    open_ = weights <= SINGULAR * weights.max(initial=0.0)
    spare = len(residuals) - len(found.x)
    measured = all(e.sigma is not None for e in problem.experiments)
    noise = 1.0 if measured else float(residuals @ residuals) / spare if spare > 0 else np.nan
    inverse = np.where(open_, 0.0, 1 / np.where(open_, 1.0, weights))
    covariance = (vectors * inverse) @ vectors.T * np.outer(scale, scale) * noise
    unknown = (np.abs(vectors[:, open_]) > 1e-3).any(axis=1)
    covariance[unknown] = covariance[:, unknown] = np.inf
    if open_.any():
        combinations = "; ".join(_combination(names, v) for v in vectors[:, open_].T)
        warnings.warn(
            "the data do not determine "
            f"{combinations}; measure other species or times, or hold a rate with fixed=",
            IdentifiabilityWarning,
            stacklevel=3,
        )
    reactors = [problem.reactor(found.x, e) for e in range(len(problem.experiments))]
    return RateFit(
        network=problem.network,
        experiments=tuple(problem.experiments),
        reactors=tuple(reactors),
        names=tuple(names),
        kinds=tuple(p.kind for p in problem.parameters),
        theta=found.x,
        covariance=covariance,
        residuals=residuals,
        jacobian=J,
        sigma_known=measured,
        converged=bool(found.success),
        reason=str(found.message),
        evaluations=int(found.nfev),
    )


def _combination(names, vector) -> str:
    order = [i for i in np.argsort(-np.abs(vector)) if abs(vector[i]) > 0.05]
    if len(order) == 1:
        return names[order[0]]
    v = vector / vector[order[0]]
    terms = " ".join(f"{'+' if v[i] > 0 else '−'} {abs(v[i]):.2g}·{names[i]}" for i in order)
    return f"the direction {terms.removeprefix('+ ')} (in logarithms)"
