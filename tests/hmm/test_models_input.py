"""What the models beside the first three refuse, and how they say it."""

import numpy as np
import pytest

import hmm
from msgpass.errors import DataError, MessagePassingError, NotFittedError, ProbabilityError, ShapeError
from tests.hmm.kinds import KINDS, leaves, make, rows


@pytest.mark.parametrize(
    ("Model", "X", "text"),
    [
        (hmm.BernoulliHMM, [0, 1, 2], "0 or 1"),
        (hmm.ExponentialHMM, [1.0, -1.0], "not negative"),
        (hmm.GammaHMM, [1.0, 0.0], "above zero"),
        (hmm.LogNormalHMM, [1.0, -2.0], "above zero"),
        (hmm.NegativeBinomialHMM, [1, 2.5], "whole and not negative"),
        (hmm.StudentTHMM, [1.0, np.inf], "infinite"),
        (hmm.MultinomialHMM, [[1, -1]], "whole numbers ≥ 0"),
        (hmm.MultinomialHMM, [[1.5, 1]], "whole numbers ≥ 0"),
        (hmm.LogisticRegressionHMM, [[2, 0.5]], "0 or 1"),
    ],
)
def test_data_outside_the_support(Model, X, text):
    with pytest.raises(DataError, match=text):
        Model().fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_a_wrong_shape_or_size(kind, rng):
    model = make(kind, 2, 2, rng)
    X = rows(model, 6, rng)
    if kind == "mixed":
        with pytest.raises(DataError, match="parts_ has 1"):
            model.parts_ = model.parts_[:1]
        return
    for field in model.EMISSION.LETTERS.values():
        good = getattr(model, f"{field}_")
        for bad in (np.concatenate([good, good[:1]]), np.full(np.shape(good), np.nan), "none"):
            setattr(model, f"{field}_", bad)
            with pytest.raises(MessagePassingError):
                model.score(X)
        setattr(model, f"{field}_", good)
    assert np.isfinite(model.score(X))


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("bernoulli", "probs_", 1.5),
        ("exponential", "rates_", 0.0),
        ("gamma", "shapes_", -1.0),
        ("log-normal", "scales_", 0.0),
        ("student", "dofs_", 0.0),
        ("von Mises", "kappas_", -1.0),
        ("negative binomial", "sizes_", 0.0),
        ("scipy weibull", "parameters_", -1.0),
        ("gmm diag", "covars_", -1.0),
        ("gmm tied", "covars_", -1.0),
        ("linear", "covars_", 0.0),
    ],
)
def test_parameters_out_of_range(kind, field, value, rng):
    model = make(kind, 2, 2, rng)
    X = rows(model, 6, rng)
    setattr(model, field, np.full(np.shape(getattr(model, field)), value))
    with pytest.raises(DataError):
        model.score(X)


@pytest.mark.parametrize("kind", KINDS)
def test_unfitted_and_too_narrow(kind, rng):
    model = make(kind, 2, 2, rng)
    X = rows(model, 6, rng)
    with pytest.raises(NotFittedError, match=r"call fit\(X\)"):
        type(model)(**model.get_params(deep=False)).score(X)
    if X.shape[1] > 1:
        with pytest.raises(ShapeError):
            model.score(X[:, :-1])


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (hmm.BernoulliHMM(probs_prior=(0.5, 1)), "at least"),
        (hmm.BernoulliHMM(probs_prior=2.0), "pair"),
        (hmm.ExponentialHMM(rates_prior=-1), "rates_prior"),
        (hmm.MultinomialHMM(emissionprob_prior=0), "emissionprob_prior"),
        (hmm.MultinomialHMM(n_trials=1.5), "n_trials"),
        (hmm.MultinomialHMM(n_trials=3), "sums to 2, but n_trials is 3"),
        (hmm.GMMHMM(n_mix=0), "n_mix"),
        (hmm.GMMHMM(covariance_type="oval"), "covariance_type"),
        (hmm.GMMHMM(weights_prior=0), "weights_prior"),
        (hmm.ScipyHMM(distribution="bell"), "no univariate distribution"),
        (hmm.ScipyHMM(distribution="multivariate_normal"), "no univariate distribution"),
        (hmm.ScipyHMM(distribution="norm", fixed={"shape": 1.0}), "no parameter 'shape'"),
        (hmm.ScipyHMM(distribution="norm", fixed="loc"), "fixed must be a dict"),
        (hmm.LinearRegressionHMM(n_targets=2), "covariates"),
        (hmm.LogisticRegressionHMM(l2=-1.0), "l2"),
        (hmm.AutoregressiveHMM(order=0), "order"),
        (hmm.MixedHMM(models=[(hmm.PoissonHMM(), [0])]), "columns"),
        (hmm.MixedHMM(models=[(hmm.PoissonHMM(), [0]), (hmm.GaussianHMM(), [0, 1])]), "once"),
        (hmm.MixedHMM(models=[hmm.PoissonHMM()]), "pairs"),
        (hmm.MixedHMM(models=[("poisson", [0, 1])]), "cannot be a part"),
        (hmm.MixedHMM(models=[(hmm.AutoregressiveHMM(), [0, 1])]), "cannot be a part"),
    ],
)
def test_settings_are_checked(model, text):
    X = np.array([[1, 1], [0, 1], [1, 0], [0, 1]] * 3)
    with pytest.raises((DataError, ShapeError, ProbabilityError), match=text):
        model.fit(X)


def test_a_response_needs_its_covariates(rng):
    X = rng.normal(size=(30, 3))
    X[4] = [np.nan, np.nan, 1.0]
    model = hmm.LinearRegressionHMM(1).fit(X)
    X[7, 2] = np.nan
    with pytest.raises(DataError, match="row 7 whose covariate in column 2 is missing"):
        model.score(X)


