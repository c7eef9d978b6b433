"""What every emission owes to the contract: densities, the weighted maximum, samples, missing cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hmm.drawn import KINDS, make, with_gaps
from tests.hmm.enumeration import log_density

seeds = st.integers(0, 2**32 - 1)


def drawn_emission(kind, seed, T=12, gaps=True):
    """(model, emission, X, weights)"""
    rng = np.random.default_rng(seed)
    K, D = int(rng.integers(1, 4)), 1 if kind == "categorical" else int(rng.integers(1, 4))
    model = make(kind, K, D, rng)
    X = model.sample(T, rng)[0]
    if gaps:
        X = with_gaps(X, 0.3, rng)
    X = model.check_data(X)
    return model, model.chain(X).emission, X, rng.dirichlet(np.ones(K), T)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
def test_log_densities_are_scipys(kind, seed):
    model, emission, X, _ = drawn_emission(kind, seed)
    expected = log_density(model, X)
    np.testing.assert_allclose(emission.log_density(emission.prepare(X)), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(seed=seeds)
def test_the_weighted_fit_is_a_maximum(kind, seed):
    """No small step away from it, in any field, gains; with all cells observed, so that the fit is exact."""
    _, emission, X, weights = drawn_emission(kind, seed, T=40, gaps=False)
    data = emission.prepare(X)
    best = emission.fit(data, weights, "".join(emission.LETTERS))
    rng = np.random.default_rng(seed)

    def objective(e):
        density = e.log_density(data)
        return float(np.sum(np.where(weights > 0, weights * density, 0)))

    for field in emission.LETTERS.values():
        for _ in range(5):
            other = moved(best, field, 1e-3, rng)
            assert objective(other) <= objective(best) + 1e-9 * abs(objective(best))


def moved(emission, field, size, rng):
    """The emission with one field moved a little within what is allowed."""
    from dataclasses import replace

    value = getattr(emission, field)
    factor = np.exp(size * rng.standard_normal(value.shape))
    if field == "emissionprob":
        value = value * factor
        value /= value.sum(axis=1, keepdims=True)
    elif field == "means":
        value = value + size * rng.standard_normal(value.shape)
    elif field == "covars" and emission.matrices:
        nudge = np.eye(value.shape[-1]) + size * rng.standard_normal(value.shape)
        value = nudge @ value @ np.swapaxes(nudge, -1, -2)
    else:
        value = value * factor
    return replace(emission, **{field: value})


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(seed=seeds)
def test_fitting_incomplete_rows_raises_their_likelihood(kind, seed):
    """One state with weight one is plain EM over missing cells, which is monotone."""
    _, emission, X, _ = drawn_emission(kind, seed, T=15)
    weights = np.zeros((15, len(getattr(emission, next(iter(emission.LETTERS.values()))))))
    if kind == "tied":
        weights = np.random.default_rng(seed).dirichlet(np.ones(weights.shape[1]), 15)
    else:
        weights[:, 0] = 1
    data = emission.prepare(X)
    for _ in range(3):
        better = emission.fit(data, weights, "".join(emission.LETTERS))
        before, after = (float(np.sum(weights * e.log_density(data))) for e in (emission, better))
        assert after >= before - 1e-9 * max(1, abs(before))
        emission = better


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_learn_returns_the_emission_itself(kind):
    _, emission, X, weights = drawn_emission(kind, 1)
    assert emission.fit(emission.prepare(X), weights, "st") is emission


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_moments_of_their_state(kind, rng):
    model = make(kind, 2, 1 if kind == "categorical" else 2, rng)
    emission = model.chain().emission
    X = emission.sample(np.full(20_000, 1), rng)
    if kind == "categorical":
        np.testing.assert_allclose(np.bincount(X[:, 0]) / len(X), model.emissionprob_[1], atol=0.02)
    elif kind == "poisson":
        np.testing.assert_allclose(X.mean(axis=0), model.lambdas_[1], rtol=0.05)
    else:
        np.testing.assert_allclose(X.mean(axis=0), model.means_[1], atol=0.1)
        np.testing.assert_allclose(np.cov(X.T), model.covars_[1], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_prior_of_maximum_likelihood_is_flat(kind, rng):
    assert make(kind, 2, 2, rng).chain().emission.log_prior() == 0
