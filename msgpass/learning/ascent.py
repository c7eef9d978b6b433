"""Gradient ascent of a (conditional) log-likelihood over parameters of any graph, by L-BFGS.

    F(θ) = Σ_n w_n [log Z(row n) − log Z(what is given in row n)] + log prior,      ∂F/∂θ from the messages

Both terms are runs. Of an undirected model nothing is given, and the second term is the one log Z that makes
the model a distribution (LeCun et al. 2006; Sutton & McCallum 2012). Where a run's total is a loss (a graph
with steps, losses or conditioned labels), F is minus its sum. Under an approximate schedule log Z is Bethe's,
and F a surrogate of the likelihood (Wainwright 2006).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from msgpass.errors import DataError, ImpossibleEvidenceError, NumericalError
from msgpass.learning.distributions import Distributions
from msgpass.learning.expectation import Expectation
from msgpass.learning.lbfgs import Climber
from msgpass.learning.priors import LogPrior

Values = dict[str, np.ndarray]
SPREAD = 0.5
"""Standard deviation of what a random start adds to each coordinate."""


class Ascent:
    """Iterations of L-BFGS.

    Parameters
    ----------
    terms : list of (float, Expectation)
        What is added up, each with its sign.
    groups : list of lists of str
        Tied parameters, which have one value.
    priors : dict of str to callable
        By the first name of a group.
    distributions : dict of str to Distributions
        Parameters that stay log probabilities: their coordinates are normalised.

    positive : set of str
        Parameters whose coordinates are logarithms.

    Notes
    -----
    Entries of −∞ stay −∞.
    """

    def __init__(
        self,
        terms: list[tuple[float, Expectation]],
        groups: list[list[str]],
        priors: dict[str, LogPrior],
        distributions: dict[str, Distributions],
        positive: set[str],
    ):
        self.terms, self.groups, self.priors, self.distributions = terms, groups, priors, distributions
        self.positive = positive

    def climb(self, values: Values) -> Iterator[tuple[float, Values]]:
        """(objective, the values that it belongs to), until no step gains."""
        self.like = values
        point = self._vector(values)
        value, slope = self._at(point)
        wide = np.full(len(point), np.inf)
        climber = Climber(self._trial, point, value, slope, -wide, wide)
        yield value, self._values(point)
        while climber.climb():
            yield climber.value, self._values(climber.point)

    def start(self, values: Values, rng: np.random.Generator) -> Values:
        """The values with noise."""
        self.like = values
        point = self._vector(values)
        return self._values(point + SPREAD * rng.standard_normal(len(point)))

    def _vector(self, values: Values) -> np.ndarray:
        parts = [
            np.log(values[group[0]]) if group[0] in self.positive else values[group[0]]
            for group in self.groups
        ]
        return np.concatenate([np.zeros(0), *(part[np.isfinite(part)] for part in parts)])

    def _values(self, point: np.ndarray) -> Values:
        values, used = dict(self.like), 0
        for group in self.groups:
            value = np.array(self.like[group[0]], np.float64)
            free = np.isfinite(value)
            value[free] = point[used : used + free.sum()]
            used += int(free.sum())
            if group[0] in self.positive:
                value = np.exp(value)
            if group[0] in self.distributions:
                value = self._normalised(group[0], value)
            values |= dict.fromkeys(group, value)
        return values

    def _normalised(self, name: str, value: np.ndarray) -> np.ndarray:
        top = np.max(value, where=np.isfinite(value), initial=-np.inf)
        total = self.distributions[name].totals(np.exp(value - top))
        with np.errstate(divide="ignore"):
            return value - top - np.where(total > 0, np.log(total), 0.0)

    def _at(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Objective and its gradient."""
        values = self._values(point)
        total, slopes = 0.0, {name: np.zeros(values[name].shape) for group in self.groups for name in group}
        for sign, term in self.terms:
            expected = term(values)
            total += sign * expected.total
            for name in slopes:
                slopes[name] += sign * expected.parameters[name]
        found = [np.zeros(0)]
        for group in self.groups:
            first = group[0]
            slope = np.sum([slopes[name] for name in group], axis=0)
            if first in self.priors:
                log_density, more = self.priors[first](values[first])
                total, slope = total + float(log_density), slope + more
            if first in self.positive:
                slope = slope * values[first]
            if first in self.distributions:
                p = np.exp(values[first])
                slope = slope - p * self.distributions[first].totals(np.where(p > 0, slope, 0.0))
            found.append(slope[np.isfinite(self.like[first])])
        return total, np.concatenate(found)

    def _trial(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """The same for a step that may be too long: −∞ where numbers end."""
        try:
            with np.errstate(all="ignore"):
                value, slope = self._at(point)
        except (DataError, ImpossibleEvidenceError, NumericalError, np.linalg.LinAlgError):
            return -np.inf, np.zeros(len(point))
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return -np.inf, np.zeros(len(point))
        return value, slope
