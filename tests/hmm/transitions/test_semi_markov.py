import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import hmm
from hmm.transitions import SemiMarkov
from hmm.transitions.durations import KINDS, Empirical, NegativeBinomial, Poisson
from msgpass.errors import DataError, ProbabilityError, UnsupportedError
from tests.hmm.transition_kinds import SEMI_MARKOV, make


def three(kind, longest, **settings):
    model = hmm.GaussianHMM(3, transitions=SemiMarkov(kind, longest=longest), **settings)
    model.startprob_, model.means_ = np.ones(3) / 3, np.array([[0.0], [3.0], [6.0]])
    model.covars_ = np.ones((3, 1))
    model.transmat_ = np.array([[0, 0.7, 0.3], [0.5, 0, 0.5], [0.2, 0.8, 0]])
    return model


PARAMS = {
    "poisson": [[4.0], [14.0], [9.0]],
    "negative binomial": [[4.0, 2.0], [14.0, 30.0], [9.0, 5.0]],
    "geometric": [[4.0], [14.0], [9.0]],
}


@pytest.mark.parametrize("kind", PARAMS)
def test_a_fit_finds_durations(kind):
    truth = three(kind, 40)
    truth.duration_params_ = PARAMS[kind]
    X, _ = truth.sample(4000, random_state=0)
    model = hmm.GaussianHMM(3, transitions=SemiMarkov(kind, longest=40), random_state=0).fit(X)
    order = np.argsort(model.means_[:, 0])
    np.testing.assert_allclose(model.expected_sojourn()[order], truth.expected_sojourn(), rtol=0.15)
    np.testing.assert_allclose(model.transmat_[order][:, order], truth.transmat_, atol=0.12)
    free = hmm.GaussianHMM(3, transitions=SemiMarkov("empirical", longest=40), random_state=0).fit(X)
    assert free.score(X) > model.score(X)


@pytest.mark.parametrize("kind", SEMI_MARKOV)
def test_means_and_shares_are_those_of_the_distribution(kind, rng):
    transition = make(kind, "poisson", 3, rng).chain().transition
    pmf = transition.duration_pmf(4000)
    np.testing.assert_allclose(pmf.sum(axis=1), 1, rtol=1e-9)
    np.testing.assert_allclose(pmf @ np.arange(1, 4001), transition.sojourn(), rtol=1e-9)
    S = len(transition.regimes)
    step = np.stack([transition.row(s, None, 1) for s in range(S)])
    shares = np.full(S, 1 / S) @ np.linalg.matrix_power(0.5 * (step + np.eye(S)), 1 << 14)
    np.testing.assert_allclose(
        [shares[transition.regimes == k].sum() for k in range(3)], transition.stationary(), rtol=1e-8
    )


def test_geometric_durations_are_an_ordinary_chain(rng):
    model = make("geometric", "poisson", 3, rng)
    plain = hmm.PoissonHMM(3)
    stay = model.duration_params_[:, 0] / (1 + model.duration_params_[:, 0])
    plain.startprob_, plain.lambdas_ = model.startprob_, model.lambdas_
    plain.transmat_ = np.diag(stay) + (1 - stay)[:, None] * model.transmat_
    X = rng.poisson(3, (40, 2))
    np.testing.assert_allclose(model.score(X), plain.score(X), rtol=1e-12)
    np.testing.assert_allclose(
        model.get_stationary_distribution(), plain.get_stationary_distribution(), rtol=1e-9
    )
    np.testing.assert_allclose(model.expected_sojourn(), plain.expected_sojourn(), rtol=1e-12)


@given(mean=st.floats(1e-3, 3000), size=st.floats(1e-2, 1e4), longest=st.integers(1, 1500))
@settings(max_examples=60)
def test_hazards_are_pmf_over_survivor(mean, size, longest):
    n = np.arange(longest)
    for duration, law, params in (
        (Poisson(longest), stats.poisson(mean), [mean]),
        (NegativeBinomial(longest), stats.nbinom(size, size / (size + mean)), [mean, size]),
    ):
        log_h, log_stay = (v[0] for v in duration.logs(np.array([params])))
        assert np.isfinite(log_h).all()
        np.testing.assert_allclose(np.exp(log_h) + np.exp(log_stay), 1, rtol=1e-8)
        before = np.concatenate([[1.0], law.sf(n[:-1])])
        sound = before > 1e-250
        np.testing.assert_allclose(
            np.exp(log_h)[sound], law.pmf(n)[sound] / before[sound], rtol=1e-6, atol=1e-12
        )


def test_far_beyond_the_mean_hazards_are_those_of_the_series():
    """1/h(a) = Σ_n p(a + n)/p(a), added up in logarithms."""
    far = np.arange(3000)
    logs = stats.poisson(1.0).logpmf(far)
    top = np.array([np.logaddexp.reduce(logs[a:]) for a in (5, 300, 900)])
    log_h, log_stay = Poisson(1000).logs(np.array([[1.0]]))
    np.testing.assert_allclose(log_h[0, [5, 300, 900]], logs[[5, 300, 900]] - top, rtol=1e-8, atol=1e-11)
    above = np.array([np.logaddexp.reduce(logs[a + 1 :]) for a in (5, 300, 900)])
    np.testing.assert_allclose(log_stay[0, [5, 300, 900]], above - top, rtol=1e-8)


