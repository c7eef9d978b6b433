"""Expectation-maximisation for tables: run the graph, re-estimate each distribution from what arrives at it.

    p(x | u) ∝ Σ_n P(x, u | row n) + α − 1 = ∂log Z/∂log p(x | u) + α − 1

(Dempster, Laird & Rubin 1977; Lauritzen 1995). A table in many factors gets the sum of their counts, and so
do tied tables.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from msgpass.learning.distributions import Distributions
from msgpass.learning.expectation import Sum
from msgpass.learning.priors import Dirichlet

Values = dict[str, np.ndarray]


class EM:
    """Iterations of EM.

    Parameters
    ----------
    expectation : Sum
    groups : list of lists of Distributions
        Of tied parameters, which have one value; as a rule one parameter a group.
    priors : dict of str to Dirichlet
        By the first name of a group.
    """

    def __init__(
        self,
        expectation: Sum,
        groups: list[list[Distributions]],
        priors: dict[str, Dirichlet],
    ):
        self.expectation, self.groups, self.priors = expectation, groups, priors

    def climb(self, values: Values) -> Iterator[tuple[float, Values]]:
        """(objective, the values that it belongs to), for ever."""
        while True:
            expected = self.expectation(values)
            yield expected.total + self._log_prior(values), values
            values = dict(values)
            for group in self.groups:
                first = group[0]
                counts = np.sum([expected.parameters[one.name] for one in group], axis=0)
                prior = self.priors.get(first.name)
                extra = 0.0 if prior is None else prior.pseudo_counts
                fitted = first.maximise(counts, extra, values[first.name])
                values |= {one.name: fitted for one in group}

    def start(self, values: Values, rng: np.random.Generator) -> Values:
        """Random distributions in place of the values."""
        values = dict(values)
        for group in self.groups:
            drawn = group[0].draw(values[group[0].name], rng)
            values |= {one.name: drawn for one in group}
        return values

    def _log_prior(self, values: Values) -> float:
        return sum(prior(values[name])[0] for name, prior in self.priors.items())
