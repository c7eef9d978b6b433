"""The compiled Kim filter and smoother against the NumPy reference, and both against what must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.errors import NumericalError
from msgpass.kernels import switching_chain, switching_chain_compiled, switching_chain_reference
from msgpass.kernels.switching_chain_inverse import pseudo_inverses
from msgpass.kernels.switching_chain_types import SINGULAR, SwitchingChainArrays
from tests.msgpass.gaussian_models import covariance
from tests.msgpass.table_models import seeds

PASSES = [switching_chain_reference, switching_chain_compiled]


def arrays(rng, K=2, n=2, p=2, lengths=(7, 1, 4), stepped=False, gappy=False, flat=0) -> SwitchingChainArrays:
    """A random switching chain; ``flat`` states of each are moved without noise."""
    T, N = sum(lengths), len(lengths)
    S = T - N

    def several(count, draw):
        return np.stack([np.stack([draw() for _ in range(K)]) for _ in range(count if stepped else 1)])

    def noise():
        Q = covariance(rng, n)
        Q[:flat], Q[:, :flat] = 0, 0
        return Q

    y = rng.normal(size=(T, p))
    if gappy:
        y[rng.random(y.shape) < 0.3] = np.nan
    with np.errstate(divide="ignore"):
        transition = np.log(rng.dirichlet(np.ones(K), size=(S if stepped else 1, K)))
    return SwitchingChainArrays(
        np.log(rng.dirichlet(np.ones(K))),
        transition,
        rng.normal(size=(T, K)),
        several(N, lambda: rng.normal(size=n)),
        several(N, noise),
        several(S, lambda: 0.6 * rng.normal(size=(n, n))),
        several(S, noise),
        several(S, lambda: rng.normal(size=n)),
        several(T, lambda: rng.normal(size=(p, n))),
        several(T, lambda: covariance(rng, p)),
        several(T, lambda: rng.normal(size=p)),
        y,
        np.cumsum([0, *lengths]),
    )


def both(given):
    """What the two say, as flat lists of arrays."""
    found = []
    for passes in PASSES:
        filtered, log_z, trouble = passes.kim_filter(given)
        assert trouble is None
        smoothed, pairs = passes.kim_smoother(given, filtered)
        found.append([*filtered, log_z, *smoothed, *pairs])
    return found


@settings(max_examples=25)
@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.booleans(), st.booleans())
def test_compiled_is_the_reference(seed, K, n, p, stepped, gappy):
    given = arrays(np.random.default_rng(seed), K, n, p, stepped=stepped, gappy=gappy)
    for mine, wanted in zip(*both(given), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-8, atol=1e-9)


@settings(max_examples=15)
@given(seeds, st.integers(1, 2))
def test_states_without_noise(seed, flat):
    """Predicted covariances are singular, and the pseudo-inverses agree."""
    given = arrays(np.random.default_rng(seed), K=2, n=3, p=1, flat=flat)
    for mine, wanted in zip(*both(given), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-6, atol=1e-7)


def test_hard_zeros_and_impossible_rows():
    given = arrays(np.random.default_rng(0), K=3, lengths=(6, 5))
    with np.errstate(divide="ignore"):
        ring = np.log([[[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]])
    given = given._replace(log_transition=ring, log_init=np.array([0.0, -np.inf, -np.inf]))
    for mine, wanted in zip(*both(given), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-8, atol=1e-9)
        assert not np.isnan(mine).any()
    evidence = given.log_evidence.copy()
    evidence[3] = -np.inf
    given = given._replace(log_evidence=evidence)
    for passes in PASSES:
        _, log_z, trouble = passes.kim_filter(given)
        assert trouble is None and log_z[0] == -np.inf and np.isfinite(log_z[1])


@pytest.mark.parametrize("passes", PASSES)
def test_covariances_are_positive(passes):
    """Nearly exact observations of a nearly still state, where differences of covariances would lose it."""
    rng = np.random.default_rng(1)
    given = arrays(rng, K=2, n=3, p=2, lengths=(80,))
    given = given._replace(R=1e-10 * given.R, Q=1e-6 * given.Q, cov=1e2 * given.cov)
    filtered, _, trouble = passes.kim_filter(given)
    assert trouble is None
    smoothed, pairs = passes.kim_smoother(given, filtered)
    for covs in (filtered.covs, smoothed.covs, pairs.covs):
        sizes = np.sqrt(np.diagonal(covs, axis1=-2, axis2=-1))
        correlations = covs / (sizes[..., :, None] * sizes[..., None, :])
        assert np.linalg.eigvalsh(correlations).min() > -1e-9
    assert (np.diagonal(smoothed.covs, axis1=-2, axis2=-1) > 0).all()


@pytest.mark.parametrize("rows", [5, 80])
def test_trouble_names_sequence_and_step(rows):
    """A state without noise that is seen without noise has no density at its second row."""
    given = arrays(np.random.default_rng(2), K=2, n=1, p=1, lengths=(3, rows))
    given = given._replace(Q=0 * given.Q, R=0 * given.R)
    for passes in PASSES:
        assert passes.kim_filter(given).trouble == (SINGULAR, 0, 1)
    with pytest.raises(NumericalError, match="sequence 0 is singular at step 1"):
        switching_chain.kim_filter(given)
    growing = given._replace(F=np.full_like(given.F, 1e200), y=np.full_like(given.y, np.nan))
    with pytest.raises(NumericalError, match="sequence 0 overflows at step 1"):
        switching_chain.kim_filter(growing)


def test_a_singular_pair_that_is_impossible_is_no_trouble():
    given = arrays(np.random.default_rng(3), K=2, n=1, p=1, lengths=(4,))
    Q, R = given.Q.copy(), given.R.copy()
    Q[:, 1], R[:, 1] = 0, 0
    with np.errstate(divide="ignore"):
        stays = np.log(np.eye(2))[None]
    given = given._replace(Q=Q, R=R, log_init=np.array([0.0, -np.inf]), log_transition=stays)
    for mine, wanted in zip(*both(given), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-9, atol=1e-10)


@settings(max_examples=20)
@given(seeds, st.integers(1, 5), st.integers(0, 4))
def test_generalised_inverses(seed, n, lost):
    """P P⁺ P = P, whatever the units; the two agree."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n, max(n - lost, 0)))
    half[:, :] *= 10.0 ** rng.integers(-6, 7, size=(n, 1))
    P = half @ half.T
    mine, wanted = pseudo_inverses(P[None])[0], switching_chain_reference.pseudo_inverse(P)
    scale = np.sqrt(np.where(np.diag(P) > 0, np.diag(P), 1.0))
    outer = np.outer(scale, scale)
    np.testing.assert_allclose(P @ mine @ P / outer, P / outer, atol=1e-6)
    np.testing.assert_allclose(mine * outer, wanted * outer, rtol=1e-5, atol=1e-5)


def test_size_alone_picks():
    few, many = (arrays(np.random.default_rng(4), lengths=(T,)) for T in (63, 64))
    assert switching_chain.passes(few) is switching_chain_reference
    assert switching_chain.passes(many) is switching_chain_compiled
