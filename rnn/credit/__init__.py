"""rnn.credit: temporal credit assignment as messages.

Returns and advantages are recurrences against time, eligibility traces one in the order of time, and TD(λ)
sends weights and traces forward through all episodes. :func:`compare_views` puts both views side by side,
:func:`truncation_for` ties λ to a window of truncated back-propagation."""

from importlib import import_module

from rnn.credit.advantages import gae, td_errors
from rnn.credit.features import one_hot
from rnn.credit.processes import Episodes, MarkovRewardProcess, random_walk
from rnn.credit.returns import lambda_returns, monte_carlo_returns, n_step_returns
from rnn.credit.sweep import Sweep, error_curves
from rnn.credit.td import TDRun, td_graph, td_lambda
from rnn.credit.traces import eligibility_traces
from rnn.credit.truncation import kept_weight, truncation_for
from rnn.credit.views import SemiGradient, Views, compare_views, semi_gradient

__all__ = [
    "Episodes",
    "MarkovRewardProcess",
    "SemiGradient",
    "Sweep",
    "TDLearner",
    "TDRun",
    "Views",
    "compare_views",
    "eligibility_traces",
    "error_curves",
    "gae",
    "kept_weight",
    "lambda_returns",
    "monte_carlo_returns",
    "n_step_returns",
    "one_hot",
    "random_walk",
    "semi_gradient",
    "td_errors",
    "td_graph",
    "td_lambda",
    "truncation_for",
]


def __getattr__(name: str):
    if name != "TDLearner":  # it brings scikit-learn with it
        raise AttributeError(f"rnn.credit has no {name!r}; it has {', '.join(__all__)}")
    return import_module("rnn.credit.learner").TDLearner
