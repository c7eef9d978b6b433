"""``SwitchingLinearGaussianSSM``: exact where Kim's filter is, and what a fit finds."""

import itertools
import logging

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone

import hmm
from hmm import LinearGaussianSSM, SwitchingLinearGaussianSSM
from hmm.state_space.regression import Relation
from hmm.state_space.switching.climb import ApproximateMonitor
from hmm.state_space.switching.expectation import Expectation
from hmm.state_space.switching.maximise import maximise, pooled
from hmm.state_space.switching.structure import structure
from hmm.validation import NotFittedError
from msgpass.errors import DataError, ShapeError

TOLERANCE = {"rtol": 1e-7, "atol": 1e-8}
ONE = {
    "transition_matrix": [[0.9, 0.2], [0.0, 0.7]],
    "transition_covariance": [[0.5, 0.1], [0.1, 0.3]],
    "transition_offset": [0.1, -0.2],
    "observation_matrix": [[1.0, 0.3]],
    "observation_covariance": [[0.4]],
    "observation_offset": [1.0],
    "initial_mean": [0.5, 0.0],
    "initial_covariance": [[1.0, 0.2], [0.2, 2.0]],
}
CHAIN = {"startprob": [0.6, 0.4], "transmat": [[0.9, 0.1], [0.2, 0.8]]}


def two(**more) -> SwitchingLinearGaussianSSM:
    """Regimes with dynamics far apart, over one state."""
    settings = {
        "startprob": [0.5, 0.5],
        "transmat": [[0.97, 0.03], [0.03, 0.97]],
        "transition_matrix": [0.95, -0.8],
        "transition_covariance": 0.3,
        "transition_offset": 0,
        "observation_matrix": 1,
        "observation_covariance": 0.1,
        "observation_offset": 0,
        "initial_mean": 0,
        "initial_covariance": 1,
    }
    return SwitchingLinearGaussianSSM(2, 1, **(settings | more))


def data(seed=0, T=90, p=1):
    rng = np.random.default_rng(seed)
    X = 1 + np.cumsum(rng.normal(size=(T, p)), axis=0) * 0.3
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


@pytest.mark.parametrize("K", [1, 2])
def test_regimes_that_differ_in_nothing_are_one_state_space(K):
    X, lengths = data(), [40, 1, 49]
    chain = CHAIN if K == 2 else {"startprob": [1.0], "transmat": [[1.0]]}
    model, plain = SwitchingLinearGaussianSSM(K, 2, **chain, **ONE), LinearGaussianSSM(2, **ONE)
    assert model.score(X, lengths=lengths) == pytest.approx(plain.score(X, lengths=lengths), rel=1e-9)
    np.testing.assert_allclose(
        model.score_sequences(X, lengths), plain.score_sequences(X, lengths), **TOLERANCE
    )
    for mine, wanted in (
        (model.smooth(X, lengths), plain.smooth(X, lengths)),
        (model.filter(X, lengths), plain.filter(X, lengths)),
    ):
        np.testing.assert_allclose(mine.mean, wanted.mean, **TOLERANCE)
        np.testing.assert_allclose(mine.cov, wanted.cov, **TOLERANCE)
        np.testing.assert_allclose(mine.regimes.sum(1), 1)
    mine, wanted = model.forecast(X, lengths, steps=3), plain.forecast(X, lengths, steps=3)
    for name in ("state_mean", "state_cov", "mean", "cov"):
        np.testing.assert_allclose(getattr(mine, name), getattr(wanted, name), **TOLERANCE)


def test_two_rows_are_enumerated():
    """log p and the filter are exact over the first two rows."""
    rng = np.random.default_rng(1)
    half = rng.normal(size=(6, 2, 2))
    cov = half @ half.transpose(0, 2, 1) + 0.1 * np.eye(2)
    F, b, H, d = (rng.normal(size=s) for s in ((2, 2, 2), (2, 2), (2, 2, 2), (2, 2)))
    mean = rng.normal(size=(2, 2))
    model = SwitchingLinearGaussianSSM(
        2, 2, **CHAIN, transition_matrix=F, transition_offset=b, transition_covariance=cov[:2],
        observation_matrix=H, observation_offset=d, observation_covariance=cov[2:4], initial_mean=mean,
        initial_covariance=cov[4:], shared=[],
    )  # fmt: skip
    Y = rng.normal(size=(2, 2))
    scores, states = [], []
    for i, j in itertools.product(range(2), repeat=2):
        m, P = np.concatenate([mean[i], F[j] @ mean[i] + b[j]]), np.zeros((4, 4))
        P[:2, :2] = cov[4 + i]
        P[2:, :2] = F[j] @ P[:2, :2]
        P[:2, 2:], P[2:, 2:] = P[2:, :2].T, F[j] @ P[:2, :2] @ F[j].T + cov[j]
        big, R = np.zeros((4, 4)), np.zeros((4, 4))
        big[:2, :2], big[2:, 2:], R[:2, :2], R[2:, 2:] = H[i], H[j], cov[2 + i], cov[2 + j]
        S, away = big @ P @ big.T + R, Y.ravel() - big @ m - np.concatenate([d[i], d[j]])
        prior = CHAIN["startprob"][i] * CHAIN["transmat"][i][j]
        scores.append(np.log(prior) + multivariate_normal(cov=S).logpdf(away))
        states.append((m + P @ big.T @ np.linalg.solve(S, away))[2:])
    total = np.logaddexp.reduce(scores)
    w = np.exp(np.array(scores) - total)
    assert model.score(Y) == pytest.approx(total, rel=1e-10)
    found = model.filter(Y)
    np.testing.assert_allclose(found.mean[1], w @ np.array(states), **TOLERANCE)
    np.testing.assert_allclose(found.regimes[1], [w[[0, 2]].sum(), w[[1, 3]].sum()], **TOLERANCE)
    np.testing.assert_allclose(model.predict_proba(Y)[0], [w[:2].sum(), w[2:].sum()], atol=0.2)


