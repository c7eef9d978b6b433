"""Autoregression around a mean that switches (Hamilton 1989):

    x_t − μ(z_t) = Σ_i φ_i (x_{t−i} − μ(z_{t−i})) + ε_t,   ε_t ~ N(0, σ²)   or   N(0, σ²(z_t))

The density of a row looks at the states of the p rows before it as well, so its states are tuples (z_t, …,
z_{t−p}), as :class:`hmm.transitions.history.History` makes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hmm.clustering import cluster
from hmm.coordinates import Domain, Positive, Real
from hmm.emissions.base import Emission
from hmm.emissions.design import Design
from hmm.emissions.diagonal_normal import LOG_2PI
from hmm.emissions.independent import least_variance
from hmm.simplex import NEGLIGIBLE
from hmm.validation import parameter
from msgpass.errors import DataError, UnsupportedError

ROUNDS = 3
"""Conditional maximisations of means and coefficients in turn within one M-step."""


@dataclass(frozen=True, eq=False)
class SwitchingMean(Emission):
    """Means and noise of K states, autoregressive coefficients that all share; prepared by
    :func:`hmm.emissions.autoregressive.with_lags`.

    Parameters
    ----------
    means : array, (K,)
    coef : array, (p,)
    covars : array, (1,) or (K,)
        Variance of the noise, of all states or of each.

    Examples
    --------
    Two states, one lag: the columns are (z_t, z_{t−1}) = (0, 0), (0, 1), (1, 0), (1, 1).

    >>> emission = SwitchingMean(np.array([0.0, 4.0]), np.array([0.5]), np.array([1.0]))
    >>> emission.log_density(emission.prepare(np.array([[4.0, 4.0]]))).argmax()
    np.int64(3)
    """

    means: np.ndarray
    coef: np.ndarray
    covars: np.ndarray

    LETTERS: ClassVar[dict[str, str]] = {"m": "means", "b": "coef", "c": "covars"}

    @classmethod
    def start(
        cls, X: np.ndarray, n_components: int, switching_variance: bool, rng: np.random.Generator
    ) -> SwitchingMean:
        """Means of clusters of smoothed values, no memory."""
        x = X[:, 0][~np.isnan(X[:, 0])]
        if not len(x):
            raise DataError("no row of X has all the rows before it that its density needs")
        wide = np.convolve(np.pad(x, 2, mode="edge"), np.full(5, 0.2), "valid")
        labels = cluster(wide[:, None], n_components, rng)
        spread = max(float(x.std()), 1e-300)
        means = np.array(
            [x[labels == k].mean() if (labels == k).any() else x.mean() for k in range(n_components)]
        )
        means = means + 0.01 * spread * rng.standard_normal(n_components)
        n_variances = n_components if switching_variance else 1
        return cls(means, np.zeros(X.shape[1] - 1), np.full(n_variances, max(spread**2, least_variance(x))))

    def check(self, n_components: int) -> SwitchingMean:
        means, coef, covars = (np.atleast_1d(np.asarray(v)) for v in (self.means, self.coef, self.covars))
        n_variances = n_components if covars.shape == (n_components,) else 1
        checked = replace(
            self,
            means=parameter("means_", means, (n_components,)),
            coef=parameter("coef_", coef, (coef.size,)),
            covars=parameter("covars_", covars, (n_variances,)),
        )
        if (checked.covars <= 0).any():
            raise DataError(f"covars_ holds {checked.covars.min():.6g}; variances are above zero")
        return checked

    @property
    def n_features(self) -> int:
        return 1

    @property
    def states(self) -> np.ndarray:
        """z_t, …, z_{t−p} of each tuple, (S, p + 1)."""
        axes = (len(self.means),) * (len(self.coef) + 1)
        return np.stack(np.unravel_index(np.arange(np.prod(axes)), axes), axis=1)

    @property
    def loadings(self) -> np.ndarray:
        """E[x_t − Σ φ_i x_{t−i} | s] = loadings[s] · μ, (S, K)."""
        K, states = len(self.means), self.states
        return np.eye(K)[states[:, 0]] - np.einsum("spk,p->sk", np.eye(K)[states[:, 1:]], self.coef)

    @property
    def variances(self) -> np.ndarray:
        """Noise of each tuple, (S,)."""
        if len(self.covars) == 1:
            return np.repeat(self.covars, len(self.states))
        return self.covars[self.states[:, 0]]

    def prepare(self, X: np.ndarray) -> Design:
        return Design.of(X, 1)

    def _gaps(self, data: Design) -> np.ndarray:
        """Innovations under each tuple, (T, S); 0 where missing."""
        left = data.responses[:, 0] - data.covariates @ self.coef
        return np.where(data.observed, left[:, None] - self.loadings @ self.means, 0.0)

    def log_density(self, data: Design) -> np.ndarray:
        variances = self.variances
        density = -0.5 * self._gaps(data) ** 2 / variances
        return density - 0.5 * data.observed * (LOG_2PI + np.log(variances))

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A series whose rows before the first lie at the mean of its first state."""
        p = len(self.coef)
        gaps = np.zeros(len(states) + p)
        scale = np.sqrt(np.broadcast_to(self.covars, self.means.shape))[states]
        noise = rng.standard_normal(len(states)) * scale
        for t in range(len(states)):
            gaps[t + p] = gaps[t : t + p][::-1] @ self.coef + noise[t]
        return (gaps[p:] + self.means[states])[:, None]

    def fit(self, data: Design, weights: np.ndarray, params: str) -> SwitchingMean:
        """Means given coefficients and coefficients given means are least squares each, so Q rises."""
        fitted, own = self, weights * data.observed
        if own.sum() <= NEGLIGIBLE:
            return self
        for _ in range(ROUNDS if {"m", "b"} <= set(params) else 1):
            fitted = fitted._fit_means(data, own) if "m" in params else fitted
            fitted = fitted._fit_coef(data, own) if "b" in params else fitted
        return fitted._fit_covars(data, own) if "c" in params else fitted

    def _fit_means(self, data: Design, own: np.ndarray) -> SwitchingMean:
        loadings = self.loadings
        left = data.responses[:, 0] - data.covariates @ self.coef
        mass, pull = own.sum(axis=0) / self.variances, (left @ own) / self.variances
        inner = (loadings.T * mass) @ loadings
        seen = np.diagonal(inner) > NEGLIGIBLE
        gap = loadings.T @ pull - inner @ self.means
        step = np.linalg.lstsq(inner[np.ix_(seen, seen)], gap[seen])[0]
        means = self.means.copy()
        means[seen] += step
        return replace(self, means=means)

    def _fit_coef(self, data: Design, own: np.ndarray) -> SwitchingMean:
        p, states = len(self.coef), self.states
        inner, pull = np.zeros((p, p)), np.zeros(p)
        for s, variance in enumerate(self.variances):
            past = data.covariates - self.means[states[s, 1:]]
            inner += (past.T * (own[:, s] / variance)) @ past
            pull += past.T @ (own[:, s] / variance * (data.responses[:, 0] - self.means[states[s, 0]]))
        return replace(self, coef=np.linalg.lstsq(inner, pull)[0])

    def _fit_covars(self, data: Design, own: np.ndarray) -> SwitchingMean:
        squares, mass = (own * self._gaps(data) ** 2).sum(axis=0), own.sum(axis=0)
        if len(self.covars) == 1:
            squares, mass = squares.sum(keepdims=True), mass.sum(keepdims=True)
        else:
            member = self.states[:, 0] == np.arange(len(self.means))[:, None]
            squares, mass = member @ squares, member @ mass
        floor = least_variance(data.responses[data.observed[:, 0], 0])
        known = mass > NEGLIGIBLE
        covars = np.where(known, np.maximum(squares / np.where(known, mass, 1), floor), self.covars)
        return replace(self, covars=covars)

    def gradient(self, data: Design, weights: np.ndarray) -> dict[str, np.ndarray]:
        own, gaps, states = weights * data.observed, self._gaps(data), self.states
        pull = own * gaps / self.variances
        by_coef = np.zeros(len(self.coef))
        for s in range(len(states)):
            by_coef += pull[:, s] @ (data.covariates - self.means[states[s, 1:]])
        by_state = (0.5 * own * (gaps**2 / self.variances - 1) / self.variances).sum(axis=0)
        member = states[:, 0] == np.arange(len(self.means))[:, None]
        covars = by_state.sum(keepdims=True) if len(self.covars) == 1 else member @ by_state
        return {"means": self.loadings.T @ pull.sum(axis=0), "coef": by_coef, "covars": covars}

    def with_states(self, letter, other, states, sources=None) -> SwitchingMean:
        raise UnsupportedError(
            "SwitchingMean emissions read more than one state, so none can be frozen or tied; leave "
            "letters out of params to keep whole parameters"
        )

    def n_parameters(self) -> dict[str, int]:
        return {letter: getattr(self, name).size for letter, name in self.LETTERS.items()}

    def domains(self, data: Design) -> dict[str, Domain]:
        noise, seen = float(np.sqrt(self.covars.mean())), data.responses[data.observed[:, 0], 0]
        return {
            "means": Real(noise, by_state=False),
            "coef": Real(by_state=False),
            "covars": Positive(least_variance(seen) if len(seen) else 0.0, by_state=False),
        }
