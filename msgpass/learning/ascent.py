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
from msgpass.learning.domains import Domain
from msgpass.learning.expectation import Sum
from msgpass.learning.lbfgs import Climber
from msgpass.learning.priors import LogPrior

Values = dict[str, np.ndarray]
SPREAD = 0.5
"""Standard deviation of what a random start adds to each coordinate."""


class Ascent:
    """Iterations of L-BFGS.

    Parameters
    ----------
    expectation : Sum
        log-likelihood and its gradient.
    groups : list of lists of str
        Tied parameters, which have one value.
    priors : dict of str to callable
        By the first name of a group.
    domains : dict of str to Domain
        Where the numbers of each group live, by its first name.
    """

    def __init__(
        self,
        expectation: Sum,
        groups: list[list[str]],
        priors: dict[str, LogPrior],
        domains: dict[str, Domain],
    ):
        self.expectation, self.groups, self.priors, self.domains = expectation, groups, priors, domains

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
        heads = [group[0] for group in self.groups]
        return np.concatenate([self.domains[n].coordinates(values[n]) for n in heads])

    def _values(self, point: np.ndarray) -> Values:
        values, used = dict(self.like), 0
        for group in self.groups:
            domain, like = self.domains[group[0]], self.like[group[0]]
            size = domain.coordinates(like).size
            values |= dict.fromkeys(group, domain.value(point[used : used + size], like))
            used += size
        return values

    def _at(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Objective and its gradient."""
        values = self._values(point)
        total, slopes = self.expectation(values)
        found = []
        for group in self.groups:
            first = group[0]
            slope = np.sum([slopes[name] for name in group], axis=0)
            if first in self.priors:
                log_density, more = self.priors[first](values[first])
                total, slope = total + float(log_density), slope + more
            found.append(self.domains[first].pull(values[first], slope))
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
