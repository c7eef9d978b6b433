"""The contract of an emission whose parameters have a posterior.

``log_density`` is E[log p(x_t | k)], ``fit`` the conjugate update, ``log_prior`` −KL(q ‖ p); so an emission
takes part in Baum-Welch as any other. To add one, subclass :class:`VariationalEmission` and write these,
``check`` and ``point``."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from hmm.emissions.base import Emission


class VariationalEmission(Emission):
    """Base of these emissions; its fields that ``HELD`` names are a model's attributes, with "_" behind."""

    HELD: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Letter of ``params`` → fields, "…_prior" and "…_posterior"."""

    @property
    @abstractmethod
    def point(self) -> Emission:
        """An ordinary emission at the middle of the posterior."""

    @property
    def n_features(self) -> int:
        return self.point.n_features

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.point.sample(states, rng)

    def n_parameters(self) -> dict[str, int]:
        return self.point.n_parameters()
