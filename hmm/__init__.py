"""hmm: hidden Markov models with hmmlearn's names, on the factor graphs of :mod:`msgpass`.

A model builds one graph over the data and reads its messages: ``total`` is the log-likelihood, what arrives
at the parameters is the E-step of Baum-Welch, ``MaxProduct`` is Viterbi. Models are loaded when they are
first asked for, because scikit-learn, whose conventions they follow, takes a second to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hmm.batching import batches
    from hmm.dynamic.bayesian_network import DynamicBayesianNetwork
    from hmm.dynamic.coupled import CoupledHMM
    from hmm.dynamic.factorial import FactorialHMM
    from hmm.dynamic.hierarchical import HierarchicalHMM
    from hmm.keeping import load
    from hmm.models.autoregressive import AutoregressiveHMM
    from hmm.models.bernoulli import BernoulliHMM
    from hmm.models.categorical import CategoricalHMM
    from hmm.models.exponential import ExponentialHMM
    from hmm.models.gamma import GammaHMM
    from hmm.models.gaussian import GaussianHMM
    from hmm.models.gaussian_mixture import GMMHMM
    from hmm.models.linear_regression import LinearRegressionHMM
    from hmm.models.log_normal import LogNormalHMM
    from hmm.models.logistic_regression import LogisticRegressionHMM
    from hmm.models.mixed import MixedHMM
    from hmm.models.multinomial import MultinomialHMM
    from hmm.models.negative_binomial import NegativeBinomialHMM
    from hmm.models.poisson import PoissonHMM
    from hmm.models.scipy_stats import ScipyHMM
    from hmm.models.student_t import StudentTHMM
    from hmm.models.switching_mean import SwitchingMeanHMM
    from hmm.models.variational_categorical import VariationalCategoricalHMM
    from hmm.models.variational_gaussian import VariationalGaussianHMM
    from hmm.models.von_mises import VonMisesHMM
    from hmm.monitor import ConvergenceMonitor
    from hmm.state_space.model import LinearGaussianSSM
    from hmm.state_space.nonlinear import NonlinearSSM
    from hmm.state_space.structural.model import StructuralTimeSeries
    from hmm.state_space.switching.model import SwitchingLinearGaussianSSM

__all__ = [
    "GMMHMM",
    "AutoregressiveHMM",
    "BernoulliHMM",
    "CategoricalHMM",
    "ConvergenceMonitor",
    "CoupledHMM",
    "DynamicBayesianNetwork",
    "ExponentialHMM",
    "FactorialHMM",
    "GammaHMM",
    "GaussianHMM",
    "HierarchicalHMM",
    "LinearGaussianSSM",
    "LinearRegressionHMM",
    "LogNormalHMM",
    "LogisticRegressionHMM",
    "MixedHMM",
    "MultinomialHMM",
    "NegativeBinomialHMM",
    "NonlinearSSM",
    "PoissonHMM",
    "ScipyHMM",
    "StructuralTimeSeries",
    "StudentTHMM",
    "SwitchingLinearGaussianSSM",
    "SwitchingMeanHMM",
    "VariationalCategoricalHMM",
    "VariationalGaussianHMM",
    "VonMisesHMM",
    "batches",
    "load",
]

_HOMES = {
    "AutoregressiveHMM": "hmm.models.autoregressive",
    "BernoulliHMM": "hmm.models.bernoulli",
    "CategoricalHMM": "hmm.models.categorical",
    "ConvergenceMonitor": "hmm.monitor",
    "CoupledHMM": "hmm.dynamic.coupled",
    "DynamicBayesianNetwork": "hmm.dynamic.bayesian_network",
    "ExponentialHMM": "hmm.models.exponential",
    "FactorialHMM": "hmm.dynamic.factorial",
    "GMMHMM": "hmm.models.gaussian_mixture",
    "GammaHMM": "hmm.models.gamma",
    "GaussianHMM": "hmm.models.gaussian",
    "HierarchicalHMM": "hmm.dynamic.hierarchical",
    "LinearGaussianSSM": "hmm.state_space.model",
    "LinearRegressionHMM": "hmm.models.linear_regression",
    "LogNormalHMM": "hmm.models.log_normal",
    "LogisticRegressionHMM": "hmm.models.logistic_regression",
    "MixedHMM": "hmm.models.mixed",
    "MultinomialHMM": "hmm.models.multinomial",
    "NegativeBinomialHMM": "hmm.models.negative_binomial",
    "NonlinearSSM": "hmm.state_space.nonlinear",
    "PoissonHMM": "hmm.models.poisson",
    "ScipyHMM": "hmm.models.scipy_stats",
    "StructuralTimeSeries": "hmm.state_space.structural.model",
    "StudentTHMM": "hmm.models.student_t",
    "SwitchingLinearGaussianSSM": "hmm.state_space.switching.model",
    "SwitchingMeanHMM": "hmm.models.switching_mean",
    "VariationalCategoricalHMM": "hmm.models.variational_categorical",
    "VariationalGaussianHMM": "hmm.models.variational_gaussian",
    "VonMisesHMM": "hmm.models.von_mises",
    "batches": "hmm.batching",
    "load": "hmm.keeping",
}

_MODULES = ("structural", "vhmm")
"""Modules that are loaded as attributes; ``vhmm`` is hmmlearn's other one."""


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f"hmm.{name}")
    if name not in _HOMES:
        raise AttributeError(f"hmm has no {name!r}; it has {', '.join(__all__)}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_MODULES])