@pytest.mark.parametrize("kind", SEMI_MARKOV)
def test_an_m_step_is_not_downhill(kind, rng):
    duration = KINDS[kind](6, 0.5 if kind == "empirical" else 0.0)
    params = np.tile(duration.start(3.0), (4, 1))
    exits, stays = rng.gamma(1.0, size=(2, 4, 6)) * 50
    exits[3] = stays[3] = 0

    def objective(params):
        log_h, log_stay = duration.logs(params)
        return (exits * log_h + stays * log_stay).sum() + duration.log_prior(params)

    found = duration.learn(params, exits, stays)
    assert objective(found) > objective(params)
    if kind != "empirical":
        np.testing.assert_array_equal(found[3], params[3])
    for name in range(found.shape[1]):
        for factor in (0.97, 1.03):
            moved = found.copy()
            moved[:, name] = np.minimum(moved[:, name] * factor, 1.0 if kind == "empirical" else np.inf)
            assert objective(moved) <= objective(found) + 1e-6 * abs(objective(found))


def test_a_state_that_never_ends(rng):
    model = hmm.PoissonHMM(2, transitions=SemiMarkov("poisson", longest=10), n_iter=5, tol=0, init_params="")
    model.startprob_, model.lambdas_ = np.array([1.0, 0.0]), np.array([[1.0], [9.0]])
    model.transmat_, model.duration_params_ = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[4.0], [3.0]])
    X, states = model.sample(60, rng)
    assert (np.diff(states) >= 0).all()
    assert states[-1] == 1
    assert model.expected_sojourn()[1] == np.inf
    np.testing.assert_array_equal(model.get_stationary_distribution(), [0, 1])
    model.fit(X)
    np.testing.assert_array_equal(model.transmat_, [[0, 1], [0, 0]])
    assert model.duration_params_[1, 0] == 3
    assert model.chain().transition.n_parameters() == 1


def test_one_state_never_ends():
    model = hmm.PoissonHMM(1, transitions=SemiMarkov(), random_state=0).fit([3, 4, 5])
    assert model.lambdas_[0, 0] == pytest.approx(4)
    assert model.transmat_.tolist() == [[0.0]]


def test_a_topology_holds_and_frozen_moves_stay(rng):
    truth = three("poisson", 20)
    truth.duration_params_ = PARAMS["poisson"]
    X, _ = truth.sample(300, rng)
    model = hmm.GaussianHMM(
        3, transitions=SemiMarkov(longest=20), topology="cyclic", random_state=0, n_iter=3, tol=0
    ).fit(X)
    np.testing.assert_array_equal(model.transmat_, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    held = three("poisson", 20, frozen={"transmat": [1]}, init_params="", n_iter=3, tol=0)
    held.duration_params_ = PARAMS["poisson"]
    held.fit(X)
    np.testing.assert_array_equal(held.transmat_[1], [0.5, 0, 0.5])
    with pytest.raises(UnsupportedError, match="cannot tie"):
        three("poisson", 20, tied={"transmat": [[0, 1]]}).fit(X)


def test_smoothing_pulls_hazards(rng):
    exits, stays = np.array([[3.0, 0.0]]), np.array([[1.0, 0.0]])
    duration = Empirical(2, 3.0)
    np.testing.assert_allclose(duration.learn(np.full((1, 2), 0.5), exits, stays), [[5 / 7, 2 / 3]])


@pytest.mark.parametrize(
    ("attribute", "value", "error", "message"),
    [
        ("transmat_", np.eye(3), ProbabilityError, "set the diagonal to 0"),
        ("transmat_", [[0, 0.5, 0.2], [1, 0, 0], [1, 0, 0]], ProbabilityError, "sum of 0.7"),
        ("transmat_", [[0, 2, -1], [1, 0, 0], [1, 0, 0]], ProbabilityError, "not negative"),
        ("duration_params_", [[0.0], [1], [1]], DataError, "above zero"),
        ("duration_params_", [1.0, 1, 1], DataError, "shape"),
    ],
)
def test_numbers_are_checked(attribute, value, error, message):
    model = three("poisson", 5)
    model.duration_params_ = PARAMS["poisson"]
    setattr(model, attribute, value)
    with pytest.raises((error, ValueError), match=message):
        model.score(np.zeros((3, 1)))


def test_settings_are_checked():
    with pytest.raises(DataError, match="durations must be one of"):
        SemiMarkov("normal")
    with pytest.raises(DataError, match="longest"):
        SemiMarkov(longest=0)
    with pytest.raises(DataError, match="smoothing is of"):
        SemiMarkov("poisson", smoothing=1.0)
    model = three("empirical", 2)
    model.duration_params_ = [[0.5, 1.5]] * 3
    with pytest.raises(DataError, match="from 0 to 1"):
        model.score(np.zeros((3, 1)))


def test_the_transitions_are_drawn():
    model = three("poisson", 5)
    model.duration_params_ = PARAMS["poisson"]
    assert model.plot_transitions().axes
