"""The oracle: p(x, path) of every one of the K^T paths, for models small enough."""

from itertools import product

import numpy as np


def every_path(model, X):
    """(paths (K^T, T), log p(X, path)) for one sequence, from the model's attributes and nothing else of
    it."""
    K, T = len(model.startprob_), len(X)
    density = log_density(model, X)
    paths = np.array(list(product(range(K), repeat=T)))
    with np.errstate(divide="ignore"):
        start, step = np.log(model.startprob_), np.log(model.transmat_)
    scores = start[paths[:, 0]] + density[np.arange(T), paths].sum(axis=1)
    return paths, scores + step[paths[:, :-1], paths[:, 1:]].sum(axis=1)


def log_sum(scores):
    top = scores.max()
    return float(top + np.log(np.exp(scores - top).sum()))


def posteriors(paths, scores, n_states):
    """p(z_t = k | X), (T, K)."""
    weight = np.exp(scores - log_sum(scores))
    return np.stack([weight @ (paths == k) for k in range(n_states)], axis=1)


def log_density(model, X):
    """log p(x_t | k) by scipy, cell by cell; a missing cell says nothing."""
    from scipy import stats

    K, X = len(model.startprob_), np.asarray(X, float).reshape(len(X), -1)
    density = np.zeros((len(X), K))
    for t, k in np.ndindex(*density.shape):
        seen = ~np.isnan(X[t])
        x = X[t, seen]
        if not seen.any() or (hasattr(model, "emissionprob_") and x[0] < 0):
            continue
        if hasattr(model, "emissionprob_"):
            with np.errstate(divide="ignore"):
                density[t, k] = np.log(model.emissionprob_[k, int(x[0])])
        elif hasattr(model, "lambdas_"):
            density[t, k] = stats.poisson.logpmf(x, model.lambdas_[k, seen]).sum()
        else:
            covariance = model.covars_[k][np.ix_(seen, seen)]
            density[t, k] = stats.multivariate_normal.logpdf(x, model.means_[k, seen], covariance)
    return density
