"""Models that go to other libraries and come back, with the same likelihoods on both sides."""

from types import SimpleNamespace

import numpy as np
import pytest

from hmm import CategoricalHMM, GaussianHMM, PoissonHMM
from hmm.base import BaseHMM
from hmm.interop import from_dynamax, from_hmmlearn, from_pomegranate, to_dynamax, to_hmmlearn, to_pomegranate
from hmm.interop.common import simplex
from msgpass.errors import DataError, MissingDependencyError, ProbabilityError, UnsupportedError
from tests.hmm.drawn import KINDS, make

SINGLE = {"rtol": 2e-5, "atol": 2e-5}


def same(left, right, **tolerance):
    assert type(left) is type(right)
    for field in ("startprob", "transmat", *left.EMISSION.LETTERS.values()):
        np.testing.assert_allclose(getattr(left, f"{field}_"), getattr(right, f"{field}_"), **tolerance)


@pytest.fixture(params=KINDS)
def model(request, rng):
    return make(request.param, 3, 1 if request.param == "categorical" else 2, rng)


@pytest.fixture
def X(model, rng):
    return model.sample(40, rng)[0]


@pytest.mark.peers
class TestHmmlearn:
    def test_there_and_back(self, model, X):
        pytest.importorskip("hmmlearn")
        theirs = to_hmmlearn(model)
        assert theirs.score(X) == pytest.approx(model.score(X), rel=1e-10)
        same(from_hmmlearn(theirs), model, rtol=1e-12)

    def test_after_their_own_fit(self, model, X):
        pytest.importorskip("hmmlearn")
        theirs = to_hmmlearn(model).set_params(n_iter=2, init_params="")
        theirs.fit(X)
        ours = from_hmmlearn(theirs)
        assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-9)
        assert ours.n_features_in_ == X.shape[1] and ours.n_iter == 2

    def test_settings_come_along(self):
        module = pytest.importorskip("hmmlearn.hmm")
        theirs = module.GaussianHMM(2, "full", min_covar=0.5, tol=0.3, random_state=4)
        theirs.startprob_, theirs.transmat_ = np.full(2, 0.5), np.full((2, 2), 0.5)
        theirs.n_features, theirs.means_ = 1, np.zeros((2, 1))
        theirs.covars_ = np.ones((2, 1, 1))
        ours = from_hmmlearn(theirs)
        assert (ours.min_covar, ours.tol, ours.random_state, ours.covars_prior) == (0.5, 0.3, 4, 1e-2)
        with pytest.raises(DataError, match="no startprob_ yet"):
            from_hmmlearn(module.GaussianHMM(2))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of JAX, raised by dynamax's own imports
class TestDynamax:
    def test_there_and_back(self, model, X):
        pytest.importorskip("dynamax")
        theirs, params = to_dynamax(model)
        data = X if isinstance(model, CategoricalHMM) else X.astype(np.float32)
        assert float(theirs.marginal_log_prob(params, data)) == pytest.approx(model.score(X), rel=1e-4)
        same(from_dynamax(theirs, params), model, **SINGLE)


@pytest.mark.peers
class TestPomegranate:
    def test_there_and_back(self, model, X):
        pytest.importorskip("pomegranate")
        import torch

        theirs = to_pomegranate(model)
        data = (
            torch.as_tensor(X)
            if isinstance(model, CategoricalHMM)
            else torch.as_tensor(X, dtype=torch.float32)
        )
        assert float(theirs.log_probability(data[None])[0]) == pytest.approx(model.score(X), rel=1e-4)
        ours = from_pomegranate(theirs)
        np.testing.assert_allclose(ours.transmat_, model.transmat_, **SINGLE)
        assert ours.score(X) == pytest.approx(model.score(X), rel=1e-4)


# -- without the other library -------------------------------------------------------------------------


def stand_in(name, **attributes):
    """An object of a class of that name."""
    return type(name, (SimpleNamespace,), {})(**attributes)


def test_dynamax_parameters_need_no_dynamax():
    params = SimpleNamespace(
        initial=SimpleNamespace(probs=np.array([0.3, 0.7], np.float32)),
        transitions=SimpleNamespace(transition_matrix=np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)),
        emissions=SimpleNamespace(means=np.zeros((2, 1)), scales=np.array([1.0, 2.0])),
    )
    model = from_dynamax(stand_in("SphericalGaussianHMM"), params)
    assert isinstance(model, GaussianHMM) and model.covars_.ravel().tolist() == [1, 4]
    np.testing.assert_allclose(model.transmat_.sum(axis=1), 1, rtol=0, atol=1e-15)
    params.emissions = SimpleNamespace(probs=np.full((2, 2, 3), 1 / 3))
    with pytest.raises(UnsupportedError, match="2 symbols a step"):
        from_dynamax(stand_in("CategoricalHMM"), params)
    with pytest.raises(UnsupportedError, match="no counterpart in hmm"):
        from_dynamax(stand_in("LowRankGaussianHMM"), params)


def poisson_of_pomegranate(edges, ends):
    with np.errstate(divide="ignore"):
        return SimpleNamespace(
            distributions=[stand_in("Poisson", lambdas=[1.0]), stand_in("Poisson", lambdas=[3.0])],
            edges=np.log(edges),
            starts=np.log([0.5, 0.5]),
            ends=None if ends is None else np.log(ends),
        )


def test_ends_that_matter_are_not_dropped_in_silence():
    edges = np.array([[0.5, 0.5], [0.25, 0.75]])
    for ends in (None, [0.5, 0.5]):
        model = from_pomegranate(poisson_of_pomegranate(edges, ends))
        assert isinstance(model, PoissonHMM) and model.lambdas_.tolist() == [[1], [3]]
        np.testing.assert_allclose(model.transmat_, edges)
    ending = poisson_of_pomegranate(edges * [[0.5], [1]], [0.5, 0.0])
    with pytest.raises(UnsupportedError, match="drop_ends"):
        from_pomegranate(ending)
    np.testing.assert_allclose(from_pomegranate(ending, drop_ends=True).transmat_, edges)


def test_distributions_of_several_kinds():
    model = poisson_of_pomegranate(np.full((2, 2), 0.5), None)
    model.distributions[0] = stand_in("Gamma")
    with pytest.raises(UnsupportedError, match="Gamma, Poisson; they must be"):
        from_pomegranate(model)


def test_what_is_nobodys_model(rng):
    class OwnHMM(PoissonHMM):
        pass

    model = OwnHMM(1)
    model.startprob_, model.transmat_, model.lambdas_ = np.ones(1), np.ones((1, 1)), np.ones((1, 1))
    for send in (to_dynamax, to_pomegranate):
        with pytest.raises(UnsupportedError, match="OwnHMM has no counterpart"):
            send(model)
    with pytest.raises(UnsupportedError, match="hmm has no SimpleNamespace"):
        from_hmmlearn(SimpleNamespace())


@pytest.mark.parametrize(
    ("send", "name"), [(to_hmmlearn, "hmmlearn"), (to_dynamax, "dynamax"), (to_pomegranate, "pomegranate")]
)
def test_a_library_that_is_not_there(send, name, rng, monkeypatch):
    import sys

    for module in (name, f"{name}.hmm", f"{name}.distributions", f"{name}.hidden_markov_model"):
        monkeypatch.setitem(sys.modules, module, None)
    model: BaseHMM = make("poisson", 2, 1, rng)
    with pytest.raises(MissingDependencyError, match=f"pip install {name}"):
        send(model)


def test_probabilities_that_are_none():
    with pytest.raises(ProbabilityError, match=r"sum of 1\.5"):
        simplex("starts", [0.5, 1.0])
