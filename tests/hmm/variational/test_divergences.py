"""Divergences by their definition: the negative entropy of q less the expected log density of p."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hmm.variational import divergences

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(2, 5))
def test_dirichlet(seed, M):
    rng = np.random.default_rng(seed)
    q, p = rng.uniform(0.05, 9, (2, M))
    middle = np.full(M, 1 / M)
    constant = stats.dirichlet.logpdf(middle, p) - (p - 1) @ np.log(middle)
    expected = -stats.dirichlet.entropy(q) - constant - (p - 1) @ divergences.expected_log(q)
    assert divergences.dirichlet(q, p) == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert divergences.dirichlet(q, p) > 0 == divergences.dirichlet(p, p)
    hole = np.insert(q, 1, 0.0), np.insert(p, 1, 0.0)
    assert divergences.dirichlet(*hole) == pytest.approx(divergences.dirichlet(q, p))


def test_expected_log_is_the_mean_logarithm(rng):
    alpha = np.array([0.4, 1.5, 3.0])
    draws = np.log(rng.dirichlet(alpha, 200_000))
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - divergences.expected_log(alpha)) < 5 * error).all()


def log_norm(dof, scale):
    """Log of the constant under |Λ|^{(ν − D − 1)/2} exp(−½ tr S Λ), from scipy's density at one Λ."""
    D = len(scale)
    return -0.5 * np.trace(scale) - stats.wishart(dof, np.linalg.inv(scale)).logpdf(np.eye(D))


@given(seeds, st.integers(1, 3))
@settings(max_examples=30)
def test_wishart(seed, D):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(2, D, D))
    S_q, S_p = roots @ np.swapaxes(roots, 1, 2) + 0.2 * np.eye(D)
    q, p = D - 1 + rng.uniform(0.3, 9, 2)
    mean = q * np.linalg.inv(S_q)
    log_det = (log_norm(q + 1e-4, S_q) - log_norm(q - 1e-4, S_q)) / 1e-4  # 2 ∂/∂ν of the constant
    assert divergences.slack(q, D) == pytest.approx(log_det - np.linalg.slogdet(mean)[1], rel=1e-4, abs=1e-6)
    cross = (p - D - 1) / 2 * log_det - 0.5 * np.trace(S_p @ mean) - log_norm(p, S_p)
    entropy = float(stats.wishart(q, np.linalg.inv(S_q)).entropy())
    found = divergences.wishart(q, S_q, p, S_p)
    assert found == pytest.approx(-entropy - cross, rel=1e-5, abs=1e-5)
    assert found > 0 == pytest.approx(divergences.wishart(p, S_p, p, S_p), abs=1e-12)
    if D == 1:
        one = divergences.gamma(np.array([q]), S_q[0], np.array([p]), S_p[0])
        assert one == pytest.approx(found, rel=1e-12)


def test_several_at_once_are_summed(rng):
    scales = np.stack([np.eye(2), 3 * np.eye(2)])
    dofs = np.array([3.0, 5.0])
    apart = [divergences.wishart(d, s, 2.5, np.eye(2)) for d, s in zip(dofs, scales, strict=True)]
    assert divergences.wishart(dofs, scales, np.array([2.5, 2.5]), np.eye(2)) == pytest.approx(sum(apart))


def test_means(rng):
    """Between normal distributions with covariances (βΛ)⁻¹, the precision being known."""
    root = rng.normal(size=(3, 3))
    precision, off = root @ root.T, rng.normal(size=3)
    beta, before = 4.0, 1.5
    q, p = (np.linalg.inv(b * precision) for b in (beta, before))
    cross = -0.5 * (3 * np.log(2 * np.pi) + np.linalg.slogdet(p)[1] + np.trace(np.linalg.solve(p, q)))
    cross -= 0.5 * off @ np.linalg.solve(p, off)
    expected = -stats.multivariate_normal(np.zeros(3), q).entropy() - cross
    found = divergences.normal_means(np.array([beta]), np.array([before]), off @ precision @ off, 3)
    assert found == pytest.approx(expected)
