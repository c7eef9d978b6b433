"""Whatever comes in: one clear error of the library and a model as it was, or a model whose numbers are
sound."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import hmm
from msgpass.errors import MessagePassingError
from tests.hmm import drawn as first
from tests.hmm import kinds as others

pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
many = settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])

MODELS = {
    "categorical": hmm.CategoricalHMM,
    "bernoulli": hmm.BernoulliHMM,
    "poisson": hmm.PoissonHMM,
    "multinomial": hmm.MultinomialHMM,
    "gaussian": hmm.GaussianHMM,
    "full": lambda K, **s: hmm.GaussianHMM(K, covariance_type="full", **s),
    "tied": lambda K, **s: hmm.GaussianHMM(K, covariance_type="tied", **s),
    "gmm": lambda K, **s: hmm.GMMHMM(K, n_mix=2, **s),
    "student": hmm.StudentTHMM,
    "exponential": hmm.ExponentialHMM,
    "gamma": hmm.GammaHMM,
    "log-normal": hmm.LogNormalHMM,
    "von Mises": hmm.VonMisesHMM,
    "negative binomial": hmm.NegativeBinomialHMM,
    "linear": hmm.LinearRegressionHMM,
    "logistic": hmm.LogisticRegressionHMM,
    "autoregressive": hmm.AutoregressiveHMM,
    "switching mean": hmm.SwitchingMeanHMM,
    "variational symbols": hmm.VariationalCategoricalHMM,
    "variational": hmm.VariationalGaussianHMM,
    "variational tied": lambda K, **s: hmm.VariationalGaussianHMM(K, "tied", **s),
    "variational diag": lambda K, **s: hmm.VariationalGaussianHMM(K, "diag", **s),
}

numbers = st.one_of(
    st.integers(-3, 5).map(float),
    st.floats(-1e3, 1e3),
    st.sampled_from([np.nan, np.nan, 0.0, 1.0, 1e-300, 1e8, -1e8, 1e150, 1e300, np.inf, -np.inf]),
)
tables = arrays.arrays(
    np.float64,
    st.one_of(
        st.tuples(st.integers(0, 12)),
        st.tuples(st.integers(0, 12), st.integers(0, 3)),
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)),
    ),
    elements=numbers,
)
others_than_tables = st.one_of(
    st.none(),
    st.text(max_size=4),
    st.floats(allow_nan=True),
    st.lists(st.one_of(st.none(), st.text(max_size=2), st.integers(-2, 3), st.floats(-1, 1)), max_size=6),
    st.lists(st.lists(st.integers(-1, 3), max_size=3), max_size=5),
    arrays.arrays(st.sampled_from([np.complex128, np.bool_, np.int8, np.uint64, np.dtype("U2")]), (4, 2)),
)
data_of_any_kind = st.one_of(tables, tables, tables, st.lists(tables, max_size=3), others_than_tables)
lengths_of_any_kind = st.one_of(
    st.none(),
    st.none(),
    st.lists(st.integers(-1, 9), max_size=4),
    st.integers(-1, 9),
    st.just([2.5]),
    st.text(max_size=2),
)


def state_of(model):
    return {name: np.array(value, copy=True) for name, value in vars(model).items() if name.endswith("_")}


def sound(model):
    """Probabilities sum to one, and all that is estimated is finite."""
    assert abs(model.startprob_.sum() - 1) < 1e-9 and (model.startprob_ >= 0).all()
    np.testing.assert_allclose(model.transmat_.sum(axis=1), 1, atol=1e-9)
    model.chain()  # checks every parameter
    assert not np.isnan(model.monitor_.history).any()


@pytest.mark.parametrize("kind", MODELS)
@many
@given(X=data_of_any_kind, lengths=lengths_of_any_kind, K=st.integers(1, 3))
def test_fit_takes_it_or_says_why(kind, X, lengths, K):
    model = MODELS[kind](K, n_iter=3, tol=0, random_state=0)
    try:
        model.fit(X, lengths=lengths)
    except MessagePassingError as problem:
        assert len(str(problem)) > 20
        assert not state_of(model), problem
        return
    sound(model)


@pytest.mark.parametrize("kind", [*first.KINDS, *others.KINDS])
@many
@given(X=data_of_any_kind, lengths=lengths_of_any_kind)
def test_score_and_decode_take_it_or_say_why(kind, X, lengths):
    rng = np.random.default_rng(0)
    model = (first if kind in first.KINDS else others).make(kind, 2, 2, rng)
    before = state_of(model)
    for method in (model.score, model.predict_proba, model.predict):
        try:
            found = method(X, lengths=lengths)
        except MessagePassingError as problem:
            assert len(str(problem)) > 20
            continue
        assert not np.isnan(found).any()
    assert before.keys() == state_of(model).keys()


any_value = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(),
    st.text(max_size=5),
    st.just([0, 1]),
    st.just({}),
    st.just(np.eye(2)),
    st.just(object()),
)


@pytest.mark.parametrize("Model", [hmm.GaussianHMM, hmm.VariationalGaussianHMM])
@settings(max_examples=300)
@given(choice=st.data(), value=any_value)
def test_any_setting_is_taken_or_refused(Model, choice, value):
    name = choice.draw(st.sampled_from(sorted(Model().get_params())))
    X = np.random.default_rng(0).normal(size=(12, 2))
    model = Model(2, n_iter=2, tol=0, random_state=0).set_params(**{name: value})
    try:
        model.fit(X)
    except MessagePassingError as problem:
        assert len(str(problem)) > 20
        return
    sound(model)
