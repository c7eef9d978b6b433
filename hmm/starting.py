"""From a model's settings and attributes to the chain that a fit starts from."""

from __future__ import annotations

import copy

import numpy as np

from hmm.chain import Chain
from hmm.learning import Priors
from hmm.monitor import check_tolerance, log
from hmm.validation import generator, letters, one_of, prior, whole

ALGORITHMS = ("viterbi", "map")
IMPLEMENTATIONS = ("log", "scaling")


def fields(model) -> dict[str, str]:
    """Letter → what it stands for, of a model's estimable parameters."""
    return {"s": "startprob", "t": "transmat", **model.EMISSION.LETTERS}


def check_settings(model) -> Priors:
    """The priors on initial and transition probabilities, all constructor arguments of every model
    checked."""
    K = whole("n_components", model.n_components, 1)
    whole("n_iter", model.n_iter, 0)
    check_tolerance(model.tol)
    one_of("algorithm", model.algorithm, ALGORITHMS)
    one_of("implementation", model.implementation, IMPLEMENTATIONS)
    letters("params", model.params, fields(model))
    letters("init_params", model.init_params, fields(model))
    return Priors(
        prior("startprob_prior", model.startprob_prior, (K,), positive=True),
        prior("transmat_prior", model.transmat_prior, (K, K), positive=True),
    )


def starting_chain(model, X: np.ndarray) -> Chain:
    """What the attributes hold and ``init_params`` does not name; the rest from the data. The model stays as
    it is."""
    anew = {
        letter: field
        for letter, field in fields(model).items()
        if letter in model.init_params or not model.has(field)
    }
    if not model.has("n_features_in"):
        for letter, field in anew.items():
            if model.has(field):
                log.warning(
                    "%s_ was set, but the fit starts anew because init_params contains %r", field, letter
                )
    rng, draft = generator(model.random_state), copy.copy(model)
    if "s" in anew:
        draft.startprob_ = np.full(model.n_components, 1 / model.n_components)
    if "t" in anew:
        draft.transmat_ = model.start_transition(X, rng)
    emission = {letter: field for letter, field in anew.items() if letter in model.EMISSION.LETTERS}
    if emission:
        start = model.start_emission(X, rng)
        for field in emission.values():
            setattr(draft, f"{field}_", getattr(start, field))
    chain = draft.chain(X)
    free = sum(n for letter, n in free_parameters(chain).items() if letter in model.params)
    if X.size < free:
        log.warning("Fitting %d free parameters to %d numbers; the solution will be degenerate", free, X.size)
    return chain


def free_parameters(chain: Chain) -> dict[str, int]:
    """Free numbers by letter."""
    K = len(chain.initial)
    return {"s": K - 1, "t": K * (K - 1), **chain.emission.n_parameters()}
