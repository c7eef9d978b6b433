"""q(θ) of a whole model, in the place of a chain of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from hmm.chain import Chain
from hmm.variational.divergences import dirichlet, expected_log
from hmm.variational.emission import VariationalEmission
from hmm.variational.rows import DirichletRows


@dataclass(frozen=True, eq=False)
class Posterior(Chain):
    """A chain whose ``initial`` holds the concentrations of q(π), ``concentration`` those of p(π), and whose
    transition and emission are posteriors, too.

    log Z of its graph plus ``log_prior()``, which is −KL(q(θ) ‖ p(θ)), is the lower bound.
    """

    def log_initial(self) -> np.ndarray:
        """E[log π]."""
        return expected_log(self.initial)

    def learn_initial(self, counts: np.ndarray, frozen: np.ndarray | None = None) -> np.ndarray:
        return self.concentration + counts

    def log_prior(self) -> float:
        """−KL(q ‖ p) of all parameters."""
        return (
            -dirichlet(self.initial, self.concentration)
            + self.transition.log_prior()
            + self.emission.log_prior()
        )

    @property
    def point(self) -> Chain:
        """An ordinary chain at the middle of the posterior."""
        transition = cast(DirichletRows, self.transition).point
        emission = cast(VariationalEmission, self.emission).point
        return Chain(self.initial / self.initial.sum(), transition, emission)
