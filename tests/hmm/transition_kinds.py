"""Every kind of transition on models of several emissions, and what each says of a path, written anew."""

from functools import cache
from itertools import groupby, pairwise, product

import numpy as np
from scipy import stats
from scipy.sparse import csr_array
from scipy.special import log_softmax

from hmm.transitions import ByGroup, Logistic, SemiMarkov
from tests.hmm import drawn as first
from tests.hmm import kinds as others
from tests.hmm.enumeration import log_sum

SEMI_MARKOV = ("poisson", "negative binomial", "empirical", "geometric")
KINDS = ("by group", "logistic", *SEMI_MARKOV, "sparse")
EMISSIONS = ("categorical", "poisson", "full", "gamma", "mixed", "autoregressive")
GROUPS, INPUTS, LONGEST = 3, 2, 4


def make(kind, emission, K, rng, **settings):
    """An unfitted model with random parameters; some transitions are impossible."""
    transitions = {"by group": ByGroup(GROUPS), "logistic": Logistic(INPUTS)}.get(kind)
    if kind in SEMI_MARKOV:
        transitions = SemiMarkov(kind, longest=LONGEST)
    module = first if emission in first.KINDS else others
    model = module.make(emission, K, 2, rng, transitions=transitions, **settings)
    mask = np.eye(K, dtype=bool) | (rng.random((K, K)) < 0.7)
    if kind == "by group":
        model.transmat_ = np.stack([rows_over(mask, rng) for _ in range(GROUPS)])
    elif kind == "logistic":
        del model.transmat_
        model.transition_coef_ = rng.normal(size=(K, K, INPUTS))
        model.transition_intercept_ = np.where(mask, rng.normal(size=(K, K)), -np.inf)
    elif kind == "sparse":
        model.transmat_ = csr_array(rows_over(mask, rng))
    else:
        model.transmat_ = rows_over(~np.eye(K, dtype=bool), rng)
        model.duration_params_ = {
            "poisson": rng.uniform(0.3, 4, (K, 1)),
            "negative binomial": rng.uniform(0.3, 4, (K, 2)),
            "empirical": rng.uniform(0.1, 0.9, (K, LONGEST)),
            "geometric": rng.uniform(0.3, 4, (K, 1)),
        }[kind]
    return model


def rows_over(mask, rng):
    """Random rows over a mask; a row of nothing is zero."""
    weights = np.where(mask, rng.gamma(2.0, size=mask.shape), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(total > 0, total, 1)


def inputs(kind, n, rng):
    """n rows of inputs, or None."""
    if kind == "by group":
        return rng.integers(0, GROUPS, (n, 1)).astype(float)
    return rng.normal(size=(n, INPUTS)) if kind == "logistic" else None


def rows(kind, model, lengths, rng, missing=0.0):
    """Data drawn from a model; the inputs of first rows, which nothing reads, are missing."""
    parts = []
    for n in lengths:
        U = inputs(kind, n, rng)
        X = model.sample(n, rng, inputs=U)[0].astype(float)
        observed = X if U is None else X[:, : -U.shape[1]]
        observed[rng.random(observed.shape) < missing] = np.nan
        if U is not None:
            X[0, -U.shape[1] :] = np.nan
        parts.append(X)
    return np.concatenate(parts)


def paths_and_scores(kind, model, X, silent=0):
    """(every path (n, T), log p(X, path)) of one sequence; ``silent`` rows at the end are not observed."""
    P = {"by group": 1, "logistic": INPUTS}.get(kind, 0)
    U = X[:, X.shape[1] - P :] if P else None
    chain, evidence = model._ready(X, None)
    density = chain.emission.log_density(evidence.data)
    density[len(X) - silent :] = 0
    T, K = density.shape
    paths = np.array(list(product(range(K), repeat=T)))
    with np.errstate(divide="ignore"):
        scores = np.log(model.startprob_)[paths[:, 0]] + density[np.arange(T), paths].sum(axis=1)
        move = segments_of(kind, model) if kind in SEMI_MARKOV else moves_of(kind, model, U)
        return paths, scores + np.array([move(path) for path in paths.tolist()])


def moves_of(kind, model, U):
    """The function of a path that is log p(path | its first state)."""

    @cache
    def row(t, i):
        if kind == "by group":
            return np.log(model.transmat_[int(U[t, 0])][i])
        if kind == "logistic":
            return log_softmax(model.transition_coef_[i] @ U[t] + model.transition_intercept_[i])
        return np.log(model.transmat_.toarray()[i])

    return lambda path: sum((row(t, i)[j] for t, (i, j) in enumerate(pairwise(path), start=1)), 0.0)


def segments_of(kind, model):
    """As above: durations of all visits but the last, which may go on; and where each went."""
    left = cache(lambda k, d: np.log(pmf(kind, model, k, d)))
    stayed = cache(lambda k, d: np.log(survivor(kind, model, k, d)))

    def segments(path):
        visits = [(k, len(list(steps))) for k, steps in groupby(path)]
        total = 0.0
        for (k, d), (j, _) in pairwise(visits):
            total += left(k, d) + np.log(model.transmat_[k, j])
        k, d = visits[-1]
        if not np.any(model.transmat_[k]):
            return total
        return total + stayed(k, d)

    return segments


def pmf(kind, model, k, d):
    """P(D = d), with the geometric tail beyond the longest age."""
    if kind in ("empirical", "geometric"):
        return survivor(kind, model, k, d) - survivor(kind, model, k, d + 1)
    law = distribution(kind, model, k)
    if d < LONGEST:
        return law.pmf(d - 1)
    hazard = law.pmf(LONGEST - 1) / law.sf(LONGEST - 2)
    return law.sf(LONGEST - 2) * (1 - hazard) ** (d - LONGEST) * hazard


def survivor(kind, model, k, d):
    """P(D ≥ d)."""
    if kind == "empirical":
        hazards = [model.duration_params_[k][min(a, LONGEST - 1)] for a in range(d - 1)]
        return np.prod(1 - np.array(hazards))
    if kind == "geometric":
        m = model.duration_params_[k][0]
        return (m / (1 + m)) ** (d - 1)
    law = distribution(kind, model, k)
    return 1 - sum(pmf(kind, model, k, n) for n in range(1, d)) if d > LONGEST else law.sf(d - 2)


def distribution(kind, model, k):
    params = np.asarray(model.duration_params_)[k]
    if kind == "poisson":
        return stats.poisson(params[0])
    mean, size = params
    return stats.nbinom(size, size / (size + mean))


def marginals(paths, scores, K):
    """p(z_t = k | X), (T, K)."""
    weight = np.exp(scores - log_sum(scores))
    return np.stack([weight @ (paths == k) for k in range(K)], axis=1)