def test_one_step_forecast_is_the_mixture():
    model = two(transition_offset=[0.0, 1.0])
    X, _, _ = model.sample(70, random_state=3)
    at, ahead = model.filter(X), model.forecast(X, steps=1)
    w = at.regimes[-1][:, None] * model.space().transmat
    F, b = np.array([0.95, -0.8]), np.array([0.0, 1.0])
    means = at.regime_means[-1] * F + b
    variances = at.regime_covs[-1, :, :, 0] * F**2 + 0.3
    mean = (w * means).sum()
    np.testing.assert_allclose(ahead.mean, [[mean]], **TOLERANCE)
    np.testing.assert_allclose(
        ahead.cov[0], [[(w * (variances + (means - mean) ** 2)).sum() + 0.1]], **TOLERANCE
    )
    np.testing.assert_allclose(ahead.regimes[0], w.sum(0), **TOLERANCE)
    low, high = ahead.interval(0.9)
    assert low[0, 0] < mean < high[0, 0]


def test_a_fit_recovers_regimes():
    truth = two()
    X, _, regimes = truth.sample(600, random_state=1)
    X[100:105] = np.nan
    model = SwitchingLinearGaussianSSM(2, 1, random_state=0, n_init=2, n_iter=60, tol=1e-2).fit(X)
    same = np.mean(model.predict(X) == regimes)
    assert max(same, 1 - same) > 0.95
    np.testing.assert_allclose(np.sort(model.transition_matrix_.ravel()), [-0.8, 0.95], atol=0.1)
    assert model.score(X) > truth.score(X) - 1
    assert model.score(X) >= max(model.monitor_.history) - 1e-6
    assert model.observation_matrix_.shape == (1, 1) and model.transition_covariance_.shape == (2, 1, 1)


def test_a_fit_of_known_matrices_over_sequences():
    """Frozen observations and transitions, noise that switches, two sequences of different lengths."""
    truth = two(transition_matrix=1, transition_covariance=[0.01, 1.0])
    sequences = [truth.sample(n, random_state=n)[0] for n in (300, 120)]
    start = two(
        transition_matrix=1,
        transition_covariance=[0.1, 0.4],
        learned=["transition_covariance", "transmat"],
        shared=["transition_matrix", "observation_matrix", "initial_mean", "initial_covariance"],
        n_init=1,
        n_iter=100,
        tol=1e-2,
    )
    before = start.score(sequences)
    model = start.fit(sequences)
    assert model.score(sequences) > before
    np.testing.assert_allclose(
        np.sort(model.transition_covariance_.ravel()), [0.01, 1.0], rtol=0.5, atol=0.02
    )
    np.testing.assert_array_equal(model.transition_matrix_, [[1.0]])
    np.testing.assert_array_equal(model.startprob_, [0.5, 0.5])
    twice = clone(start).fit(sequences)
    np.testing.assert_array_equal(twice.transition_covariance_, model.transition_covariance_)


