"""Emission distributions, one file each; the contract is :class:`hmm.emissions.base.Emission`."""

from hmm.emissions.base import Emission
from hmm.emissions.categorical import Categorical
from hmm.emissions.gaussian import Gaussian
from hmm.emissions.poisson import Poisson

__all__ = ["Categorical", "Emission", "Gaussian", "Poisson"]
