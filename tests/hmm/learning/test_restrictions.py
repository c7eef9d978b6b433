"""Frozen stays, tied stays alike, and EM still rises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hmm
from hmm.learning.restrictions import Restrictions, pooled, restrictions
from hmm.simplex import normalised
from msgpass.errors import DataError, UnsupportedError
from tests.hmm import drawn as first
from tests.hmm import kinds as others

KINDS = (*first.KINDS, *others.KINDS)
pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
few = settings(max_examples=5)


def case(kind, K, rng, T=40, **settings):
    """A model of any kind with its parameters set, and data."""
    module = first if kind in first.KINDS else others
    model = module.make(kind, K, 2, rng, init_params="", n_iter=6, tol=-1.0, **settings)
    X = others.rows(model, T, rng)
    return model, X


def values(model):
    """Everything that is estimated, by letter."""
    chain = model.chain()
    return {"s": [chain.initial], "t": [chain.transition.matrix]} | {
        letter: [np.array(v) for v in leaves(chain.emission, letter)] for letter in chain.emission.LETTERS
    }


def leaves(emission, letter):
    if hasattr(emission, "parts"):
        return [v for part in emission.parts for c in part.emission.LETTERS for v in leaves(part.emission, c)]
    return [getattr(emission, emission.LETTERS[letter])]


def rises(history):
    return (np.diff(history) >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all()


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=st.integers(0, 2**32 - 1))
def test_frozen_states_stay_and_em_rises(kind, seed):
    rng = np.random.default_rng(seed)
    model, X = case(kind, 3, rng)
    names = list(model.EMISSION.LETTERS.values())
    name = "emission" if kind in ("tied", "mixed") else names[rng.integers(len(names))]
    states = [0, 1, 2] if kind == "tied" else [1]
    model.set_params(frozen={name: states, "transmat": [2], "startprob": [0]})
    before = values(model)
    history = model.fit(X).monitor_.history
    after = values(model)
    letters = [c for c, n in model.EMISSION.LETTERS.items() if name in (n, "emission")]
    for letter in letters:
        for old, new in zip(before[letter], after[letter], strict=True):
            rows = slice(None) if kind == "tied" else states
            np.testing.assert_array_equal(new[rows], old[rows])
    np.testing.assert_array_equal(after["t"][0][2], before["t"][0][2])
    assert after["s"][0][0] == before["s"][0][0]
    assert after["s"][0].sum() == pytest.approx(1, abs=1e-12)
    assert not np.array_equal(after["t"][0][0], before["t"][0][0])
    assert rises(history), history


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=st.integers(0, 2**32 - 1))
def test_tied_states_emit_alike_and_em_rises(kind, seed):
    rng = np.random.default_rng(seed)
    model, X = case(kind, 3, rng)
    model.set_params(tied={"emission": [[0, 2]], "transmat": [[1, 2]]})
    history = model.fit(X).monitor_.history
    after = values(model)
    for letter in model.EMISSION.LETTERS:
        for value in after[letter]:
            if not (kind == "tied" and letter == "c"):
                np.testing.assert_array_equal(value[0], value[2])
    assert rises(history), history
    np.testing.assert_allclose(after["t"][0][1], after["t"][0][2], rtol=1e-12)


def test_all_states_tied_are_one(rng):
    """Two tied states of equal rows are a model of one state."""
    X = rng.poisson(4, (60, 1))
    one = hmm.PoissonHMM(1, random_state=0).fit(X)
    two = hmm.PoissonHMM(2, random_state=0, tied={"emission": [[0, 1]]}).fit(X)
    np.testing.assert_allclose(two.lambdas_, np.repeat(one.lambdas_, 2, axis=0), rtol=1e-10)
    assert two.score(X) == pytest.approx(one.score(X), rel=1e-12)


def test_a_prior_counts_for_every_tied_state(rng):
    """The maximum of Σ_k Q_k + log prior under the tie, found by search."""
    from scipy.optimize import minimize_scalar

    from hmm.emissions import Poisson

    emission = Poisson(np.full((2, 1), 2.0), 3.0, 1.5)
    data, weights = emission.prepare(rng.poisson(3, (20, 1)).astype(float)), rng.dirichlet([1, 1], 20)

    def objective(rate):
        tied = Poisson(np.full((2, 1), rate), 3.0, 1.5)
        return -(weights * tied.log_density(data)).sum() - tied.log_prior()

    found = Restrictions(states=np.array([0, 0])).fit_emission(emission, data, weights, "l").lambdas
    best = minimize_scalar(objective, bounds=(0.1, 20), method="bounded", options={"xatol": 1e-9}).x
    np.testing.assert_allclose(found.ravel(), best, rtol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_frozen_entries_of_a_row_leave_the_maximum_of_the_rest(seed):
    rng = np.random.default_rng(seed)
    previous, counts = rng.dirichlet(np.ones(4)), rng.gamma(1, size=4)
    frozen = rng.random(4) < 0.4
    found = normalised(counts, 1.0, previous, frozen)
    np.testing.assert_array_equal(found[frozen], previous[frozen])
    assert found.sum() == pytest.approx(1, abs=1e-12)
    for _ in range(5):
        other = found.copy()
        left = previous[~frozen].sum()
        other[~frozen] = left * rng.dirichlet(np.ones((~frozen).sum())) if (~frozen).any() else []
        assert counts @ np.log(found) >= counts @ np.log(np.maximum(other, 1e-300)) - 1e-9


def test_pooled_keeps_the_sum_and_the_shape(rng):
    counts = rng.random((4, 2, 3))
    mean = pooled(counts, np.array([0, 1, 0, 0]))
    np.testing.assert_allclose(mean.sum(axis=0), counts.sum(axis=0))
    np.testing.assert_allclose(mean[0], counts[[0, 2, 3]].mean(axis=0))


def test_frozen_start_around_what_is_set(rng):
    """Frozen values come from the attributes, though the fit starts the rest anew."""
    X = np.concatenate([rng.normal(-3, 1, 100), rng.normal(3, 1, 100)])[:, None]
    frozen = {"means": [0], "transmat": np.array([[True, False]] * 2)}
    model = hmm.GaussianHMM(2, random_state=0, frozen=frozen)
    model.means_, model.transmat_ = np.array([[-2.5], [0.0]]), np.array([[0.5, 0.5], [0.3, 0.7]])
    model.covars_ = np.ones((2, 1))
    model.fit(X)
    assert model.means_[0, 0] == -2.5 and model.means_[1, 0] == pytest.approx(3, abs=0.5)
    np.testing.assert_array_equal(model.transmat_[:, 0], [0.5, 0.3])


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"frozen": {"mean": [0]}}, "frozen is a dict with keys among 'startprob'"),
        ({"frozen": {"means": [2]}}, "states from 0 to 1"),
        ({"frozen": [0]}, "frozen is a dict"),
        ({"tied": {"emission": [[0, 0]]}}, "each once"),
        ({"tied": {"emission": [0, 1]}}, "a list of lists"),
        ({"tied": {"emission": [[0, 5]]}}, "states from 0 to 1"),
        ({"tied": {"means": [[0, 1]]}}, "keys among 'transmat', 'emission'"),
        ({"frozen": {"means": [0]}}, "means_ is not set"),
        (
            {"frozen": {"means": [0]}, "tied": {"emission": [[0, 1]]}},
            "means is frozen in one of the states 0 and 1",
        ),
        ({"frozen": {"transmat": [1]}, "tied": {"transmat": [[0, 1]]}}, "transmat is frozen in one of"),
    ],
)
def test_what_is_refused(setting, says, rng):
    with pytest.raises(DataError, match=says):
        hmm.GaussianHMM(2, **setting).fit(rng.normal(size=(20, 1)))


def test_a_tied_covariance_freezes_as_a_whole(rng):
    model, X = case("tied", 3, rng)
    with pytest.raises(UnsupportedError, match="freeze it in all of them"):
        model.set_params(frozen={"covars": [0]}).fit(X)


@pytest.mark.parametrize("key", ["means", "transmat"])
def test_tied_states_are_frozen_at_one_value(key, rng):
    model, X = case("diag", 3, rng)
    groups = "emission" if key == "means" else key
    model.set_params(frozen={key: [0, 2]}, tied={groups: [[0, 2]]})
    with pytest.raises(DataError, match="different values in states that are tied"):
        model.fit(X)
    value = getattr(model, f"{key}_")
    value[2] = value[0]
    before = value[0].copy()
    model.fit(X)
    np.testing.assert_array_equal(getattr(model, f"{key}_")[[0, 2]], [before, before])


@pytest.mark.parametrize(
    "setting", [{"frozen": {"covars": [1]}}, {"frozen": {"coef": [0]}}, {"tied": {"emission": [[0, 1]]}}]
)
@pytest.mark.parametrize("K", [1, 2])
def test_densities_of_several_states_are_refused(setting, K, rng):
    """A row of coef_ is a lag and no state."""
    if K == 1 and setting != {"frozen": {"coef": [0]}}:
        setting = {"frozen": {"means": [0]}}
    model = hmm.SwitchingMeanHMM(K, order=2, random_state=0)
    model.means_, model.coef_, model.covars_ = np.arange(K) * 1.0, [0.2, 0.1], [1.0]
    with pytest.raises(UnsupportedError, match="more than one state"):
        model.set_params(**setting).fit(rng.normal(size=30))


def test_of_nothing_is_nothing():
    made = restrictions(3, {"m": "means"}, None, None)
    assert made.initial is None and made.transition is None and not made.restrict_emission
    empty = restrictions(3, {"m": "means"}, {"startprob": [], "transmat": [], "means": []}, {"emission": []})
    assert not any(mask.any() for mask in (empty.initial, empty.transition, empty.emission["m"]))
