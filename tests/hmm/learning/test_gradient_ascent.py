"""L-BFGS ends where EM ends, obeys what EM obeys, and can be watched and stopped as EM can."""

import numpy as np
import pytest

import hmm
from msgpass.errors import ConvergenceWarning, UnsupportedError
from tests.hmm.learning.climbs import KINDS, made, same_start
from tests.hmm.learning.test_fitting import stopping
from tests.hmm.learning.test_restrictions import rises, values

quiet = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
SHORT = {"n_iter": 400, "tol": 1e-7}
ROUGH = ("scipy laplace", "scipy nbinom")
"""A likelihood with kinks has no gradient at its maximum; slopes by differences are rough where a
count is all but Poisson, and size and share run away together."""


def objective(model, X):
    return model.monitor_.history[-1]


@quiet
@pytest.mark.parametrize("prior", [False, True], ids=["likelihood", "posterior"])
@pytest.mark.parametrize("kind", KINDS)
def test_em_gains_nothing_after_it(kind, prior, rng):
    start, X = made(kind, 2, rng, T=120, prior=prior)
    found = same_start(start, method="lbfgs", **SHORT).fit(X)
    assert rises(found.monitor_.history)
    assert found.monitor_.history[-1] > found.monitor_.history[0]
    after = same_start(found, n_iter=20, tol=-1.0).fit(X)
    top = found.monitor_.history[-1]
    gain = after.monitor_.history[-1] - top
    assert -1e-7 * abs(top) < gain < (1e-2 if kind in ROUGH else 2e-4)


SAME_MODE = (
    "categorical",
    "poisson",
    "spherical",
    "diag",
    "full",
    "tied",
    "log-normal",
    "multinomial",
)


@quiet
@pytest.mark.parametrize("prior", [False, True], ids=["likelihood", "posterior"])
@pytest.mark.parametrize("kind", SAME_MODE)
def test_it_ends_where_em_ends(kind, prior, rng):
    """Where states are far apart there is one mode to go to."""
    start, X = made(kind, 2, rng, T=150, prior=prior)
    em, lbfgs = (same_start(start, method=m, n_iter=5000, tol=1e-9).fit(X) for m in ("em", "lbfgs"))
    assert objective(lbfgs, X) == pytest.approx(objective(em, X), rel=1e-7)
    for letter, ours in values(lbfgs).items():
        for one, other in zip(ours, values(em)[letter], strict=True):
            np.testing.assert_allclose(one, other, rtol=5e-2, atol=2e-2)


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_and_tied_stays(kind, rng):
    start, X = made(kind, 3, rng, T=60)
    states = [0, 1, 2] if kind == "tied" else [1]
    frozen = {"emission": states, "startprob": [0], "transmat": [2]}
    model = same_start(start, method="lbfgs", n_iter=8, tol=-1.0, frozen=frozen)
    before, after = values(start), values(model.fit(X))
    np.testing.assert_array_equal(after["t"][0][2], before["t"][0][2])
    assert after["s"][0][0] == before["s"][0][0] and not np.array_equal(after["t"][0], before["t"][0])
    for letter in model.EMISSION.LETTERS:
        for old, new in zip(before[letter], after[letter], strict=True):
            rows = slice(None) if kind == "tied" else states
            np.testing.assert_array_equal(new[rows], old[rows])
    tied = {"emission": [[0, 2]], "transmat": [[1, 2]]}
    history = (
        (model := same_start(start, method="lbfgs", n_iter=8, tol=-1.0, tied=tied)).fit(X).monitor_.history
    )
    after = values(model)
    assert rises(history) and history[-1] > history[0]
    np.testing.assert_array_equal(after["t"][0][1], after["t"][0][2])
    for letter in model.EMISSION.LETTERS:
        for value in after[letter]:
            if not (kind == "tied" and letter == "c"):
                np.testing.assert_array_equal(value[0], value[2])


@quiet
@pytest.mark.parametrize("restricted", [{"frozen": {"lambdas": [0]}}, {"tied": {"emission": [[0, 2]]}}])
def test_restricted_it_ends_where_em_ends(restricted, rng):
    start, X = made("poisson", 3, rng, T=150)
    settings = restricted | {"n_iter": 5000, "tol": 1e-9}
    em, lbfgs = (same_start(start, method=m, **settings).fit(X) for m in ("em", "lbfgs"))
    assert objective(lbfgs, X) == pytest.approx(objective(em, X), rel=1e-7)
    np.testing.assert_allclose(lbfgs.lambdas_, em.lambdas_, rtol=1e-3, atol=1e-6)


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_params_say_what_moves(kind, rng):
    start, X = made(kind, 2, rng, T=40)
    for letter in start.params:
        model = same_start(start, method="lbfgs", n_iter=4, tol=-1.0, params=letter).fit(X)
        for other, new in values(model).items():
            same = all(np.array_equal(a, b) for a, b in zip(values(start)[other], new, strict=True))
            assert same == (other != letter)


