"""Models of every kind with priors, data for them, and what a fit by gradients makes of both."""

from hmm.learning.expectation import Expectation
from hmm.learning.objective import Objective
from hmm.learning.parameters import Parameters
from hmm.starting import model_restrictions, starting_chain
from tests.hmm import drawn as first
from tests.hmm import kinds as others

KINDS = (*first.KINDS, *others.KINDS)
CHAIN = {"startprob_prior": 1.7, "transmat_prior": 2.1}
NORMAL = {"means_prior": 0.3, "means_weight": 0.8, "covars_prior": 0.9, "covars_weight": 5.0}
PRIORS = {
    "categorical": {"emissionprob_prior": 1.5},
    "poisson": {"lambdas_prior": 2.0, "lambdas_weight": 1.5},
    "bernoulli": {"probs_prior": (2.0, 1.5)},
    "exponential": {"rates_prior": 2.0, "rates_weight": 1.5},
    "multinomial": {"emissionprob_prior": 1.5},
    "logistic": {"l2": 0.7},
    **dict.fromkeys(("spherical", "diag", "full", "tied"), NORMAL),
    **dict.fromkeys(others.MIXTURES, NORMAL | {"weights_prior": 1.6}),
}


def made(kind, K, rng, T=40, gaps=0.15, prior=False, lengths=None, **settings):
    """(model with its parameters set and a fit that starts from them, data)."""
    module = first if kind in first.KINDS else others
    settings = {"init_params": ""} | (CHAIN | PRIORS.get(kind, {}) if prior else {}) | settings
    model = module.make(kind, K, 2, rng, **settings)
    X = others.rows(model, T, rng).astype(float)
    return model, others.with_gaps(model, X, gaps, rng) if gaps else X


def objective_of(model, X, lengths=None, weights=None, labels=None):
    """(objective of a fit, the point that it starts from)."""
    sample, _ = model._sample(X, None, lengths, weights, labels)
    chain = starting_chain(model, sample, None)
    expectation = Expectation(sample, chain, model_restrictions(model))
    parameters = Parameters.of(chain, model.params, expectation.evidence.data, expectation.restrictions)
    return Objective(expectation, parameters), parameters.vector(chain)


def same_start(model, **settings):
    """A model of other settings that holds the same parameters."""
    other = type(model)(**(model.get_params(deep=False) | settings))
    names = [name for name in vars(model) if name.endswith("_")]
    vars(other).update({name: vars(model)[name] for name in names})
    return other
