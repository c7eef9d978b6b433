"""Laws of the models: EM rises, files hold everything, settings are scikit-learn's, draws and forecasts agree
with posteriors, and bad input is told."""

import numpy as np
import pytest
from sklearn.base import clone

from hmm import (
    CategoricalHMM,
    CoupledHMM,
    DynamicBayesianNetwork,
    FactorialHMM,
    GaussianHMM,
    HierarchicalHMM,
    PoissonHMM,
    load,
)
from hmm.emissions.additive import Additive
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    GraphError,
    NotFittedError,
    ProbabilityError,
    ShapeError,
    TreewidthError,
)
from tests.hmm.dynamic.test_reference import pgmpys_docstring, umbrella

FEW = {"n_iter": 12, "tol": 0, "random_state": 0}


def numbers(T=80, D=2, seed=0):
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.integers(3, size=(T // 8, D)), 8, axis=0)
    return steps * 2.0 + rng.normal(size=(T, D))


def symbols(T=80, D=1, seed=0):
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.integers(3, size=(T // 4, D)), 4, axis=0).astype(float)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


def with_gaps(X):
    X = X.copy()
    X[5], X[10, 0] = np.nan, np.nan
    return X


MODELS = {
    "factorial": (FactorialHMM((2, 2), **FEW), with_gaps(numbers())),
    "factorial diag": (FactorialHMM((2, 3), covariance_type="diag", **FEW), numbers()),
    "factorial spherical": (FactorialHMM((3, 1), covariance_type="spherical", **FEW), numbers()),
    "factorial categorical": (FactorialHMM((2, 2), emission="categorical", **FEW), symbols()),
    "factorial with priors": (
        FactorialHMM((2, 2), transmat_prior=3.0, startprob_prior=2.0, **FEW),
        numbers(),
    ),
    "coupled": (
        CoupledHMM([(GaussianHMM(2), [0]), (PoissonHMM(3), [1])], **FEW),
        np.column_stack([numbers()[:, 0], np.abs(numbers()[:, 1].round())]),
    ),
    "coupled in a line": (
        CoupledHMM([(GaussianHMM(2), [1]), (CategoricalHMM(2), [0])], coupling=[[1, 1], [0, 1]], **FEW),
        np.column_stack([symbols()[:, 0], numbers()[:, 0]]),
    ),
    "hierarchical": (
        HierarchicalHMM((2, 2), GaussianHMM(covariance_type="diag"), **FEW),
        with_gaps(numbers()),
    ),
    "three levels": (HierarchicalHMM((2, 1, 2), CategoricalHMM(), **FEW), symbols()),
    "network": (
        DynamicBayesianNetwork(
            {"a": 2, "b": 3, "c": 3},
            {"a": [("a", -1)], "b": ["a", ("b", -1)], "c": ["b", "a"]},
            columns=["c", "b"],
            **FEW,
        ),
        np.column_stack([symbols()[:, 0], np.where(np.arange(80) % 3, np.nan, symbols(seed=1)[:, 0])]),
    ),
    "network with an input": (
        DynamicBayesianNetwork(
            {"u": 2, "a": 2, "c": 3},
            {"a": [("a", -1), "u"], "c": ["a"]},
            columns=["c", "u"],
            inputs=["u"],
            **FEW,
        ),
        np.column_stack([symbols()[:, 0], np.arange(80) % 2]),
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")


@pytest.fixture(params=MODELS, scope="module")
def fitted(request):
    model, X = MODELS[request.param]
    return clone(model).fit(X, lengths=[30, 50]), X


def test_em_rises_and_scores_agree(fitted):
    model, X = fitted
    rises = np.diff(model.monitor_.history)
    assert len(rises) == 11
    assert rises.min() > -1e-8
    assert rises[0] > 0
    own = model.network().log_prior()
    assert model.score(X, lengths=[30, 50]) + own >= model.monitor_.history[-1] - 1e-8
    assert model.score(X[:30]) + model.score(X[30:]) == pytest.approx(model.score(X, lengths=[30, 50]))
    assert model.score([X[:30], X[30:]]) == pytest.approx(model.score(X, lengths=[30, 50]))


def test_a_fit_can_be_repeated(fitted):
    model, X = fitted
    again = clone(model).fit(X, lengths=[30, 50])
    assert again.monitor_.history == model.monitor_.history


def test_files_hold_everything(fitted, tmp_path):
    model, X = fitted
    model.save(tmp_path / "model.safetensors")
    back = load(tmp_path / "model.safetensors")
    assert back.score(X) == model.score(X)
    assert back.monitor_.history == model.monitor_.history
    assert str(back.get_params(deep=False)) == str(model.get_params(deep=False))


def test_readings_have_shapes_and_sum_to_one(fitted):
    model, X = fitted
    proba, causal = (model.predict_proba(X), model.filter(X))
    proba, causal = (list(p.values()) if isinstance(p, dict) else p for p in (proba, causal))
    assert len(proba) == len(model.nodes())
    for smooth, own in zip(proba, causal, strict=True):
        np.testing.assert_allclose(smooth.sum(axis=1), 1)
        np.testing.assert_allclose(own.sum(axis=1), 1)
        np.testing.assert_allclose(smooth[-1], own[-1], atol=1e-9)  # at the end there is nothing left to come
    draws = model.sample_paths(X, 300, random_state=0)
    assert draws.shape == (300, len(X), len(model.nodes()))
    for place, smooth in enumerate(proba):
        seen = (draws[:, :, place, None] == np.arange(smooth.shape[1])).mean(axis=0)
        assert np.abs(seen - smooth).max() < 0.17
    assert model.predict(X).shape == (len(X), len(model.nodes()))
    score, path = model.decode(X)
    assert score <= model.score(X) + 1e-9
    assert (path >= 0).all()


def test_a_forecast_goes_on_from_the_filter(fitted):
    model, X = fitted
    if isinstance(model, DynamicBayesianNetwork) and model.inputs:
        with pytest.raises(DataError, match="inputs to come"):
            model.forecast(X, steps=2)
        return
    ahead = model.forecast(X, steps=2)
    longer = model.predict_proba(np.concatenate([X, np.full((2, X.shape[1]), np.nan)]))
    if isinstance(ahead, dict):
        ahead, longer = list(ahead.values()), list(longer.values())
    for own, known in zip(ahead, longer, strict=True):
        np.testing.assert_allclose(own, known[-2:], atol=1e-12)


def test_samples_look_like_the_model(fitted):
    model, _ = fitted
    if isinstance(model, DynamicBayesianNetwork):
        given = {"u": np.zeros(50, int)} if model.inputs else None
        assert model.sample(50, 0, inputs=given).shape == (50, len(model.names()))
        return
    X, states = model.sample(50, 0)
    assert X.shape[0] == 50
    assert states.shape == (50, len(model.nodes()))
    assert np.isfinite(model.score(X))
    np.testing.assert_array_equal(model.sample(50, 0)[0], X)


def test_two_sources_are_found():
    truth = FactorialHMM((2, 2))
    truth.startprob_ = [[0.5, 0.5]] * 2
    truth.transmat_ = [[[0.97, 0.03], [0.03, 0.97]], [[0.9, 0.1], [0.1, 0.9]]]
    truth.means_, truth.covars_ = [[[0.0], [10.0]], [[0.0], [3.0]]], [[0.25]]
    X, _ = truth.sample(800, random_state=1)
    model = FactorialHMM((2, 2), n_init=6, random_state=0).fit(X)
    steps = sorted(abs(np.diff(w[:, 0])[0]) for w in model.means_)
    np.testing.assert_allclose(steps, [3, 10], atol=0.15)
    np.testing.assert_allclose(model.covars_, [[0.25]], atol=0.05)


def test_one_chain_is_a_gaussian_hmm():
    X = numbers(D=1)
    model = FactorialHMM((2,), **FEW).fit(X)
    plain = GaussianHMM(2, covariance_type="tied")
    plain.startprob_, plain.transmat_ = model.startprob_[0], model.transmat_[0]
    plain.means_, plain.covars_ = model.means_[0], model.covars_
    assert model.score(X) == pytest.approx(plain.score(X))
    np.testing.assert_allclose(model.predict_proba(X)[0], plain.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(model.filter(X)[0], plain.filter(X), atol=1e-9)


def test_complete_data_are_counted():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.repeat(rng.integers(2, size=50), 4), rng.integers(3, size=200)])
    model = DynamicBayesianNetwork({"a": 2, "b": 3}, {"a": [("a", -1)], "b": ["a"]}, random_state=0).fit(X)
    counts = np.zeros((2, 2))
    np.add.at(counts, (X[:-1, 0], X[1:, 0]), 1)
    np.testing.assert_allclose(model.cpds_["a"], counts / counts.sum(axis=1, keepdims=True), atol=1e-12)
    own = np.array([np.bincount(X[X[:, 0] == a, 1], minlength=3) for a in range(2)])
    np.testing.assert_allclose(model.cpds_["b"], own / own.sum(axis=1, keepdims=True), atol=1e-12)


def test_frames_name_their_columns():
    pd = pytest.importorskip("pandas")
    model = umbrella().set_params(columns=["rain", "umbrella"])
    X = pd.DataFrame({"umbrella": [1, 1, 0], "rain": [np.nan, np.nan, 1.0]})
    swapped = X[["rain", "umbrella"]].to_numpy()
    assert model.score(X) == pytest.approx(model.score(swapped))
    assert umbrella().score(X[["umbrella"]]) == pytest.approx(umbrella().score([1, 1, 0]))


def test_ten_thousand_steps():
    model = pgmpys_docstring()
    X = model.sample(10_000, random_state=0)
    proba = model.predict_proba(X)["X"]
    assert np.isfinite(model.score(X))
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    joint = model.joint_proba(X, [("X", 17), ("Z", 9_000)])
    np.testing.assert_allclose(joint.sum(axis=1), proba[17], atol=1e-9)


def test_additive_gradients_are_differences():
    rng = np.random.default_rng(0)
    emission = Additive(rng.normal(size=(5, 2)), np.array([[1.0, 0.2], [0.2, 0.7]]), (2, 3))
    X = rng.normal(size=(20, 2))
    X[3, 0], X[4] = np.nan, np.nan
    data, weights = emission.prepare(X), rng.random((20, 6))
    found, wanted = emission.gradient(data, weights), super(Additive, emission).gradient(data, weights)
    np.testing.assert_allclose(found["means"], wanted["means"], atol=1e-6)


def wrong():
    good = umbrella()
    yield DataError, "dict of nodes", lambda: DynamicBayesianNetwork().fit([[0]])
    yield NotFittedError, "call fit", lambda: DynamicBayesianNetwork({"a": 2}).score([[0]])
    yield NotFittedError, "call fit", lambda: FactorialHMM().score([[0.0]])
    yield (
        GraphError,
        "depend on each other",
        lambda: DynamicBayesianNetwork({"a": 2, "b": 2}, {"a": ["b"], "b": ["a"]}).fit([[0, 0]]),
    )
    yield GraphError, "not among the nodes", lambda: DynamicBayesianNetwork({"a": 2}, {"a": ["b"]}).fit([[0]])
    yield GraphError, "slices back", lambda: DynamicBayesianNetwork({"a": 2}, {"a": [("a", -2)]}).fit([[0]])
    yield (
        GraphError,
        "first slice",
        lambda: DynamicBayesianNetwork({"a": 2}, {"a": [("a", -1)]}, initial=[]).fit([[0]]),
    )
    yield DataError, "state 2 at row 1", lambda: good.score([0, 2])
    yield ShapeError, "columns", lambda: good.score([[0, 1]])
    yield DataError, "not known", lambda: good.score([0.5])
    yield (
        DataError,
        "input 'u' is missing at row 1",
        lambda: DynamicBayesianNetwork({"u": 2, "a": 2}, {"a": ["u"]}, inputs=["u"]).fit([[0, 0], [-1, 0]]),
    )
    yield DataError, "each column", lambda: CoupledHMM([(GaussianHMM(2), [1])]).fit([[0.0, 1.0]])
    yield ShapeError, "coupling", lambda: CoupledHMM([(GaussianHMM(2), [0])], coupling=[[1, 1]]).fit([[0.0]])
    yield DataError, "what the states emit", lambda: HierarchicalHMM((2, 2)).fit([[0.0]])
    yield DataError, "gaussian", lambda: FactorialHMM(emission="normal").fit([[0.0]])
    yield TreewidthError, "one step of all chains", lambda: FactorialHMM((50,) * 8).fit([[0.0]])
    many = [(GaussianHMM(40), [m]) for m in range(5)]
    yield TreewidthError, "transition of chain 0", lambda: CoupledHMM(many).fit(np.zeros((3, 5)))
    yield TreewidthError, "lowest level", lambda: HierarchicalHMM((99,) * 5, GaussianHMM()).fit([[0.0]])
    wide = {str(k): 64 for k in range(6)}
    crowd = {"0": [str(k) for k in range(1, 6)]}
    yield TreewidthError, "table of '0'", lambda: DynamicBayesianNetwork(wide, crowd).fit(np.zeros((3, 6)))
    yield GraphError, "list of names", lambda: DynamicBayesianNetwork({"a": 2}, {"a": "a"}).fit([[0]])
    yield GraphError, "list of names", lambda: DynamicBayesianNetwork({"a": 2}, {"a": [(1, 2, 3)]}).fit([[0]])
    yield DataError, "node one of rain", lambda: good.joint_proba([1, 1], [("snow", 0)])
    yield DataError, "node one of rain", lambda: good.joint_proba([1, 1], [(7, 0)])
    yield DataError, "node one of rain", lambda: good.joint_proba([1, 1], ["rain"])
    yield ShapeError, "2 steps", lambda: good.joint_proba([1, 1], [("rain", 2)])
    yield ShapeError, "symbols", lambda: FactorialHMM(emission="categorical").fit([[0, 1]])
    yield (
        ProbabilityError,
        "sum to 1",
        lambda: (
            good.set_params(columns=["umbrella"])
            and DynamicBayesianNetwork.from_tables({"a": 2}, {}, {"a": [0.5, 0.6]}, {})
        ),
    )


@pytest.mark.parametrize(
    ("error", "says", "call"), list(wrong()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_bad_input_is_told(error, says, call):
    with pytest.raises(error, match=says):
        call()


def test_a_fit_that_stops_early_warns():
    with pytest.warns(ConvergenceWarning, match="raise n_iter"):
        FactorialHMM((2, 2), n_iter=2, random_state=0).fit(numbers())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [1, 2])
def test_readings_of_very_short_series(name, rows):
    model, X = MODELS[name]
    model, short = clone(model).fit(X), X[:rows]
    total, proba = model.score_samples(short)
    assert total == pytest.approx(model.score(short))
    causal = model.filter(short)
    proba, causal = (list(p.values()) if isinstance(p, dict) else p for p in (proba, causal))
    for smooth, own in zip(proba, causal, strict=True):
        assert smooth.shape == own.shape == (rows, smooth.shape[1])
        np.testing.assert_allclose(smooth[-1], own[-1], atol=1e-12)
    assert model.sample_paths(short, 3).shape == (3, rows, len(proba))
    assert model.posterior_entropy(short) >= -1e-12


def test_sequences_are_scored_one_by_one(fitted):
    model, X = fitted
    each = [model.score(X[:30]), model.score(X[30:])]
    np.testing.assert_allclose(model.score_sequences(X, [30, 50]), each)


def test_criteria_count_free_numbers():
    X = numbers(D=1)
    model, plain = FactorialHMM((3,), covariance_type="diag", **FEW).fit(X), GaussianHMM(3, "tied")
    plain.startprob_, plain.transmat_ = model.startprob_[0], model.transmat_[0]
    plain.means_, plain.covars_ = model.means_[0], model.covars_
    assert model.aic(X) == pytest.approx(plain.aic(X))
    assert model.bic(X) == pytest.approx(plain.bic(X))
    two = FactorialHMM((2, 3), **FEW).fit(X).network()
    # Starts 1 + 2, transitions 2 + 6, sums of means 2 + 3 − 1, one variance.
    assert two.n_parameters() == 3 + 8 + 4 + 1
