"""EM over batches is EM over all data, with one batch in memory."""

import contextlib
import copy
import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hmm
from hmm.transitions import Homogeneous
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    MessagePassingError,
    ShapeError,
    UnsupportedError,
)
from tests.hmm import drawn as first
from tests.hmm import kinds as others
from tests.hmm.emissions.test_statistics import KINDS, REFUSED
from tests.hmm.learning.test_fitting import stopping
from tests.hmm.test_sklearn import things

pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
LENGTHS = [30, 20, 5, 40, 1, 35]


def case(kind, rng, gaps=True, K=3, **settings):
    """A model with its parameters set, which a fit starts from, and sequences."""
    module = first if kind in first.KINDS else others
    model = module.make(kind, K, 2, rng, init_params="", n_iter=4, tol=-1.0, **settings)
    parts = [others.rows(model, n, rng).astype(float) for n in LENGTHS]
    return model, [others.with_gaps(model, x, 0.2, rng) if gaps else x for x in parts]


def batched(parts):
    """Batches of every form."""
    return [parts[:2], parts[2], (np.concatenate(parts[3:]), LENGTHS[3:])]


def values(model):
    emission = others.leaves(model.chain().emission)
    return {"startprob": model.startprob_, "transmat": model.transmat_, **emission}


def same(one, two, rtol=1e-8):
    np.testing.assert_allclose(one.monitor_.history, two.monitor_.history, rtol=1e-10)
    for name, value in values(one).items():
        np.testing.assert_allclose(values(two)[name], value, rtol=rtol, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "student"])
@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
def test_batches_are_fitted_as_all_data_at_once(kind, gaps, seed):
    rng = np.random.default_rng(seed)
    model, parts = case(kind, rng, gaps)
    one, two = copy.deepcopy(model), model
    one.fit(np.concatenate(parts), lengths=LENGTHS)
    two.fit_batches(batched(parts))
    if kind == "scipy nbinom":  # a search along a flat ridge, which roundings lead here and there
        np.testing.assert_allclose(one.monitor_.history, two.monitor_.history, rtol=1e-3)
    elif kind == "negative binomial":  # a root of a sum over counts
        np.testing.assert_allclose(one.monitor_.history, two.monitor_.history, rtol=1e-7)
    else:
        same(one, two)


@pytest.mark.parametrize("gaps", [False, True])
def test_student_t_rises_to_the_same_likelihood(gaps, rng):
    model, parts = case("student", rng, gaps, K=2)
    model.set_params(n_iter=600, tol=1e-9)
    one, two = copy.deepcopy(model).fit(parts), copy.deepcopy(model).fit_batches(batched(parts))
    history = np.array(two.monitor_.history)
    assert (np.diff(history) >= -1e-9 * np.abs(history[1:])).all()
    assert history[-1] == pytest.approx(one.monitor_.history[-1], abs=0.2)


PRIORS = {
    "poisson": {"lambdas_prior": 2.0, "lambdas_weight": 1.5, "transmat_prior": 2.0, "startprob_prior": 1.5},
    "diag": {"means_prior": 0.5, "means_weight": 0.7, "covars_prior": 0.3, "covars_weight": 5.0},
    "full": {"means_prior": 0.5, "means_weight": 0.7, "covars_prior": 0.3, "covars_weight": 5.0},
    "tied": {"means_prior": 0.5, "means_weight": 0.7, "covars_prior": 0.3, "covars_weight": 5.0},
    "gmm full": {"means_prior": 0.5, "means_weight": 0.7, "covars_prior": 0.3, "weights_prior": 1.5},
    "categorical": {"emissionprob_prior": 1.5},
    "exponential": {"rates_prior": 2.0, "rates_weight": 1.0},
    "bernoulli": {"probs_prior": (2.0, 1.5)},
}


@pytest.mark.parametrize("kind", list(PRIORS))
def test_priors_count_once(kind, rng):
    model, parts = case(kind, rng, **PRIORS[kind])
    same(copy.deepcopy(model).fit(parts), copy.deepcopy(model).fit_batches(batched(parts)))


RESTRICTED = {
    "frozen": {"frozen": {"emission": [1], "transmat": [2], "startprob": [0]}},
    "tied": {"tied": {"emission": [[0, 2]], "transmat": [[1, 2]]}},
    "letters": {"params": "t"},
    "min_covar": {"min_covar": 0.5},
}