@pytest.mark.parametrize(
    "shared",
    [
        [],
        ["transition_matrix"],
        ["transition_offset", "observation_matrix"],
        ["transition_matrix", "transition_offset", "transition_covariance"],
        ["observation_matrix", "observation_offset", "observation_covariance", "initial_mean"],
    ],
)
def test_the_m_step_is_a_maximum(shared):
    """The expected complete log-likelihood falls in every direction that the M-step may move in; noise is
    moved after coefficients, which are the best given the noise before."""
    rng = np.random.default_rng(2)
    draw = lambda *shape: 0.5 * rng.normal(size=shape)  # noqa: E731
    each = lambda name, value: value[:1].repeat(2, 0)[0] if name in shared else value  # noqa: E731
    cov = lambda n: np.stack([np.eye(n) * s + 0.1 for s in (0.5, 1.5)])  # noqa: E731
    parts = {
        "transition_matrix": draw(2, 2, 2),
        "transition_offset": draw(2, 2),
        "transition_covariance": cov(2),
        "observation_matrix": draw(2, 2, 2),
        "observation_offset": draw(2, 2),
        "observation_covariance": cov(2),
        "initial_mean": draw(2, 2),
        "initial_covariance": cov(2),
    }
    parts = {name: each(name, value) for name, value in parts.items()}
    coefficients = [name for name in parts if not name.endswith("covariance")]
    model = SwitchingLinearGaussianSSM(2, 2, **CHAIN, **parts, shared=shared, learned=coefficients)
    series = model._series(data(3, 80, 2), lengths=[50, 30])
    space = model.space()
    expected = Expectation(series)(space)
    moved = maximise(space, expected, structure(model, space, 2))

    def objective(values):
        total = 0.0
        for kind, relations in expected.relations.items():
            for k, r in enumerate(relations):
                offset = values["initial_mean" if kind == "initial" else f"{kind}_offset"][k]
                W = np.zeros((2, 0)) if kind == "initial" else values[f"{kind}_matrix"][k]
                total -= 0.5 * np.trace(
                    np.linalg.solve(values[f"{kind}_covariance"][k], r.residual(offset, W))
                )
        return total

    best = objective(moved.values())
    assert best > objective(space.values())
    for name in coefficients:
        for _ in range(4):
            values = moved.values()
            step = rng.normal(size=values[name].shape)
            step = step[:1].repeat(2, 0) if name in shared else step
            up, down = (objective(values | {name: values[name] + s * 1e-3 * step}) for s in (1, -1))
            assert max(up, down) < best
            assert abs(up - down) < 1e-6 * abs(best)


def test_pooled_relations_are_those_of_all_rows():
    rng = np.random.default_rng(4)
    z, y = rng.normal(size=(9, 2)), rng.normal(size=(9, 1)) + 5
    none = np.zeros((9, 0, 0))
    one = Relation.of(z, y, none)
    parts = pooled([Relation.of(z[:4], y[:4], none[:4]), Relation.of(z[4:], y[4:], none[4:])])
    assert parts.count == one.count
    np.testing.assert_allclose(parts.mean, one.mean)
    np.testing.assert_allclose(parts.scatter, one.scatter)


def test_a_monitor_that_may_fall():
    monitor = ApproximateMonitor(0.1, 100, False)
    for value in (-9.0, -5.0, -5.5):
        monitor.report(value)
    assert not monitor.converged
    for value in (-6.0, -5.2, -5.6, -5.3, -6.0):
        monitor.report(value)
    assert monitor.converged
    assert not logging.getLogger("hmm").disabled


def test_masks_hold_entries():
    held = np.zeros((2, 1, 1), bool)
    held[0] = True
    model = two(frozen={"transition_matrix": held, "observation_matrix": True}, n_init=1, n_iter=5, tol=0)
    X, _, _ = model.sample(150, random_state=5)
    model.fit(X)
    assert model.transition_matrix_[0, 0, 0] == 0.95 and model.transition_matrix_[1, 0, 0] != -0.8
    assert model.observation_matrix_ == 1


def test_saved_and_loaded(tmp_path):
    model = two(n_init=1, n_iter=3, tol=0)
    X, _, _ = model.sample(80, random_state=6)
    model.fit(X).save(tmp_path / "m.safetensors")
    other = hmm.load(tmp_path / "m.safetensors")
    assert other.score(X) == model.score(X)
    assert clone(model).get_params().keys() == model.get_params().keys()


def test_samples_follow_the_model():
    model = two(observation_covariance=[[0.0]])
    X, states, regimes = model.sample(4000, random_state=0)
    np.testing.assert_allclose(X, states)
    assert np.mean(regimes[1:] == regimes[:-1]) == pytest.approx(0.97, abs=0.01)
    again = model.sample(4000, random_state=0)[0]
    np.testing.assert_array_equal(X, again)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"transition_matrix": np.zeros((3, 1, 1))}, ShapeError, "transition_matrix_ has shape"),
        ({"observation_matrix": np.ones((2, 1, 1))}, ShapeError, "leave 'observation_matrix' out of shared"),
        ({"initial_covariance": np.inf}, DataError, "no flat starts"),
        ({"transition_covariance": [0.3, -1.0]}, DataError, "must be a covariance"),
        ({"transmat": [[0.5, 0.6], [0.5, 0.5]]}, DataError, "rows that sum to 1"),
        ({"shared": ["transmat"]}, DataError, "shared names 'transmat'"),
        ({"n_states": 0}, DataError, "n_states"),
    ],
)
def test_wrong_settings(change, error, match):
    model = two(**{k: v for k, v in change.items() if k != "n_states"})
    model.set_params(**change)
    with pytest.raises(error, match=match):
        model.fit([1.0, 2.0, 3.0])


def test_unfitted_and_unknown():
    with pytest.raises(NotFittedError, match="transition_matrix_"):
        SwitchingLinearGaussianSSM(2, 1).score([1.0, 2.0])
    with pytest.raises(DataError, match="no observation at all"):
        two().fit([np.nan, np.nan])
    with pytest.raises(DataError, match="transition_matrix is not to be learned"):
        SwitchingLinearGaussianSSM(2, 1, frozen=["transition_matrix"]).fit([1.0, 2.0, 1.0])
