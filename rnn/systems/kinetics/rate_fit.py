"""``RateFit``: what :func:`fit_rates` returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from msgpass.errors import DataError, UnavailableError
from rnn.systems.kinetics.experiment import Experiment
from rnn.systems.kinetics.network import ReactionNetwork
from rnn.systems.kinetics.reactor import Reactor
from rnn.validation import positive


@dataclass(frozen=True, repr=False)
class RateFit:
    """Fitted rates.

    Attributes
    ----------
    names, kinds : tuple of str
        Of the fitted parameters: "log" (a rate, or A), "energy", "start".
    theta : ndarray (P,)
        ln k, E or a concentration.
    covariance : ndarray (P, P)
        Of ``theta``; infinite where the data do not determine a parameter. Scaled by the residuals where an
        experiment has no sigma.
    residuals : ndarray (n,)
        (c − y) / σ of all measurements.
    jacobian : ndarray (n, P)
        ∂residuals/∂theta.
    reactors : tuple of Reactor
        One an experiment, at the optimum.
    converged, reason, evaluations
    """

    network: ReactionNetwork
    experiments: tuple[Experiment, ...]
    reactors: tuple[Reactor, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    theta: np.ndarray
    covariance: np.ndarray = field(repr=False)
    residuals: np.ndarray = field(repr=False)
    jacobian: np.ndarray = field(repr=False)
    sigma_known: bool
    converged: bool
    reason: str
    evaluations: int

    @property
    def rates(self) -> dict[str, float]:
        """All rates by name, held ones included (A under Arrhenius)."""
        return dict(zip(self.network.rate_names, self.reactors[0].factors.tolist(), strict=True))

    @property
    def energies(self) -> dict[str, float] | None:
        """E by rate under Arrhenius."""
        E = self.reactors[0].params.get("E")
        return None if E is None else dict(zip(self.network.rate_names, E.tolist(), strict=True))

    @property
    def values(self) -> dict[str, float]:
        """Fitted parameters in their own units."""
        theta = zip(self.names, self.kinds, self.theta.tolist(), strict=True)
        return {n: float(np.exp(x)) if kind == "log" else x for n, kind, x in theta}

    @property
    def standard_errors(self) -> dict[str, float]:
        """Of ``values``, to first order; infinite where the data say nothing."""
        spread = np.sqrt(np.diag(self.covariance))
        pairs = zip(self.values.items(), self.kinds, spread.tolist(), strict=True)
        return {n: s * x if kind == "log" else s for (n, x), kind, s in pairs}

    @property
    def identifiable(self) -> bool:
        """The data determine every parameter."""
        return bool(np.isfinite(self.covariance).all())

    @property
    def cost(self) -> float:
        """½ Σ residuals²."""
        return 0.5 * float(self.residuals @ self.residuals)

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """From the normal distribution of ``theta``: symmetric in ln k."""
        from scipy.stats import norm

        if name not in self.names:
            raise UnavailableError(f"{name!r} was not fitted; fitted are {', '.join(self.names)}")
        if positive("level", level) >= 1:
            raise DataError(f"level must be between 0 and 1, got {level!r}")
        i = self.names.index(name)
        reach = float(norm.ppf(0.5 + level / 2) * np.sqrt(self.covariance[i, i]))
        low, high = self.theta[i] - reach, self.theta[i] + reach
        return (float(np.exp(low)), float(np.exp(high))) if self.kinds[i] == "log" else (low, high)

    def to_frame(self):
        """A pandas frame: name, kind, value, standard_error."""
        from msgpass.optional import pandas

        errors = self.standard_errors
        rows = [(n, kind, self.values[n], errors[n]) for n, kind in zip(self.names, self.kinds, strict=True)]
        return pandas().DataFrame(rows, columns=["name", "kind", "value", "standard_error"])

    def plot(self, experiment: int = 0, ax=None):
        """Measurements and fitted concentrations of one experiment; returns the axes."""
        from msgpass.drawing import style

        e = self.experiments[experiment]
        with style():
            ax = self.reactors[experiment].simulate().plot(ax, list(e.measured))
            for line, (_, x) in zip(ax.get_lines(), e.measured.items(), strict=False):
                ax.plot(e.times, x, "o", markersize=3.5, color=line.get_color())
        return ax

    def __repr__(self) -> str:
        errors = self.standard_errors
        lines = [f"<RateFit: {len(self.residuals)} measurements, cost {self.cost:.4g}, {self.reason}"]
        lines += [f"  {n:<8}{x:>11.5g} ± {errors[n]:.2g}" for n, x in self.values.items()]
        return "\n".join(lines) + ">"
