"""Emission distributions, one file each; the contract is :class:`hmm.emissions.base.Emission`."""

from hmm.emissions.autoregressive import Autoregressive
from hmm.emissions.base import Emission
from hmm.emissions.bernoulli import Bernoulli
from hmm.emissions.categorical import Categorical
from hmm.emissions.exponential import Exponential
from hmm.emissions.gamma import Gamma
from hmm.emissions.gaussian import Gaussian
from hmm.emissions.gaussian_mixture import GaussianMixture
from hmm.emissions.independent import Independent
from hmm.emissions.linear_regression import LinearRegression
from hmm.emissions.log_normal import LogNormal
from hmm.emissions.logistic_regression import LogisticRegression
from hmm.emissions.mixed import Mixed
from hmm.emissions.multinomial import Multinomial
from hmm.emissions.negative_binomial import NegativeBinomial
from hmm.emissions.poisson import Poisson
from hmm.emissions.scipy_stats import ScipyStats
from hmm.emissions.student_t import StudentT
from hmm.emissions.von_mises import VonMises

__all__ = [
    "Autoregressive",
    "Bernoulli",
    "Categorical",
    "Emission",
    "Exponential",
    "Gamma",
    "Gaussian",
    "GaussianMixture",
    "Independent",
    "LinearRegression",
    "LogNormal",
    "LogisticRegression",
    "Mixed",
    "Multinomial",
    "NegativeBinomial",
    "Poisson",
    "ScipyStats",
    "StudentT",
    "VonMises",
]