def test_sampling_a_regression_needs_covariates(rng):
    model = make("linear", 2, 1, rng)
    with pytest.raises(DataError, match="needs covariates="):
        model.sample(3)
    with pytest.raises(ShapeError, match="1 columns, but the model has 2"):
        model.sample(covariates=np.ones((4, 1)))
    X, states = model.sample(covariates=np.ones((4, 2)), random_state=0)
    assert X.shape == (4, 3) and states.shape == (4,)


def test_multinomial_trials():
    X = np.array([[1, 2], [3, 0], [0, 3]])
    assert hmm.MultinomialHMM(random_state=0).fit(X).n_trials_ == 3
    assert hmm.MultinomialHMM(random_state=0).fit(X).sample(5)[0].sum(axis=1).tolist() == [3] * 5
    uneven = hmm.MultinomialHMM(random_state=0).fit(np.array([[1, 2], [4, 0]]))
    assert uneven.n_trials_ is None
    with pytest.raises(DataError, match="sampling needs one n_trials"):
        uneven.sample(2)
    with pytest.raises(DataError, match="row 1 of X has missing counts"):
        uneven.score(np.array([[1, 2], [np.nan, 1]]))
    with pytest.raises(DataError, match="row 0 of X has 4 counts in 3 trials"):
        hmm.MultinomialHMM(n_trials=3, random_state=0).fit(X).score(np.array([[np.nan, 4]]))


def test_autoregression_is_conditional_on_the_start_of_each_sequence(rng):
    model = make("autoregressive", 1, 1, rng)
    X = rows(model, 20, rng)
    split = model.score(X[:8]) + model.score(X[8:])
    assert model.score(X, lengths=[8, 12]) == pytest.approx(split)
    assert model.score([X[:8], X[8:]]) == pytest.approx(split)
    assert model.score(X[:2]) == pytest.approx(0)
    online = model.online()
    for x in X:
        online.update(x)
    assert online.log_likelihood == pytest.approx(model.score(X))


def test_autoregression_of_one_state_is_least_squares(rng):
    x = rng.normal(size=50).cumsum()
    model = hmm.AutoregressiveHMM(1, order=2).fit(x)
    design = np.column_stack([x[1:-1], x[:-2], np.ones(48)])
    expected = np.linalg.lstsq(design, x[2:])[0]
    np.testing.assert_allclose(model.coef_.ravel(), expected[:2])
    np.testing.assert_allclose(model.intercept_.ravel(), expected[2:])
    assert model.n_features_in_ == 1


def test_a_state_may_emit_only_ones():
    model = hmm.BernoulliHMM(2, random_state=0).fit([0] * 30 + [1] * 30)
    np.testing.assert_allclose(np.sort(model.probs_.ravel()), [0, 1], atol=1e-9)
    assert np.isfinite(model.score([0, 0, 1, 1]))


def test_separated_responses_stay_finite():
    u = np.linspace(-1, 1, 40)
    X = np.column_stack([u > 0, u])
    model = hmm.LogisticRegressionHMM(1).fit(X)
    assert np.isfinite(model.coef_).all() and model.score(X) <= 0
    assert 0 < hmm.LogisticRegressionHMM(1, l2=1.0).fit(X).coef_[0, 0] < 10


@pytest.mark.parametrize(
    "name", ["norm", "laplace", "expon", "lognorm", "rayleigh", "halfnorm", "poisson", "geom", "bernoulli"]
)
def test_formulas_are_where_a_climb_ends(name, rng):
    """Fitted by its formula, no climb gains; K = 1, so that EM is the maximum itself."""
    from hmm.emissions.scipy_family import Family

    family = Family(name)
    shapes = {"lognorm": (0.7,), "poisson": (3.0,), "geom": (0.3,), "bernoulli": (0.4,)}.get(name, ())
    x = np.asarray(family.distribution.rvs(*shapes, size=200, random_state=rng), float)
    weights = rng.dirichlet(np.ones(200))
    best = family.maximise(x, weights, family.start(x, weights))
    top = family._level(x, weights, best)
    for i in family.free:
        for factor in (0.999, 1.001):
            moved = best.copy()
            moved[i] = moved[i] * factor + (factor - 1) * 0.01
            assert family._level(x, weights, moved) <= top + 1e-12


def test_parts_are_models_of_their_own_columns(rng):
    model = make("mixed", 2, 2, rng)
    X = rows(model, 40, rng)
    fitted = hmm.MixedHMM(2, model.models, random_state=0, n_iter=3, tol=0).fit(X)
    counts, numbers = fitted.parts_
    assert counts.lambdas_.shape == (2, 1) and numbers.means_.shape == (2, 2)
    np.testing.assert_array_equal(counts.transmat_, fitted.transmat_)
    assert np.isfinite(counts.score(X[:, [1]]))
    assert set(leaves(fitted.chain().emission)) == {"0.lambdas", "1.means", "1.covars"}


def test_symbols_can_be_a_part(rng):
    X = np.column_stack([rng.integers(3, size=60), rng.normal(size=60)])
    X[5, 0] = X[9, 1] = np.nan
    model = hmm.MixedHMM(2, [(hmm.CategoricalHMM(), 0), (hmm.StudentTHMM(), 1)], random_state=0, tol=1e-2)
    model.fit(X)
    assert model.parts_[0].emissionprob_.shape == (2, 3)
    assert np.isfinite(model.score(X)) and model.sample(4)[0].shape == (4, 2)