@pytest.mark.parametrize("setting", list(RESTRICTED))
@pytest.mark.parametrize("kind", ["full", "diag", "gmm diag"])
def test_restrictions_hold(kind, setting, rng):
    model, parts = case(kind, rng, **RESTRICTED[setting])
    same(copy.deepcopy(model).fit(parts), copy.deepcopy(model).fit_batches(batched(parts)))


def test_topology_holds(rng):
    model, parts = case("poisson", rng, topology="left-right")
    model.transmat_ = np.array([[0.5, 0.3, 0.2], [0, 0.6, 0.4], [0, 0, 1.0]])
    one, two = copy.deepcopy(model).fit(parts), copy.deepcopy(model).fit_batches(batched(parts))
    same(one, two)
    assert (np.tril(two.transmat_, -1) == 0).all()


@pytest.mark.parametrize("kind", ["poisson", "full", "categorical", "mixed"])
def test_weights_and_labels_come_with_their_batch(kind, rng):
    model, parts = case(kind, rng, gaps=False)
    weights, labels = np.array([1.0, 2.5, 0.0, 1.0, 3.0, 1.0]), np.full(sum(LENGTHS), -1)
    labels[[3, 60]] = 1, 2
    one = copy.deepcopy(model).fit(parts, weights=weights, labels=labels)
    made = [
        {"X": parts[:3], "weights": weights[:3], "labels": labels[:55]},
        {
            "X": np.concatenate(parts[3:]),
            "lengths": LENGTHS[3:],
            "weights": weights[3:],
            "labels": labels[55:],
        },
    ]
    same(one, model.fit_batches(made))
    cut = hmm.batches(np.concatenate(parts), LENGTHS, rows=60, weights=weights, labels=labels)
    assert len(cut) > 2
    model, _ = copy.deepcopy(one), None
    again = copy.deepcopy(model).fit_batches(cut)
    same(copy.deepcopy(model).fit(parts, weights=weights, labels=labels), again)


def test_the_start_comes_from_the_first_batch(rng):
    X = rng.normal(np.repeat([0.0, 6.0, 0.0, 6.0], 50))[:, None]
    settings = {"random_state": 3, "n_iter": 30, "tol": 1e-7}
    start = hmm.GaussianHMM(2, **(settings | {"n_iter": 0})).fit(X[:100])
    model = hmm.GaussianHMM(2, **settings).fit_batches([X[:100], X[100:]])
    other = hmm.GaussianHMM(2, **settings, init_params="")
    other.startprob_, other.transmat_ = start.startprob_, start.transmat_
    other.means_, other.covars_ = start.means_, np.diagonal(start.covars_, axis1=1, axis2=2)
    same(other.fit(X, lengths=[100, 100]), model)
    assert model.monitor_.converged and np.sort(model.means_.ravel())[1] == pytest.approx(6, abs=0.4)


def test_more_starts_are_never_worse(rng):
    batches = [rng.integers(0, 5, (50, 1)) for _ in range(3)]
    batches[0][:5, 0] = np.arange(5)
    scores = [
        hmm.CategoricalHMM(3, random_state=7, n_iter=15, n_init=n).fit_batches(batches).monitor_.history[-1]
        for n in (1, 4)
    ]
    assert scores[1] > scores[0]


def test_every_way_to_give_batches_is_the_same(rng, tmp_path):
    X = rng.poisson(np.repeat([2, 9, 2, 9], 30)).astype(float)
    np.save(tmp_path / "x.npy", X)

    def read():
        yield X[:60]
        yield X[60:]

    class Again:
        def __iter__(self):
            return read()

    forms = [
        [X[:60], X[60:]],
        (X[:60], X[60:]),
        read,
        Again(),
        hmm.batches(X, [60, 60], rows=60),
        hmm.batches(np.load(tmp_path / "x.npy", mmap_mode="r"), [60, 60], rows=100),
        lambda: [X[:60], X[60:]],
        X.reshape(2, 60, 1),
    ]
    fits = [hmm.PoissonHMM(2, random_state=0).fit_batches(form) for form in forms]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.lambdas_, fits[0].lambdas_)
        assert other.monitor_.history == fits[0].monitor_.history


def test_frames_give_names(rng):
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame({"a": rng.poisson(3, 20), "b": rng.poisson(5, 20)}) for _ in range(2)]
    model = hmm.PoissonHMM(2, random_state=0, n_iter=2).fit_batches(frames)
    assert model.feature_names_in_.tolist() == ["a", "b"] and model.n_features_in_ == 2
    with pytest.raises(DataError, match=r"(?s)in batch 1: .*same order"):
        hmm.PoissonHMM(2).fit_batches([frames[0], frames[1][["b", "a"]]])


