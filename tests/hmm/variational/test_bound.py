"""The lower bound is what it is by definition, and a bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma
from scipy.stats import dirichlet

from hmm import VariationalCategoricalHMM
from tests.hmm.drawn import with_gaps
from tests.hmm.variational.drawn import KINDS, NORMALS, data, drawn, make
from tests.hmm.variational.evidence import every_path, joint, log_evidence

ONE = {"n_iter": 1, "tol": 0}


def by_definition(model, X, lengths):
    """E_q[log p(x, z, θ)] + H[q(z)] + H[q(θ)], path by path."""

    def logs(alpha):
        return digamma(alpha) - digamma(alpha.sum(axis=-1, keepdims=True))

    firsts = np.cumsum(lengths) - lengths
    follows = np.setdiff1d(np.arange(len(X)), firsts)
    start, step = logs(model.startprob_posterior_), logs(model.transmat_posterior_)
    symbol = logs(model.emissionprob_posterior_)
    paths, _ = every_path(model, X, lengths)
    expected = start[paths[:, firsts]].sum(axis=1)
    expected += step[paths[:, follows - 1], paths[:, follows]].sum(axis=1)
    seen = np.flatnonzero(X >= 0)
    expected += symbol[paths[:, seen], X[seen]].sum(axis=1)
    q = np.exp(expected - expected.max())
    q /= q.sum()
    bound = q @ expected - q @ np.log(q)
    for posterior, prior in (
        (model.startprob_posterior_[None], model.startprob_prior_[None]),
        (model.transmat_posterior_, model.transmat_prior_),
        (model.emissionprob_posterior_, model.emissionprob_prior_),
    ):
        for own, before in zip(posterior, prior, strict=True):
            # scipy has the entropy of q and, in its density, the constant of p.
            middle = np.full(len(own), 1 / len(own))
            constant = dirichlet.logpdf(middle, before) - (before - 1) @ np.log(middle)
            bound += (before - 1) @ logs(own) + constant + dirichlet.entropy(own)
    return bound


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=20)
def test_its_definition(seed, gaps):
    rng = np.random.default_rng(seed)
    model, X, lengths = make("categorical", 2, rng, n_iter=2, tol=0), rng.integers(3, size=6), [4, 2]
    if gaps:
        X[rng.integers(6, size=2)] = -1
    model.fit(X, lengths)
    assert model.lower_bound(X, lengths) == pytest.approx(by_definition(model, X, lengths), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gaps", [False, True])
def test_with_known_states_it_is_the_evidence(kind, gaps, rng):
    """Then q(z) is a point and conjugacy exact, after one update. (Not with latent cells.)"""
    for _ in range(5):
        model, X, lengths = make(kind, 3, rng, **ONE), data(kind, 12, rng), [7, 1, 4]
        if gaps:
            X = with_gaps(X, 0.3, rng)
            if kind in ("full", "tied"):
                X[np.isnan(X).any(axis=1)] = np.nan
            X = np.where(np.isnan(X), -1, X) if kind == "categorical" else X
        z = rng.integers(3, size=12)
        model.fit(X, lengths, labels=z)
        bound = model.lower_bound(X, lengths, labels=z)
        assert bound == pytest.approx(joint(model, X, lengths, z), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_below_the_evidence_and_exact_with_one_state(kind, rng):
    for K in (1, 2, 2, 2):
        model, X, lengths = make(kind, K, rng, n_iter=200), data(kind, 5, rng), [2, 3]
        model.fit(X, lengths)
        gap = log_evidence(model, X, lengths) - model.lower_bound(X, lengths)
        assert gap == pytest.approx(0, abs=1e-9) if K == 1 else 1e-6 < gap < 20


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_latent_cells(kind, rng):
    """With one state, L = E_q(x_u)[L of complete rows] + H[q(x_u)]; what is averaged is quadratic in x_u."""
    model, X = make(kind, 1, rng, D=3, n_iter=3, tol=0), data("full", 6, rng, D=3)
    X[2, 1] = np.nan
    model.fit(X)
    mean, covariance = model.means_[0], model.covars_[0]
    seen = [0, 2]
    weights = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen, 1])
    middle = mean[1] + weights @ (X[2, seen] - mean[seen])
    variance = covariance[1, 1] - weights @ covariance[seen, 1]
    nodes, shares = np.polynomial.hermite_e.hermegauss(3)
    averaged = 0.0
    for node, share in zip(nodes, shares / shares.sum(), strict=True):
        complete = X.copy()
        complete[2, 1] = middle + np.sqrt(variance) * node
        averaged += share * model.lower_bound(complete)
    entropy = 0.5 * np.log(2 * np.pi * np.e * variance)
    assert model.lower_bound(X) == pytest.approx(averaged + entropy, rel=1e-10)


@given(drawn(n_iter=6, tol=0))
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_it_never_falls(case):
    model = case.model.fit(case.X, case.lengths)
    history = [*model.monitor_.history, model.lower_bound(case.X, case.lengths)]
    assert np.diff(history).min(initial=0) >= -1e-9 * max(1, abs(history[-1]))


@given(drawn(sequences=4, n_iter=4, tol=0), st.data())
@settings(max_examples=40)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_nor_with_anything_else_that_a_fit_takes(case, choice):
    rng, letters = case.rng, "ste" if case.kind == "categorical" else "stmc"
    params = choice.draw(st.sets(st.sampled_from(letters)))
    case.model.set_params(
        params="".join(params), topology=choice.draw(st.sampled_from([None, "left-right", "cyclic"]))
    )
    labels = np.full(len(case.X), -1)
    labels[0] = 0
    more = {"weights": rng.uniform(0.1, 3, len(case.lengths)), "labels": labels}
    model = case.model.fit(case.X, case.lengths, **more)
    history = [*model.monitor_.history, model.lower_bound(case.X, case.lengths, **more)]
    assert np.diff(history).min(initial=0) >= -1e-9 * max(1, abs(history[-1]))


@pytest.mark.parametrize("kind", NORMALS)
def test_a_fixed_point_is_a_maximum(kind, rng):
    """Moving any number of the posterior lowers the bound."""
    model, X = make(kind, 2, rng, tol=1e-13, n_iter=3000), data(kind, 30, rng)
    model.fit(X)
    best = model.lower_bound(X)
    for names in model._held().values():
        for name in (f"{n}_" for n in names if n.endswith("posterior")):
            kept = getattr(model, name)
            for factor in (0.97, 1.03):
                setattr(model, name, kept * factor)
                assert model.lower_bound(X) < best
            setattr(model, name, kept)


def test_it_compares_numbers_of_states(rng):
    X = np.concatenate([rng.integers(0, 2, 60), rng.integers(2, 4, 60)])
    bounds = [
        VariationalCategoricalHMM(K, random_state=0, n_features=4).fit(X).monitor_.history[-1]
        for K in (1, 2, 4)
    ]
    assert np.argmax(bounds) == 1
