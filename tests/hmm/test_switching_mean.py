"""Hamilton's model: against all paths, against published numbers, and the laws of EM."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

import hmm
from hmm.transitions.history import History
from msgpass import ForwardOnly, data, run
from msgpass.errors import ShapeError, UnsupportedError
from tests.hmm.enumeration import log_sum, posteriors

pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")


def make(K, p, rng, **settings):
    model = hmm.SwitchingMeanHMM(K, order=p, **settings)
    model.startprob_, model.transmat_ = rng.dirichlet(np.ones(K)), rng.dirichlet(np.ones(K), K)
    model.means_, model.coef_ = 2 * rng.normal(size=K), 0.3 * rng.normal(size=p)
    model.covars_ = rng.uniform(0.5, 2, K if settings.get("switching_variance") else 1)
    return model


def every_path(model, x):
    """(paths, log p(x, path)) by the definition, conditional on the first rows."""
    K, p, T = len(model.means_), len(model.coef_), len(x)
    sd = np.sqrt(np.broadcast_to(model.covars_, K))
    paths, scores = np.array(list(product(range(K), repeat=T))), []
    for path in paths:
        score = np.log(model.startprob_[path[0]])
        score += sum(np.log(model.transmat_[i, j]) for i, j in pairwise(path))
        for t in range(p, T):
            before = x[t - p : t][::-1] - model.means_[path[t - p : t][::-1]]
            mean = model.means_[path[t]] + model.coef_ @ before
            if np.isfinite(x[t]) and np.isfinite(before).all():
                score += norm.logpdf(x[t], mean, sd[path[t]])
        scores.append(score)
    return paths, np.array(scores)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(2, 3), st.booleans(), st.booleans())
def test_against_all_paths(seed, p, K, switching, gap):
    rng = np.random.default_rng(seed)
    model, x = make(K, p, rng, switching_variance=switching), rng.normal(size=6)
    if gap:
        x[3] = np.nan
    paths, scores = every_path(model, x)
    log_prob, gamma = model.score_samples(x)
    assert log_prob == pytest.approx(log_sum(scores), rel=1e-9)
    np.testing.assert_allclose(gamma, posteriors(paths, scores, K), atol=1e-9)
    best, path = model.decode(x)
    assert best == pytest.approx(scores.max(), rel=1e-9)
    assert scores[(paths == path).all(axis=1)][0] == pytest.approx(best, rel=1e-9)
    np.testing.assert_allclose(model.k_best_paths(x, 3)[0], np.sort(scores)[::-1][:3], rtol=1e-9)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_em_never_goes_down(seed, switching):
    rng = np.random.default_rng(seed)
    model = make(2, 2, rng, switching_variance=switching, init_params="", n_iter=8, tol=-1.0)
    x = np.concatenate([make(2, 2, rng).sample(20, rng)[0] for _ in range(2)])
    x[rng.random(x.shape) < 0.05] = np.nan
    history = model.fit(x, lengths=[20, 20]).monitor_.history
    assert (np.diff(history) >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all(), history


@pytest.mark.parametrize("switching", [False, True])
def test_fishers_identity(switching, rng):
    model = make(2, 2, rng, switching_variance=switching)
    chain, evidence = model._ready(rng.normal(size=30), None)
    gamma = run(chain.graph(evidence)).parameters["log_density"]
    for name, slope in chain.emission.gradient(evidence.data, gamma).items():
        direction = rng.normal(size=slope.shape)
        value = getattr(chain.emission, name)
        ends = [
            run(
                replace(chain, emission=replace(chain.emission, **{name: value + h * direction})).graph(
                    evidence
                ),
                schedule=ForwardOnly(),
            ).total
            for h in (1e-6, -1e-6)
        ]
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx((slope * direction).sum(), rel=1e-5, abs=1e-5)


def test_finds_what_made_the_data(rng):
    truth = make(2, 1, rng)
    truth.means_, truth.coef_, truth.covars_ = np.array([0.0, 5.0]), np.array([0.6]), np.array([0.8])
    truth.transmat_ = np.array([[0.97, 0.03], [0.05, 0.95]])
    x, path = truth.sample(2000, rng)
    model = hmm.SwitchingMeanHMM(2, random_state=0).fit(x)
    order = np.argsort(model.means_)
    np.testing.assert_allclose(model.means_[order], truth.means_, atol=0.3)
    np.testing.assert_allclose([*model.coef_, *model.covars_], [0.6, 0.8], atol=0.06)
    np.testing.assert_allclose(model.transmat_[order][:, order], truth.transmat_, atol=0.03)
    assert np.mean(model.predict(x) == order[path]) > 0.95


HAMILTON = {"p00": 0.754673, "p10": 0.095915, "means": [-0.358811, 1.163516], "log_sd": -0.262658}


def test_hamiltons_business_cycle():
    """GNP growth at the estimates of EViews, which starts from the stationary distribution."""
    growth = data.load("gnp").values
    model = hmm.SwitchingMeanHMM(2, order=4)
    model.transmat_ = np.array([[0.754673, 0.245327], [0.095915, 0.904085]])
    model.startprob_ = History(model.transmat_, order=4).stationary()
    model.means_, model.covars_ = HAMILTON["means"], [np.exp(HAMILTON["log_sd"]) ** 2]
    model.coef_ = [0.013486, -0.057521, -0.246983, -0.212923]
    assert model.score(growth) == pytest.approx(-181.26339, abs=1e-5)
    fitted = hmm.SwitchingMeanHMM(2, order=4, random_state=0, n_init=4, tol=1e-6).fit(growth)
    assert -181.26 < fitted.score(growth) < -181.24  # its start is free
    order = np.argsort(fitted.means_)
    np.testing.assert_allclose(fitted.means_[order], HAMILTON["means"], atol=0.02)
    np.testing.assert_allclose(fitted.coef_, model.coef_, atol=0.01)
    np.testing.assert_allclose(np.diagonal(fitted.transmat_)[order], [0.754673, 0.904085], atol=0.01)


def test_the_federal_funds_rate():
    """A mean that switches and nothing else, at the estimates of Stata's manual (mswitch)."""
    rate = data.load("fedfunds").values
    model = hmm.GaussianHMM(2, covariance_type="tied")
    model.transmat_ = np.array([[0.9820939, 0.0179061], [0.0503587, 0.9496413]])
    model.startprob_ = np.array([0.0503587, 0.0179061]) / 0.0682648
    model.means_, model.covars_ = np.array([[3.70877], [9.556793]]), np.array([[2.107562**2]])
    assert model.score(rate[:, None]) == pytest.approx(-508.63592, abs=1e-4)


def test_it_does_what_models_do(tmp_path, rng):
    model, x = make(2, 2, rng), rng.normal(size=20)
    model.save(tmp_path / "model.safetensors")
    assert hmm.load(tmp_path / "model.safetensors").score(x) == model.score(x)
    online = model.online()
    filtered = np.array([online.update(v) for v in x])
    np.testing.assert_allclose(filtered, model.filter(x), atol=1e-9)
    ahead = model.forecast(x, steps=3).states
    np.testing.assert_allclose(ahead[1], ahead[0] @ model.transmat_, atol=1e-12)
    assert model.posterior_entropy(x) > 0
    assert model.sample_paths(x, 5, random_state=0).shape == (5, 20)
    with pytest.raises(ShapeError, match="one series"):
        model.fit(np.zeros((9, 2)))
    with pytest.raises(UnsupportedError, match="none can be frozen"):
        model.set_params(frozen={"means": [0]}, init_params="").fit(x)
