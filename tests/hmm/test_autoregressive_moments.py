"""Forecasts of autoregressions: against every path of states, each with a normal distribution of its own."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hmm
from hmm.transitions import ByGroup, SemiMarkov
from tests.hmm import test_switching_mean
from tests.hmm.kinds import make


def every_path(start, A, intercept, coef, variances, past, h):
    """E[x] and Var[x] of h steps, (h, D) each: a mixture over the K^h paths after the last row."""
    K, (p, D) = len(start), past.shape
    weights, means, squares = [], [], []
    for path in product(range(K), repeat=h):
        first = start @ A[:, path[0]]
        weights.append(first * np.prod([A[i, j] for i, j in pairwise(path)]))
        # x as a linear function of the noises e_1 … e_h, beside its mean
        mean, load = list(past[::-1]), [np.zeros((D, h * D)) for _ in range(p)]
        for t, k in enumerate(path):
            blocks = [coef[k][:, D * i : D * (i + 1)] for i in range(p)]
            mean.append(intercept[k] + sum(b @ m for b, m in zip(blocks, mean[: -p - 1 : -1], strict=True)))
            own = sum(b @ m for b, m in zip(blocks, load[: -p - 1 : -1], strict=True))
            own[:, t * D : (t + 1) * D] += np.diag(np.sqrt(variances[k]))
            load.append(own)
        means.append(np.array(mean[p:]))
        squares.append(np.array([(row**2).sum(axis=1) for row in load[p:]]) + means[-1] ** 2)
    weights = np.array(weights)
    expected = np.tensordot(weights, np.array(means), 1)
    return expected, np.tensordot(weights, np.array(squares), 1) - expected**2


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 2), st.floats(-1e3, 1e3))
def test_against_every_path(seed, K, D, level):
    rng = np.random.default_rng(seed)
    model, X = make("autoregressive", K, D, rng), rng.normal(size=(9, D)) + level
    model.intercept_ = model.intercept_ + level * (1 - model.coef_.sum(axis=2))
    ahead = model.forecast(X, steps=4)
    mean, variance = every_path(
        model.filter(X)[-1], model.transmat_, model.intercept_, model.coef_, model.covars_, X[:-3:-1], 4
    )
    np.testing.assert_allclose(ahead.mean, mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ahead.variance, variance, rtol=1e-5, atol=1e-5)


def test_the_switching_mean_is_one(rng):
    """With one state it is a plain autoregression; with several, its mean goes where its states go."""
    plain = test_switching_mean.make(1, 2, rng)
    x = rng.normal(size=20) + plain.means_[0]
    gap, found = list(x - plain.means_[0]), plain.forecast(x, steps=3)
    for _ in range(3):
        gap.append(plain.coef_[0] * gap[-1] + plain.coef_[1] * gap[-2])
    np.testing.assert_allclose(found.mean.ravel(), plain.means_[0] + np.array(gap[-3:]))
    assert found.variance[0, 0] == pytest.approx(plain.covars_[0])
    model = test_switching_mean.make(2, 1, rng)
    far = model.forecast(rng.normal(size=30), steps=400)
    share = model.get_stationary_distribution()
    assert far.mean[-1, 0] == pytest.approx(share @ model.means_, abs=1e-6)


def test_draws_agree(rng):
    """The mean of many drawn futures, semi-Markov states included."""
    model = make("autoregressive", 2, 1, rng, transitions=SemiMarkov("poisson", longest=6))
    model.transmat_, model.duration_params_ = np.array([[0.0, 1], [1, 0]]), np.array([[1.0], [3.0]])
    X = model.sample(12, rng)[0]
    found = model.forecast(X, steps=3)
    # Rows after the data are missing, so that their states are drawn; then the rows are.
    more = np.concatenate([X, np.full((3, 1), np.nan)])
    draws = []
    for path in model.sample_paths(more, 4000, random_state=1)[:, -3:]:
        lags = list(X[:-3:-1, 0])
        for k in path:
            mean = model.intercept_[k, 0] + model.coef_[k, 0] @ lags
            lags = [mean + rng.normal() * np.sqrt(model.covars_[k, 0]), lags[0]]
        draws.append(lags[0])
    error = np.std(draws) / np.sqrt(len(draws))
    assert np.mean(draws) == pytest.approx(found.mean[-1, 0], abs=5 * error)
    assert np.var(draws) == pytest.approx(found.variance[-1, 0], rel=0.15)


def test_several_sequences_inputs_and_gaps(rng):
    model = make("autoregressive", 2, 1, rng, transitions=ByGroup(2))
    model.transmat_ = rng.dirichlet(np.ones(2), (2, 2))
    X = np.column_stack([rng.normal(size=12), rng.integers(0, 2, 12)])
    inputs = rng.integers(0, 2, (2, 3, 1))
    both = model.forecast(X, lengths=[7, 5], steps=3, inputs=inputs)
    for n, part in enumerate((X[:7], X[7:])):
        alone = model.forecast(part, steps=3, inputs=inputs[n])
        np.testing.assert_allclose(both.mean[n], alone.mean)
        np.testing.assert_allclose(both.variance[n], alone.variance)
    gone = X.copy()
    gone[-1, 0] = np.nan
    late = model.forecast(gone, lengths=[7, 5], steps=3, inputs=inputs)
    assert np.isnan(late.mean[1]).all() and np.isfinite(late.mean[0]).all()
    assert np.isnan(model.forecast(X[:1], steps=2, inputs=[[0], [1]]).mean).all()
    assert isinstance(model, hmm.AutoregressiveHMM)
