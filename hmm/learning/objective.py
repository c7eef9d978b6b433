"""The function that a fit climbs, log p(x) + log prior, and its gradient, from the messages of one run.

    ∂log p(x)/∂θ = Σ_t Σ_k γ_t(k) ∂log p(x_t | k)/∂θ      ∂log p(x)/∂A[i, j] = Σ_t ξ_t(i, j)/A[i, j]

(Fisher's identity: what arrives at the parameters is what EM counts, and the gradient of the likelihood.)
"""

from __future__ import annotations

import numpy as np

from hmm.chain import Chain
from hmm.coordinates import Rows
from hmm.learning.expectation import Expectation, Expected
from hmm.learning.parameters import Parameters, values_of
from hmm.simplex import dirichlet_slope
from msgpass.errors import DataError, ImpossibleEvidenceError, NumericalError

LEAST_MASS = 0.1
"""Observations that a state counts as having at least, so that no first step is wild."""


class Objective:
    """Value and gradient over coordinates.

    Parameters
    ----------
    expectation : Expectation
        Runs of the graph over the data.
    parameters : Parameters
        The coordinates.
    """

    def __init__(self, expectation: Expectation, parameters: Parameters):
        self.expectation, self.parameters = expectation, parameters
        self._letters = {field.letter for field in parameters.fields}

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """log p(x) + log prior and its gradient, (n,)."""
        chain = self.parameters.at(point)
        value, slopes = self.slopes(chain)
        return value, self.parameters.pullback(chain, slopes)

    def trial(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """The same for a step that may be too long: −∞ where the model ends, or numbers do."""
        try:
            with np.errstate(all="ignore"):
                value, slope = self(point)
        except (DataError, ImpossibleEvidenceError, NumericalError, np.linalg.LinAlgError):
            return -np.inf, np.zeros(len(point))
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return -np.inf, np.zeros(len(point))
        return value, slope

    def slopes(self, chain: Chain) -> tuple[float, dict[str, np.ndarray]]:
        """Value, and its gradient by the names of the fields, in their own shapes."""
        expected = self.expectation(chain)
        return expected.log_likelihood + chain.log_prior(), self._slopes(chain, expected)

    def _slopes(self, chain: Chain, expected: Expected) -> dict[str, np.ndarray]:
        slopes: dict[str, np.ndarray] = {}
        if "s" in self._letters:
            p = chain.initial
            slopes["startprob"] = np.divide(expected.initial, p, out=np.zeros(p.shape), where=p > 0)
            slopes["startprob"] = slopes["startprob"] + dirichlet_slope(p, chain.concentration)
        if "t" in self._letters:
            inputs = self.expectation.evidence.inputs
            slopes |= _added(
                chain.transition.gradient(expected.transition, inputs), chain.transition.prior_gradient()
            )
        if self._letters - {"s", "t"}:
            gamma = self.expectation.posteriors(chain, expected)
            slopes |= _added(
                chain.emission.gradient(self.expectation.evidence.data, gamma),
                chain.emission_prior_gradient(),
            )
        return slopes

    def curvature(self, chain: Chain) -> np.ndarray:
        """A guess at −∂²/∂u² of each coordinate, (n,): information of one observation, as if states were
        seen, times expected observations."""
        expected = self.expectation(chain)
        gamma = self.expectation.posteriors(chain, expected)
        slopes, values, found = self._slopes(chain, expected), values_of(chain), [np.zeros(0)]
        for field in self.parameters.fields:
            told = field.domain.information(field.like)
            if isinstance(field.domain, Rows) and field.letter in "st":
                mass = (values[field.name] * slopes[field.name]).sum(axis=-1, keepdims=True)
            else:
                mass = gamma.sum() if not field.domain.by_state else gamma.sum(axis=0)
                mass = mass.reshape(mass.shape + (1,) * (told.ndim - mass.ndim))
            found.append((told * np.maximum(mass, LEAST_MASS))[field.free])
        return np.maximum(np.concatenate(found), LEAST_MASS)


def _added(slopes: dict[str, np.ndarray], prior: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return slopes | {name: slopes[name] + more for name, more in prior.items()}
