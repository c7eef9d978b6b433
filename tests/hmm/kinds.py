"""Every model beside the first three, with random parameters, and rows drawn from it."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

import hmm

SCIPY = {"scipy laplace": "laplace", "scipy weibull": "weibull_min", "scipy nbinom": "nbinom"}
MIXTURES = tuple(f"gmm {name}" for name in ("spherical", "diag", "full", "tied"))
REGRESSIONS = ("linear", "logistic")
INDEPENDENT = (
    "bernoulli",
    "exponential",
    "gamma",
    "log-normal",
    "student",
    "von Mises",
    "negative binomial",
    *SCIPY,
)
KINDS = (*INDEPENDENT, "multinomial", *MIXTURES, "mixed", *REGRESSIONS, "autoregressive")
TRIALS = 4


def make(kind, K, D, rng, **settings):
    """An unfitted model of a kind with random parameters; D features where a kind can have any number."""
    model = emitting(kind, K, D, rng, settings)
    model.startprob_ = rng.dirichlet(np.ones(K))
    model.transmat_ = rng.dirichlet(np.ones(K), K)
    return model


def emitting(kind, K, D, rng, settings):
    def positive(*shape):
        return rng.uniform(0.5, 3, shape)

    if kind == "bernoulli":
        model = hmm.BernoulliHMM(K, **settings)
        model.probs_ = rng.uniform(0.1, 0.9, (K, D))
    elif kind == "exponential":
        model = hmm.ExponentialHMM(K, **settings)
        model.rates_ = positive(K, D)
    elif kind == "gamma":
        model = hmm.GammaHMM(K, **settings)
        model.shapes_, model.scales_ = 1 + positive(K, D), positive(K, D)
    elif kind == "log-normal":
        model = hmm.LogNormalHMM(K, **settings)
        model.locs_, model.scales_ = rng.normal(size=(K, D)), 0.4 * positive(K, D)
    elif kind == "student":
        model = hmm.StudentTHMM(K, **settings)
        model.locs_, model.scales_ = 2 * rng.normal(size=(K, D)), positive(K, D)
        model.dofs_ = 1 + positive(K, D)
    elif kind == "von Mises":
        model = hmm.VonMisesHMM(K, **settings)
        model.locs_, model.kappas_ = rng.uniform(-3, 3, (K, D)), positive(K, D)
    elif kind == "negative binomial":
        model = hmm.NegativeBinomialHMM(K, **settings)
        model.means_, model.sizes_ = positive(K, D), positive(K, D)
    elif kind in SCIPY:
        model = hmm.ScipyHMM(K, distribution=SCIPY[kind], **settings)
        first, second = 1 + positive(K, D), positive(K, D)
        model.parameters_ = {
            "laplace": np.stack([first, second], axis=-1),
            "weibull_min": np.stack([first, 0 * first, second], axis=-1),
            "nbinom": np.stack([first, second / 4, 0 * first], axis=-1),
        }[SCIPY[kind]]
    elif kind == "multinomial":
        model = hmm.MultinomialHMM(K, n_trials=TRIALS, **settings)
        model.emissionprob_ = rng.dirichlet(2 * np.ones(D + 1), K)
    elif kind in MIXTURES:
        covariance_type, M = kind.split()[1], 2
        model = hmm.GMMHMM(K, n_mix=M, covariance_type=covariance_type, **settings)
        model.weights_ = rng.dirichlet(3 * np.ones(M), K)
        model.means_ = 2 * rng.normal(size=(K, M, D))
        root = rng.normal(size=(K, M, D, D))
        full = root @ np.swapaxes(root, -1, -2) + 0.5 * np.eye(D)
        model.covars_ = {
            "spherical": positive(K, M),
            "diag": positive(K, M, D),
            "full": full,
            "tied": full[:, 0],
        }[covariance_type]
    elif kind == "mixed":
        model = hmm.MixedHMM(K, [(hmm.PoissonHMM(), 1), (hmm.GaussianHMM(covariance_type="full"), [0, 2])])
        model.set_params(**settings)
        counts, numbers = hmm.PoissonHMM(K), hmm.GaussianHMM(K, covariance_type="full")
        counts.lambdas_ = positive(K, 1)
        numbers.means_ = 2 * rng.normal(size=(K, 2))
        root = rng.normal(size=(K, 2, 2))
        numbers.covars_ = root @ np.swapaxes(root, -1, -2) + 0.5 * np.eye(2)
        model.parts_ = [counts, numbers]
    elif kind == "linear":
        model = hmm.LinearRegressionHMM(K, n_targets=D, **settings)
        model.coef_, model.intercept_ = rng.normal(size=(K, D, 2)), rng.normal(size=(K, D))
        model.covars_ = positive(K, D)
    elif kind == "logistic":
        model = hmm.LogisticRegressionHMM(K, **settings)
        model.coef_, model.intercept_ = rng.normal(size=(K, 2)), rng.normal(size=K)
    else:
        model = hmm.AutoregressiveHMM(K, order=2, **settings)
        model.coef_ = 0.3 * rng.normal(size=(K, D, 2 * D))
        model.intercept_, model.covars_ = rng.normal(size=(K, D)), positive(K, D)
    return model


def rows(model, T, rng):
    """T rows drawn from a model; regressions are given covariates."""
    if isinstance(model, hmm.LinearRegressionHMM | hmm.LogisticRegressionHMM):
        return model.sample(random_state=rng, covariates=rng.normal(size=(T, 2)))[0]
    return model.sample(T, rng)[0].astype(float)


def with_gaps(model, X, share, rng):
    """Cells lost at random; covariates are never lost."""
    X = X.copy()
    lost = rng.random(X.shape) < share
    if isinstance(model, hmm.LinearRegressionHMM | hmm.LogisticRegressionHMM):
        lost[:, -2:] = False
    X[lost] = np.nan
    return X


def prepared(model, X, lengths=None):
    """(emission, data) as a model hands them to each other."""
    chain, evidence = model._ready(X, lengths)
    return chain.emission, evidence.data


def leaves(emission, prefix=""):
    """Arrays that are estimated, by the names under which ``gradient`` has them."""
    if hasattr(emission, "parts"):
        found = {}
        for i, part in enumerate(emission.parts):
            found |= leaves(part.emission, f"{i}.")
        return found
    return {prefix + field: getattr(emission, field) for field in emission.LETTERS.values()}


def with_leaf(emission, name, value):
    """The emission with one array replaced."""
    if hasattr(emission, "parts"):
        i, field = name.split(".")
        parts = list(emission.parts)
        parts[int(i)] = replace(parts[int(i)], emission=with_leaf(parts[int(i)].emission, field, value))
        return replace(emission, parts=tuple(parts))
    return replace(emission, **{name: value})


def permuted(model, order):
    """The same model with its states in another order."""
    order = list(order)
    other = type(model)(**model.get_params(deep=False))
    other.startprob_ = np.asarray(model.startprob_)[order]
    other.transmat_ = np.asarray(model.transmat_)[order][:, order]
    if isinstance(model, hmm.MixedHMM):
        other.parts_ = [part_in_order(part, order) for part in model.parts_]
        return other
    for field in model.EMISSION.LETTERS.values():
        setattr(other, f"{field}_", np.asarray(getattr(model, f"{field}_"))[order])
    return other


def part_in_order(part, order):
    other = type(part)(**part.get_params())
    for field in part.EMISSION.LETTERS.values():
        name = "_covars_" if field == "covars" else f"{field}_"
        setattr(other, name, getattr(part, name)[order])
    return other


def parameters(model):
    """All that is estimated, as one list of arrays."""
    return [model.startprob_, model.transmat_, *leaves(model.chain().emission).values()]


@dataclass
class Case:
    """A model with its parameters set, and sequences end to end."""

    model: object
    X: np.ndarray
    lengths: list

    def __repr__(self):
        return f"{self.model} over {self.lengths}:\n{self.X}"


@st.composite
def cases(draw, kind, max_states=3, max_length=6, sequences=2, missing=True, **settings):
    """A random model of a kind and data drawn from it."""
    K, D = draw(st.integers(1, max_states)), draw(st.integers(1, 2))
    lengths = draw(st.lists(st.integers(1, max_length), min_size=1, max_size=sequences))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = make(kind, K, D, rng, **settings)
    X = np.concatenate([rows(model, n, rng) for n in lengths])
    if missing and draw(st.booleans()):
        X = with_gaps(model, X, 0.25, rng)
    return Case(model, X, lengths)
