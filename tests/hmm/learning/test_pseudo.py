"""Rows seen before the fit: a prior for every emission."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hmm
from msgpass.errors import DataError, ShapeError, UnsupportedError
from tests.hmm import drawn as first
from tests.hmm import kinds as others

KINDS = (*first.KINDS, *others.KINDS)
pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
few = settings(max_examples=4)


def case(kind, rng, T=40, **settings):
    """A model of any kind with its parameters set, data, and rows for its prior."""
    module = first if kind in first.KINDS else others
    model = module.make(kind, 2, 2, rng, init_params="", n_iter=6, tol=-1.0, **settings)
    X = others.rows(model, T + 8, rng)
    return model.set_params(prior_rows=X[T:], prior_weight=0.7), X[:T]


def rises(history):
    return (np.diff(history) >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all()


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=st.integers(0, 2**32 - 1))
def test_em_rises_and_the_prior_is_in_its_history(kind, seed):
    rng = np.random.default_rng(seed)
    model, X = case(kind, rng)
    before, chain = model.score(X), model.chain(X)
    density = chain.emission.log_density(chain.pseudo.data)
    history = model.fit(X).monitor_.history
    assert history[0] == pytest.approx(before + 0.7 * density.sum() + chain.emission.log_prior(), rel=1e-9)
    assert rises(history), history


def test_it_is_conjugate(rng):
    """A Poisson rate with n rows of weight w is under a gamma prior; a normal mean is drawn to theirs."""
    X, rows = rng.poisson(4, (50, 1)), np.array([[2.0], [3.0], [9.0]])
    pseudo = hmm.PoissonHMM(2, random_state=0, prior_rows=rows, prior_weight=0.5).fit(X)
    gamma = hmm.PoissonHMM(2, random_state=0, lambdas_prior=0.5 * 14, lambdas_weight=0.5 * 3).fit(X)
    np.testing.assert_allclose(pseudo.lambdas_, gamma.lambdas_, rtol=1e-10)
    Y = rng.normal(size=(30, 1))
    one = hmm.GaussianHMM(1, prior_rows=[[10.0]] * 15, prior_weight=2.0, random_state=0).fit(Y)
    assert one.means_[0, 0] == pytest.approx((Y.sum() + 300) / 60)


CLOSED = (
    "categorical",
    "poisson",
    "diag",
    "spherical",
    "full",
    "bernoulli",
    "exponential",
    "gamma",
    "log-normal",
)


@pytest.mark.parametrize("kind", CLOSED)
def test_without_data_the_prior_is_all(kind, rng):
    """Every state is fitted to the rows, and so all are alike."""
    model, X = case(kind, rng)
    fitted = model.set_params(n_iter=40).fit(np.full(X.shape, np.nan))
    chain = fitted.chain(X)
    density = chain.emission.log_density(chain.pseudo.data).sum(axis=0)
    np.testing.assert_allclose(density, density[0], rtol=1e-6)
    one = chain.emission.fit(chain.pseudo.data, chain.pseudo.counts(2), "".join(chain.emission.LETTERS))
    again = one.log_density(chain.pseudo.data).sum(axis=0)
    np.testing.assert_allclose(again, density, rtol=1e-6)  # it is the weighted maximum of them alone


@pytest.mark.parametrize("kind", ["poisson", "diag", "gamma", "von Mises", "linear", "student"])
def test_lbfgs_ends_where_em_does(kind, rng):
    model, X = case(kind, rng, T=120)
    em = others.permuted(model, [0, 1]) if kind in others.KINDS else model.__class__(**model.get_params())
    for name, value in vars(model).items():
        if name.endswith("_"):
            setattr(em, name, value)
    em.set_params(n_iter=3000, tol=1e-9).fit(X)
    climbed = model.set_params(method="lbfgs", n_iter=500, tol=1e-9).fit(X)
    again = climbed.set_params(method="em", n_iter=3, tol=-1.0).fit(X).monitor_.history
    assert again[-1] - again[0] < 1e-4
    assert abs(em.monitor_.history[-1] - again[0]) < 1e-2 * abs(again[0])


@pytest.mark.parametrize("kind", ["categorical", "poisson", "full", "bernoulli", "gamma", "linear"])
def test_batches_have_it_too(kind, rng):
    one, X = case(kind, rng)
    two, _ = case(kind, np.random.default_rng(0))
    for name, value in vars(one).items():
        setattr(two, name, value)
    whole = one.fit([X[:15], X[15:]]).monitor_.history
    parts = two.fit_batches([X[:15], X[15:]]).monitor_.history
    np.testing.assert_allclose(parts, whole, rtol=1e-9)


def test_it_is_kept_and_cloned(rng, tmp_path):
    from sklearn.base import clone

    model, X = case("gamma", rng)
    model.fit(X).save(tmp_path / "model.safetensors")
    again = hmm.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.prior_rows, model.prior_rows)
    assert clone(model).prior_weight == 0.7
    assert again.score(X) == model.score(X)


@pytest.mark.parametrize(
    ("setting", "error", "says"),
    [
        ({"prior_rows": [[1.0, 2.0]]}, ShapeError, "prior_rows"),
        ({"prior_rows": [[-1.0]]}, DataError, "whole numbers"),
        ({"prior_rows": [[1.0]], "prior_weight": -1.0}, DataError, "prior_weight must be finite and not"),
    ],
)
def test_what_is_refused(setting, error, says, rng):
    with pytest.raises(error, match=says):
        hmm.PoissonHMM(2, **setting).fit(rng.poisson(3, (20, 1)))


def test_variational_models_have_priors_of_their_own(rng):
    with pytest.raises(UnsupportedError, match="prior_rows"):
        hmm.VariationalCategoricalHMM(2, prior_rows=[[1]]).fit(rng.integers(0, 3, (20, 1)))
