"""The same numbers as hmmlearn.vhmm, where it is installed and right."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone

from hmm import GaussianHMM, VariationalGaussianHMM, vhmm
from hmm.interop import from_hmmlearn, to_hmmlearn
from tests.hmm.variational.drawn import KINDS, NORMALS, data, make
from tests.hmm.variational.evidence import log_evidence

pytestmark = pytest.mark.peers

NAMES = ("VariationalCategoricalHMM", "VariationalGaussianHMM")


@pytest.fixture
def peer():
    return pytest.importorskip("hmmlearn.vhmm")


def both(ours, peer, X, lengths, n_iter):
    """Our model and hmmlearn's, after some iterations from one start."""
    start = clone(ours).set_params(n_iter=0, tol=0).fit(X, lengths)
    settings = {"n_iter": n_iter, "init_params": "", "n_components": ours.n_components}
    kind = getattr(ours, "covariance_type", None)
    theirs = getattr(peer, type(ours).__name__)(
        **settings, tol=-np.inf, **({"covariance_type": kind} if kind else {})
    )
    mine = clone(ours).set_params(**settings, tol=0)
    theirs.n_features = 3 if kind is None else X.shape[1]
    for names in ours._held().values():
        for name in (f"{n}_" for n in names):
            value = getattr(start, name)
            for model in (mine, theirs):
                setattr(model, name, np.array(value) if np.ndim(value) else value)
    return mine.fit(X, lengths), theirs.fit(X, lengths)


def constant(model, X):
    """hmmlearn leaves −D/2 log 2π of every row out of its bound."""
    return 0.0 if hasattr(model, "emissionprob_") else X.size / 2 * np.log(2 * np.pi)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_bounds_and_posteriors_agree(kind, peer, rng):
    D = 1 if kind in ("categorical", "spherical", "diag") else 2
    X, lengths = data(kind, 90, rng, D), [50, 40]
    X = X.astype(int) if kind == "categorical" else X
    ours, theirs = both(make(kind, 3, rng, D), peer, X, lengths, n_iter=6)
    bounds = np.array(list(theirs.monitor_.history)) - constant(ours, X)
    np.testing.assert_allclose(ours.monitor_.history, bounds, rtol=1e-9)
    for names in ours._held().values():
        for name in (f"{n}_" for n in names):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
    assert ours.score(X, lengths) == pytest.approx(theirs.score(X, lengths), rel=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X, lengths), theirs.predict_proba(X, lengths), atol=1e-7)
    np.testing.assert_allclose(
        getattr(ours, "covars_", ours.startprob_), getattr(theirs, "covars_", theirs.startprob_), rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["spherical", "diag"])
def test_their_variances_have_the_divergence_of_full_matrices(kind, peer, rng):
    """With one state the bound is the evidence, and theirs is not that of a model with variances."""
    X = data(kind, 5, rng, D=2)
    ours, theirs = both(make(kind, 1, rng, n_iter=3), peer, X, [5], n_iter=3)
    evidence = log_evidence(ours, X, [5])
    assert ours.lower_bound(X) == pytest.approx(evidence, rel=1e-9)
    assert abs(theirs.monitor_.history[-1] - constant(ours, X) - evidence) > 0.1
    np.testing.assert_allclose(ours.covars_, theirs.covars_, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_stand_where_they_stood(name, peer):
    theirs = list(inspect.signature(getattr(peer, name)).parameters)
    ours = inspect.signature(getattr(vhmm, name)).parameters
    assert list(ours)[: len(theirs)] == theirs
    changed = {"n_iter": (100, 1000)}
    for argument, parameter in inspect.signature(getattr(peer, name)).parameters.items():
        found = parameter.default, ours[argument].default
        assert found == changed.get(argument, (found[0], found[0]))


def test_a_scale_prior_without_a_unit(peer, rng):
    """hmmlearn's default wins over data in small units."""
    X = 1e-3 * rng.normal(size=(200, 1))
    theirs, ours = peer.VariationalGaussianHMM(1).fit(X), VariationalGaussianHMM(1).fit(X)
    assert theirs.covars_.item() > 4 * X.var()
    assert ours.covars_.item() == pytest.approx(X.var(), rel=0.02)
    again = VariationalGaussianHMM(1, scale_prior=1e-3).fit(X)
    assert again.covars_.item() == pytest.approx(theirs.covars_.item(), rel=1e-9)


def test_a_fit_that_leaves_a_parameter_out(peer, rng):
    X = rng.normal(size=(60, 1))
    theirs = peer.VariationalGaussianHMM(2, params="tmc", random_state=0).fit(X)
    with pytest.raises(AttributeError, match="not fitted yet"):
        theirs.score(X)
    assert VariationalGaussianHMM(2, params="tmc", random_state=0).fit(X).score(X) < 0


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind, peer, rng):
    X = data(kind, 60, rng)
    X = X.astype(int) if kind == "categorical" else X
    ours = make(kind, 2, rng, n_iter=4, tol=0).fit(X)
    theirs = to_hmmlearn(ours)
    assert type(theirs).__module__ == "hmmlearn.vhmm"
    assert theirs.score(X) == pytest.approx(ours.score(X), rel=1e-9)
    back = from_hmmlearn(theirs)
    assert back.score(X) == pytest.approx(ours.score(X), rel=1e-12)
    assert back.lower_bound(X) == pytest.approx(ours.lower_bound(X), rel=1e-12)
    theirs.set_params(init_params="", n_iter=1).fit(X)
    assert len(theirs.monitor_.history) == 1


@pytest.mark.parametrize("kind", NORMALS)
def test_from_a_fit_of_theirs(kind, peer):
    truth = GaussianHMM(2)
    truth.startprob_, truth.transmat_ = [0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]]
    truth.means_, truth.covars_ = [[0, 0], [4, 4]], np.ones((2, 2))
    X = truth.sample(100, 0)[0]
    theirs = peer.VariationalGaussianHMM(2, kind, random_state=0).fit(X)
    ours = from_hmmlearn(theirs)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-9)
    ours.set_params(init_params="").fit(X)
    np.testing.assert_allclose(ours.means_, theirs.means_, atol=1e-2)
