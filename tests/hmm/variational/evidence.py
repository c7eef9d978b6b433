"""The oracle: log p(x, z) with all parameters integrated out, observation by observation, from the priors in
a model's attributes and nothing else of it."""

from itertools import product

import numpy as np
from scipy import stats
from scipy.special import gammaln, logsumexp


def joint(model, X, lengths, z):
    """log p(x, z)."""
    firsts = np.cumsum(lengths) - lengths
    follows = np.setdiff1d(np.arange(len(X)), firsts)
    K = model.n_components
    pairs = np.zeros((K, K))
    np.add.at(pairs, (z[follows - 1], z[follows]), 1)
    total = dirichlet_multinomial(np.bincount(z[firsts], minlength=K), model.startprob_prior_)
    total += sum(map(dirichlet_multinomial, pairs, model.transmat_prior_))
    return total + (symbols if hasattr(model, "emissionprob_prior_") else normals)(model, X, z)


def every_path(model, X, lengths):
    """(paths, log p(x, path))."""
    paths = np.array(list(product(range(model.n_components), repeat=len(X))))
    return paths, np.array([joint(model, X, lengths, z) for z in paths])


def log_evidence(model, X, lengths):
    """log p(x)."""
    return float(logsumexp(every_path(model, X, lengths)[1]))


def dirichlet_multinomial(counts, alpha):
    inside = alpha > 0
    if counts[~inside].any():
        return -np.inf
    counts, alpha = counts[inside], alpha[inside]
    return (
        gammaln(alpha.sum())
        - gammaln(alpha.sum() + counts.sum())
        + (gammaln(alpha + counts) - gammaln(alpha)).sum()
    )


def symbols(model, X, z):
    counts = np.zeros(model.emissionprob_prior_.shape)
    for x, k in zip(np.ravel(X).astype(int), z, strict=True):
        if x >= 0:
            counts[k, x] += 1
    return sum(map(dirichlet_multinomial, counts, model.emissionprob_prior_))


def normals(model, X, z):
    """By Student's t of each row (matrices) or cell (variances) given those before."""
    K, D = model.means_prior_.shape
    kind, means = model.covariance_type, model.means_prior_.copy()
    beta = np.repeat(np.array(model.beta_prior_, float)[:, None], D, axis=1)
    dof = np.array(np.broadcast_to(model.dof_prior_, K), float)
    total = 0.0
    if kind in ("full", "tied"):
        scale = np.array(np.broadcast_to(model.scale_prior_, (K, D, D)))
        for x, k in zip(X, z, strict=True):
            if np.isnan(x).all():
                continue
            one = 0 if kind == "tied" else k
            free, b = dof[one] - D + 1, beta[k, 0]
            shape = scale[one] * (b + 1) / (b * free)
            total += stats.multivariate_t(means[k], shape, free).logpdf(x)
            off = x - means[k]
            scale[one] += b / (b + 1) * np.outer(off, off)
            means[k], beta[k], dof[one] = (b * means[k] + x) / (b + 1), b + 1, dof[one] + 1
        return total
    # Precisions are Gamma(a, b): one a state and feature, or one a state.
    owners = (
        np.repeat(np.arange(K)[:, None], D, axis=1) if kind == "spherical" else np.arange(K * D).reshape(K, D)
    )
    times = D if kind == "spherical" else 1
    a = times * (dof if kind == "spherical" else np.repeat(dof, D)) / 2
    b = times * np.ravel(model.scale_prior_).astype(float) / 2
    for x, k in zip(X, z, strict=True):
        for d in np.flatnonzero(~np.isnan(x)):
            own, w, off = owners[k, d], beta[k, d], x[d] - means[k, d]
            width = np.sqrt(b[own] / a[own] * (w + 1) / w)
            total += stats.t(2 * a[own], means[k, d], width).logpdf(x[d])
            a[own] += 0.5
            b[own] += 0.5 * w / (w + 1) * off**2
            means[k, d], beta[k, d] = (w * means[k, d] + x[d]) / (w + 1), w + 1
    return total
