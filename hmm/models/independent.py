"""What the models of independent features share: X is (T, D) or (T,), each cell of the kind that the emission
wants."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.independent import Independent
from msgpass.errors import DataError


class IndependentHMM(BaseHMM):
    """Base of models whose emission is :class:`~hmm.emissions.independent.Independent`; a model adds its
    constructor, and ``settings`` where its emission has priors."""

    EMISSION: ClassVar[type[Independent]]
    FLAT = True

    def settings(self) -> dict[str, Any]:
        """What the emission holds beside its parameters."""
        return {}

    @property
    def n_features(self) -> int:
        """Features D in an observation."""
        return self.chain().emission.n_features

    def emission(self, X: np.ndarray | None = None) -> Independent:
        fields = {field: getattr(self, f"{field}_") for field in self.EMISSION.LETTERS.values()}
        return self.EMISSION(**fields, **self.settings())

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Independent:
        return self.EMISSION.start(X, self.n_components, rng)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        words, allowed = self.EMISSION.SUPPORT
        wrong = ~allowed(X) & ~np.isnan(X)
        if wrong.any():
            t, d = np.argwhere(wrong)[0]
            raise DataError(
                f"X holds {X[t, d]} at row {t}, column {d}; {type(self).__name__} takes numbers that are "
                f"{words}, and a missing one is NaN"
            )
        return X
