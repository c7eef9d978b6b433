"""Online EM: a batch at a time, near the truth, and forgetting."""

import copy

import numpy as np
import pytest

import hmm
from hmm.keeping import load
from hmm.learning import online
from msgpass.errors import DataError, ShapeError, UnsupportedError
from tests.hmm import drawn as first
from tests.hmm import kinds as others
from tests.hmm.emissions.test_statistics import KINDS

pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")


def truth(kind):
    """A model to draw from, and a fresh one to learn it."""
    if kind == "gaussian":
        model = hmm.GaussianHMM(3, covariance_type="full")
        model.transmat_ = [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.05, 0.15, 0.8]]
        model.means_ = [[0, 0], [3, 1], [-1, 3]]
        model.covars_ = np.array([np.eye(2), [[1, 0.5], [0.5, 1]], 2 * np.eye(2)])
        fresh = hmm.GaussianHMM(3, covariance_type="full", random_state=0)
    else:
        model, fresh = hmm.PoissonHMM(2), hmm.PoissonHMM(2, random_state=0)
        model.transmat_, model.lambdas_ = [[0.9, 0.1], [0.2, 0.8]], [[2.0], [6.0]]
    model.startprob_ = np.full(model.n_components, 1 / model.n_components)
    return model, fresh


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_a_stream_leads_near_the_truth_and_near_batch_em(kind, rng):
    model, online_ = truth(kind)
    stream = [[model.sample(50, rng)[0] for _ in range(4)] for _ in range(100)]
    held = [model.sample(50, rng)[0] for _ in range(40)]
    batch = copy.deepcopy(online_).fit([x for part in stream for x in part])
    for part in stream:
        online_.partial_fit(part)
    rows = 40 * 50
    assert online_.score(held) / rows > batch.score(held) / rows - 0.003
    assert online_.score(held) / rows > model.score(held) / rows - 0.003
    assert len(online_.monitor_.history) == 100 == online_.monitor_.iter
    order = lambda m: np.argsort(np.asarray(m.means_ if kind == "gaussian" else m.lambdas_)[:, 0])  # noqa: E731
    found, wanted = (np.asarray(m.transmat_)[order(m)][:, order(m)] for m in (online_, model))
    np.testing.assert_allclose(found, wanted, atol=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_passes_over_the_same_data_with_steps_of_1_n_approach_the_optimum(kind, rng):
    """From near the optimum of EM, more passes leave the likelihood there."""
    module = first if kind in first.KINDS else others
    model = module.make(kind, 2, 1, rng, init_params="", n_iter=40, tol=1e-6)
    parts = [others.rows(model, 60, rng).astype(float) for _ in range(8)]
    best = copy.deepcopy(model).fit(parts)
    level = best.score(parts)
    best.__dict__.pop("_running_", None)
    for _ in range(3):
        for n in range(0, 8, 2):
            best.partial_fit(parts[n : n + 2], learning_decay=1.0)
    assert best.score(parts) > level - 2.0  # of 480 rows


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_is_one_iteration_of_em(kind, rng):
    module = first if kind in first.KINDS else others
    model = module.make(kind, 2, 1, rng, init_params="", n_iter=1, tol=-1.0)
    parts = [others.with_gaps(model, others.rows(model, 60, rng).astype(float), 0.1, rng) for _ in range(3)]
    one, two = copy.deepcopy(model).fit_batches(parts), copy.deepcopy(model).partial_fit(parts)
    assert one.monitor_.history == pytest.approx(two.monitor_.history, rel=1e-10)
    assert one.score(parts) == pytest.approx(two.score(parts), rel=1e-6)


def test_steps_of_1_n_weigh_all_rows_alike(rng):
    """With parameters that posteriors do not depend on, the running means are those of all data, whatever the
    sizes of batches; and with smaller decay late ones weigh more."""
    X = rng.poisson(4, (300, 1)).astype(float)
    even, late = hmm.PoissonHMM(1, random_state=0), hmm.PoissonHMM(1, random_state=0)
    X[200:] += 20
    for part in np.split(X, [20, 120, 130, 200]):
        even.partial_fit(part, learning_decay=1.0)
        late.partial_fit(part, learning_decay=0.6)
    np.testing.assert_allclose(even.lambdas_, X.mean(), rtol=1e-12)
    assert late.lambdas_.item() > X.mean() + 1


def test_weights_of_sequences_are_repetitions(rng):
    parts = [rng.poisson(3, (40, 1)), rng.poisson(8, (40, 1))]
    one, two = hmm.PoissonHMM(1, random_state=0), hmm.PoissonHMM(1, random_state=0)
    one.partial_fit(parts, weights=[1, 2]).partial_fit(parts[0], learning_decay=1.0)
    two.partial_fit([*parts, parts[1]]).partial_fit(parts[0], learning_decay=1.0)
    np.testing.assert_allclose(one.lambdas_, two.lambdas_, rtol=1e-12)


def test_priors_count_against_all_rows_so_far(rng):
    X = rng.poisson(4, (200, 1)).astype(float)
    model = hmm.PoissonHMM(1, lambdas_prior=30.0, lambdas_weight=10.0, random_state=0)
    for part in np.split(X, 4):
        model.partial_fit(part, learning_decay=1.0)
    np.testing.assert_allclose(model.lambdas_, (X.sum() + 30) / 210, rtol=1e-12)


def test_parameters_wait_until_there_is_enough(rng):
    model = hmm.GaussianHMM(3, covariance_type="full", random_state=0)
    model.partial_fit(rng.normal(size=(20, 3)))
    means, free = model.means_.copy(), 2 + 6 + 9 + 18
    assert online.WARM_UP * free > 20 * 3
    model.partial_fit(rng.normal(size=(20, 3)))
    np.testing.assert_array_equal(model.means_, means)
    model.predict(rng.normal(size=(5, 3)))
    model.partial_fit(rng.normal(size=(60, 3)))
    assert not np.array_equal(model.means_, means)


def test_a_fitted_model_goes_on_from_what_it_has(rng):
    X = rng.normal(np.repeat([0.0, 9.0], 100))[:, None]
    model = hmm.GaussianHMM(2, random_state=0).fit(X)
    before = model.means_.copy()
    model.partial_fit(X)
    np.testing.assert_allclose(model.means_, before, atol=1e-3)
    assert len(model.monitor_.history) == 1
    model.fit(X[:50])  # a fit forgets
    assert "_running_" not in vars(model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_goes_on_as_if_nothing_had_happened(kind, rng, tmp_path):
    module = first if kind in first.KINDS else others
    model = module.make(kind, 2, 1, rng, init_params="")
    parts = [others.rows(model, 80, rng).astype(float) for _ in range(4)]
    for part in parts[:2]:
        model.partial_fit(part)
    model.save(tmp_path / "model")
    other = load(tmp_path / "model")
    for part in parts[2:]:
        model.partial_fit(part)
        other.partial_fit(part)
    assert other.score(parts) == model.score(parts)
    assert other.monitor_.history == model.monitor_.history


def test_damaged_memory_is_refused(rng):
    model = hmm.PoissonHMM(1, random_state=0).partial_fit(rng.poisson(3, (50, 1)))
    model._running_ = {"rows": 3}
    with pytest.raises(DataError, match="damaged"):
        model.partial_fit(rng.poisson(3, (50, 1)))


def test_restrictions_hold(rng):
    settings = {"frozen": {"lambdas": [1]}, "topology": "linear", "init_params": "s", "random_state": 0}
    model = hmm.PoissonHMM(3, **settings)
    model.lambdas_ = np.array([[1.0], [5.0], [12.0]])
    model.transmat_ = np.array([[0.9, 0.1, 0], [0, 0.9, 0.1], [0, 0, 1]])
    for _ in range(5):
        model.partial_fit([rng.poisson([[2]] * 20 + [[6]] * 20 + [[15]] * 20) for _ in range(3)])
    assert model.lambdas_[1, 0] == 5.0 and model.lambdas_[0, 0] == pytest.approx(2, abs=0.4)
    assert model.transmat_[0, 2] == model.transmat_[1, 0] == 0 and model.startprob_[0] == 1


def test_floors_are_relative_to_all_batches(rng):
    """A batch of one value does not move the floor to that of one value."""
    model = hmm.GaussianHMM(1, random_state=0).partial_fit(1e-6 * rng.normal(size=(50, 1)))
    model.partial_fit(np.zeros((50, 1)))
    assert model.covars_.item() < 1e-11


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"learning_decay": 0.5}, "above 0.5"),
        ({"learning_decay": 1.5}, "at most 1"),
        ({"learning_decay": True}, "learning_decay must be a number"),
        ({"learning_decay": "slow"}, "learning_decay must be a number"),
        ({"learning_offset": -1}, "not negative"),
        ({"learning_offset": np.nan}, "not negative"),
    ],
)
def test_steps_that_cannot_be(settings, says, rng):
    with pytest.raises(DataError, match=says):
        hmm.PoissonHMM(1).partial_fit(rng.poisson(3, (9, 1)), **settings)


def test_other_columns_are_refused(rng):
    model = hmm.GaussianHMM(1, random_state=0).partial_fit(rng.normal(size=(50, 2)))
    with pytest.raises(ShapeError, match="X has 1 features, but GaussianHMM is expecting 2 features"):
        model.partial_fit(rng.normal(size=(50, 1)))


def test_other_methods_are_refused(rng):
    with pytest.raises(UnsupportedError, match="partial_fit is EM"):
        hmm.PoissonHMM(1, method="lbfgs").partial_fit(rng.poisson(3, (9, 1)))
