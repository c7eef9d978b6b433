"""Published numbers: umbrella (Russell & Norvig), Rainy/Sunny, earthquakes, brute force and long chains."""

import numpy as np
import pytest

import msgpass.data
from hmm import CategoricalHMM, PoissonHMM


def categorical(pi, A, B, **settings):
    model = CategoricalHMM(n_components=2, init_params="", **settings)
    model.startprob_, model.transmat_, model.emissionprob_ = map(np.array, (pi, A, B))
    return model


@pytest.fixture
def umbrella():
    return categorical([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], [[0.1, 0.9], [0.8, 0.2]])


SEEN = [1, 1, 0, 1, 1]


def test_umbrella_inference(umbrella):
    assert umbrella.score(SEEN) == pytest.approx(-3.372502044332175, abs=1e-13)
    filtered = [0.8181818182, 0.8833570413, 0.1906679397, 0.7307940046, 0.8673388896]
    np.testing.assert_allclose(umbrella.filter(SEEN)[:, 0], filtered, atol=1e-10)
    smoothed = [0.8673388896, 0.8204190536, 0.3074835760, 0.8204190536, 0.8673388896]
    np.testing.assert_allclose(umbrella.predict_proba(SEEN)[:, 0], smoothed, atol=1e-10)
    log_prob, path = umbrella.decode(SEEN)
    assert log_prob == pytest.approx(-4.459028291034797, abs=1e-13) and path.tolist() == [0, 0, 1, 0, 0]


def test_umbrella_expected_transitions(umbrella):
    xi = umbrella.messages(SEEN).parameters["transition"]
    np.testing.assert_allclose(xi, [[2.0801861887, 0.73547438], [0.73547438, 0.44886504]], atol=1e-8)


def test_umbrella_one_step_of_em():
    model = categorical([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], [[0.9, 0.1], [0.2, 0.8]], n_iter=1)
    y = [0, 0, 1, 0, 0]
    model.fit(y)
    A = [[0.7387915322, 0.2612084678], [0.6209996622, 0.3790003378]]
    B = [[0.9165127285, 0.0834872715], [0.4741714948, 0.5258285052]]
    np.testing.assert_allclose(model.transmat_, A, atol=1e-10)
    np.testing.assert_allclose(model.emissionprob_, B, atol=1e-10)
    assert model.score(y) == pytest.approx(-2.4583851294, abs=1e-10)


def test_rainy_sunny():
    model = categorical([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], [[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]], n_iter=1)
    X = [0, 1, 2]
    assert np.exp(model.score(X)) == pytest.approx(0.033612, abs=1e-15)
    log_prob, path = model.decode(X)
    assert np.exp(log_prob) == pytest.approx(0.01344, abs=1e-15) and path.tolist() == [1, 0, 0]
    np.testing.assert_allclose(model.predict_proba(X)[:, 0], [0.23170296, 0.62406283, 0.86397715], atol=1e-8)
    model.fit(X)
    np.testing.assert_allclose(
        model.transmat_, [[0.89361702, 0.10638298], [0.63213729, 0.36786271]], atol=1e-8
    )
    np.testing.assert_allclose(model.emissionprob_[0], [0.13473116, 0.36288146, 0.50238738], atol=1e-8)


@pytest.mark.parametrize(
    ("n_components", "log_likelihood", "rates"),
    [
        (1, -391.918928165, [2072 / 107]),
        (2, -341.878701012, [15.42076, 26.01823]),
        (3, -328.527483380, [13.13376, 19.71316, 29.70972]),
    ],
)
def test_earthquakes(n_components, log_likelihood, rates):
    counts = msgpass.data.load("earthquakes").values
    model = PoissonHMM(n_components=n_components, random_state=0, n_iter=5000, tol=1e-10).fit(counts)
    assert model.score(counts) == pytest.approx(log_likelihood, abs=1e-6)
    np.testing.assert_allclose(np.sort(model.lambdas_.ravel()), rates, atol=2e-4)


def test_long_chains_with_extreme_evidence_stay_finite(rng):
    T, K = 10_000, 100
    model = CategoricalHMM(n_components=K)
    model.startprob_, model.transmat_ = rng.dirichlet(np.ones(K)), rng.dirichlet(np.ones(K), K)
    log_b = 100 * np.log(rng.dirichlet(np.ones(5), K))
    model.emissionprob_ = np.exp(log_b - np.logaddexp.reduce(log_b, axis=1, keepdims=True))
    log_prob, gamma = model.score_samples(rng.integers(5, size=T))
    assert np.isfinite(log_prob)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, atol=1e-9)