@pytest.fixture
def no_collector():
    """Nothing waits for Python's collector to be let go."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_memory_holds_one_batch():
    """Ten times the data, the same peak."""

    def peak(n_batches):
        def read():
            for seed in range(n_batches):
                yield np.random.default_rng(seed).normal(size=(20_000, 2))

        model = hmm.GaussianHMM(2, random_state=0, n_iter=2, tol=-1.0)
        tracemalloc.start()
        model.fit_batches(read)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)
    assert peak(10) < 1.2 * peak(1)


@pytest.mark.usefixtures("no_collector")
def test_a_memory_map_is_never_read_as_a_whole(rng, tmp_path):
    np.save(tmp_path / "x.npy", rng.normal(size=(200_000, 2)))
    X = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = hmm.GaussianHMM(2, random_state=0, n_iter=1, tol=-1.0)
    model.fit_batches(hmm.batches(X[:10_000], [1000] * 10, rows=5000))
    tracemalloc.start()
    model.fit_batches(hmm.batches(X, [1000] * 200, rows=5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 2


# -- interrupts and checkpoints ------------------------------------------------------------------------


def hard(rng):
    batches = [rng.integers(0, 5, (75, 1)) for _ in range(2)]
    batches[0][:5, 0] = np.arange(5)
    return batches


def restarting(**settings):
    return hmm.CategoricalHMM(3, random_state=7, n_iter=15, tol=1e-6, n_init=3, **settings)


def test_an_interrupt_leaves_the_best_so_far(rng):
    batches = hard(rng)
    cut = stopping(restarting(), 20)
    with pytest.raises(KeyboardInterrupt):
        cut.fit_batches(batches)
    full = restarting().fit_batches(batches)
    assert -np.inf < cut.score(batches) <= full.score(batches) + 1e-9


@pytest.mark.parametrize("after", [1, 9, 31])
def test_a_resumed_fit_ends_with_the_same_bits(after, rng, tmp_path):
    batches, path = hard(rng), tmp_path / "fit.safetensors"
    whole = restarting().fit_batches(batches)
    with pytest.raises(KeyboardInterrupt):
        stopping(restarting(), after).fit_batches(batches, checkpoint=path)
    resumed = restarting().fit_batches(batches, checkpoint=path)
    for name in ("startprob_", "transmat_", "emissionprob_"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert resumed.monitor_.history == whole.monitor_.history
    with pytest.raises(DataError, match="other data"):
        restarting().fit_batches(batches[:1], checkpoint=path)


def test_a_floor_is_relative_to_all_data_after_a_checkpoint(rng, tmp_path):
    batches = [rng.normal(0, 1e-3, (40, 1)), rng.normal(0, 1, (40, 1))]
    path = tmp_path / "fit.safetensors"
    with pytest.raises(KeyboardInterrupt):
        stopping(hmm.GaussianHMM(2, random_state=0, n_iter=9, tol=-1.0), 3).fit_batches(
            batches, checkpoint=path
        )
    resumed = hmm.GaussianHMM(2, random_state=0, n_iter=9, tol=-1.0).fit_batches(batches, checkpoint=path)
    whole = hmm.GaussianHMM(2, random_state=0, n_iter=9, tol=-1.0).fit_batches(batches)
    np.testing.assert_array_equal(resumed.covars_, whole.covars_)


def test_it_warns_where_it_has_not_converged(rng):
    batches = [rng.normal(size=(50, 1)) for _ in range(2)]
    with pytest.warns(ConvergenceWarning, match="n_iter=2") as caught:
        hmm.GaussianHMM(2, random_state=0, n_iter=2, tol=1e-12).fit_batches(batches)
    assert caught[0].filename == __file__


# -- what is refused -----------------------------------------------------------------------------------


def generator():
    yield np.zeros((4, 1))


ONCE = iter([np.zeros((4, 1))])


@pytest.mark.parametrize(
    ("batches", "error", "says"),
    [
        (generator(), DataError, r"generator, which can be gone through once.*fit_batches\(read\), not"),
        (map(np.asarray, []), DataError, "map, which can be gone through once"),
        ([], DataError, "batches hold nothing"),
        (lambda: None, DataError, "returned a NoneType; wanted an iterator"),
        (lambda: np.zeros((4, 1)), DataError, "returned a ndarray"),
        (lambda: ONCE, DataError, "batches hold nothing|the same every time"),
        (np.zeros((9, 1)), DataError, r"one array of shape \(9, 1\).*hmm.batches"),
        ({"X": np.zeros((3, 1))}, DataError, "batches is a dict"),
        (7, DataError, "cannot be iterated over"),
        ([np.zeros((4, 1)), np.zeros((4, 2))], ShapeError, "in batch 1: X has 2 columns"),
        ([np.zeros((4, 1)), -np.ones((4, 1))], DataError, "in batch 1: X holds -1.0 at row 0"),
        ([{"x": np.zeros((4, 1))}], DataError, "wanted 'X' and any of"),
        ([(1, 2, 3)], DataError, "a tuple of 3"),
        ([(np.zeros((4, 1)), [3])], ShapeError, "lengths sum to 3"),
    ],
)
def test_what_is_refused(batches, error, says):
    with pytest.raises(error, match=says):
        hmm.PoissonHMM(1, random_state=0).fit_batches(batches)


def test_batches_that_differ_from_pass_to_pass_are_refused(rng):
    calls = iter(range(100))

    def read():
        n = 2 if next(calls) < 2 else 1
        return [rng.poisson(3, (40, 1)) for _ in range(n)]

    with pytest.raises(DataError, match="40 rows in 1 sequences in this pass, and 80 in 2 in the first"):
        hmm.PoissonHMM(1, random_state=0).fit_batches(read)


@pytest.mark.parametrize("kind", REFUSED)
def test_models_without_sums_are_refused_and_name_the_way_out(kind, rng):
    model, parts = case(kind, rng, gaps=False)
    for call in (model.fit_batches, model.partial_fit):
        with pytest.raises(UnsupportedError, match="call fit on all data"):
            call(parts)
    model.set_params(params="st")
    same(copy.deepcopy(model).fit(parts), copy.deepcopy(model).fit_batches(batched(parts)))


@pytest.mark.parametrize("Model", [hmm.VariationalGaussianHMM, hmm.VariationalCategoricalHMM])
def test_posteriors_are_not_learned_from_batches(Model, rng):
    for call in ("fit_batches", "partial_fit"):
        with pytest.raises(
            UnsupportedError, match=r"Posterior emissions are fitted to all rows at once.*call fit"
        ):
            getattr(Model(2, random_state=0), call)([rng.integers(0, 3, (30, 1)) for _ in range(2)])


def test_other_methods_are_refused(rng):
    model = hmm.PoissonHMM(1, method="lbfgs")
    with pytest.raises(UnsupportedError, match="set method='em'"):
        model.fit_batches([rng.poisson(3, (40, 1))])


class Stepwise(Homogeneous):
    """A kind whose counts come row by row."""

    STEPWISE = True


def test_transitions_that_look_at_rows_are_refused(rng):
    model = hmm.PoissonHMM(2, random_state=0, transitions=Stepwise())
    for call in (model.fit_batches, model.partial_fit):
        with pytest.raises(UnsupportedError, match=r"Stepwise transitions are fitted to rows.*leave 't' out"):
            call([rng.poisson(3, (40, 1)), rng.poisson(3, (40, 1))])
    model.set_params(params="sl")
    model.fit_batches([rng.poisson(3, (40, 1)), rng.poisson(3, (30, 1))])
    assert np.isfinite(model.lambdas_).all()


@settings(max_examples=100)
@given(
    st.lists(things, max_size=3) | things,
    st.sampled_from([hmm.GaussianHMM, hmm.PoissonHMM, hmm.CategoricalHMM]),
)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_whatever_is_given_is_fitted_or_refused(batches, Model):
    for call in ("fit_batches", "partial_fit"):
        model = Model(1, n_iter=1, random_state=0)
        try:
            getattr(model, call)(batches)
            assert np.isfinite(model.transmat_).all()
        except MessagePassingError:
            pass
    with contextlib.suppress(MessagePassingError):
        hmm.batches(batches)


def test_trials_of_every_row_cannot_be_told_for_batches(rng):
    X = rng.multinomial(4, [0.5, 0.5], 20)
    model = hmm.MultinomialHMM(2, n_trials=np.full(20, 4), random_state=0)
    with pytest.raises(DataError, match="give one number"):
        model.fit_batches([X])


@pytest.mark.parametrize("trials", [(4, 4), (4, 5)])
def test_trials_are_what_all_rows_have_in_common(trials, rng):
    batches = [rng.multinomial(n, [0.5, 0.5], 20) for n in trials]
    model = hmm.MultinomialHMM(1, random_state=0).fit_batches(batches)
    assert model.n_trials_ == (4 if trials == (4, 4) else None)