@quiet
def test_forbidden_transitions_stay_forbidden(rng):
    X = np.concatenate([rng.poisson(rate, 40) for rate in (2, 9, 20)])
    model = hmm.PoissonHMM(3, topology="left-right", method="lbfgs", random_state=0).fit(X)
    assert (np.tril(model.transmat_, -1) == 0).all()
    np.testing.assert_array_equal(model.startprob_, [1, 0, 0])
    np.testing.assert_allclose(model.transmat_.sum(axis=1), 1, rtol=1e-14)


@quiet
def test_weights_count_sequences(rng):
    start, X = made("diag", 2, rng, T=90)
    twice = np.concatenate([X[:30], X])
    settings = {"method": "lbfgs", "n_iter": 300, "tol": 1e-9}
    weighted = same_start(start, **settings).fit(X, lengths=[30, 60], weights=[2, 1])
    repeated = same_start(start, **settings).fit(twice, lengths=[30, 30, 60])
    assert objective(weighted, X) == pytest.approx(objective(repeated, twice), rel=1e-9)


def test_labels_pin_states(rng):
    X = np.concatenate([rng.normal(0, 1, 60), rng.normal(6, 1, 60)])[:, None]
    labels = np.full(120, -1)
    labels[[3, 100]] = [1, 0]
    model = hmm.GaussianHMM(2, method="lbfgs", random_state=0).fit(X, labels=labels)
    assert model.means_[1, 0] == pytest.approx(0, abs=0.5)


def test_it_needs_fewer_iterations_where_states_overlap(rng):
    X = np.concatenate([rng.exponential(rate, 300) for rate in (1, 2, 1, 3)])
    settings = {"n_iter": 5000, "tol": 1e-6, "random_state": 0}
    em, lbfgs = (hmm.ExponentialHMM(2, method=m, **settings).fit(X) for m in ("em", "lbfgs"))
    assert lbfgs.monitor_.history[-1] >= em.monitor_.history[-1] - 1e-3
    assert lbfgs.monitor_.iter < em.monitor_.iter / 2


def test_it_stops_as_the_monitor_says(rng):
    start, X = made("poisson", 2, rng, T=60)
    with pytest.warns(ConvergenceWarning, match="stopped after n_iter=3"):
        short = same_start(start, method="lbfgs", n_iter=3, tol=1e-9).fit(X)
    assert short.monitor_.iter == 3
    none = same_start(start, method="lbfgs", n_iter=0).fit(X)
    np.testing.assert_array_equal(none.lambdas_, start.lambdas_)

    class Patient(hmm.ConvergenceMonitor):
        @property
        def converged(self):
            return len(self.history) >= 5

    own = same_start(start, method="lbfgs")
    own.monitor_ = Patient(1e-2, 100, False)
    assert own.fit(X).monitor_.iter == 5


def test_without_a_tolerance_it_ends_where_no_step_gains(rng):
    start, X = made("diag", 1, rng, T=60)
    model = same_start(start, method="lbfgs", n_iter=500, tol=0).fit(X)
    assert model.monitor_.iter < 100


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_it_holds_the_best_and_resumes(kind, rng, tmp_path):
    template, X = made(kind, 2, rng, T=50)
    path = tmp_path / "fit.safetensors"

    def fresh(**settings):
        params = {"random_state": 1, "n_iter": 25, "tol": 0.0, "init_params": template.init_params}
        return same_start(template, method="lbfgs", **(params | settings))

    with pytest.raises(KeyboardInterrupt):
        (cut := stopping(fresh(), 6)).fit(X, checkpoint=path)
    resumed, whole = fresh().fit(X, checkpoint=path), fresh().fit(X)
    assert resumed.monitor_.history[:5] == whole.monitor_.history[:5]
    assert -np.inf < cut.score(X) and rises(resumed.monitor_.history)
    assert resumed.monitor_.history[-1] > resumed.monitor_.history[4]


@quiet
def test_restarts_keep_the_best(rng):
    X = rng.integers(0, 5, (150, 1))
    scores = [
        hmm.CategoricalHMM(3, random_state=7, n_init=n, method="lbfgs").fit(X).monitor_.history[-1]
        for n in (1, 4)
    ]
    assert scores[1] >= scores[0]


def test_two_fits_give_the_same_bits(rng):
    start, X = made("full", 2, rng, T=80)
    one, other = (same_start(start, method="lbfgs").fit(X) for _ in range(2))
    assert one.monitor_.history == other.monitor_.history


def test_a_prior_that_has_no_maximum_is_refused(rng):
    start, X = made("poisson", 2, rng, transmat_prior=0.5, method="lbfgs")
    with pytest.raises(UnsupportedError, match="use method='em'"):
        start.fit(X)


@quiet
def test_variances_keep_above_their_floor(rng):
    X = np.concatenate([np.full(30, 1.0), rng.normal(5, 1, 30)])[:, None]
    for kind in ("diag", "full"):
        model = hmm.GaussianHMM(2, covariance_type=kind, min_covar=0.01, method="lbfgs", random_state=0).fit(
            X
        )
        assert model.covars_.min() >= 0.01 * (1 - 1e-9)
        assert model.covars_.min() < 0.0101
        em = hmm.GaussianHMM(2, covariance_type=kind, min_covar=0.01, random_state=0).fit(X)
        assert model.score(X) == pytest.approx(em.score(X), rel=1e-3)
