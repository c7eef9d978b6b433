"""What docs/coming-from-hmmlearn.md says of hmmlearn and of hmm is true, where hmmlearn is installed."""

import inspect

import numpy as np
import pytest

import hmm
from hmm import GaussianHMM, PoissonHMM
from hmm.interop import to_hmmlearn
from msgpass.errors import ConvergenceWarning
from tests.hmm.drawn import make

NAMES = ("CategoricalHMM", "GaussianHMM", "GMMHMM", "MultinomialHMM", "PoissonHMM")


@pytest.fixture
def peer():
    return pytest.importorskip("hmmlearn.hmm")


@pytest.mark.peers
class TestAgainstHmmlearn:
    @pytest.mark.parametrize("name", NAMES)
    def test_arguments_stand_where_they_stood(self, peer, name):
        theirs = list(inspect.signature(getattr(peer, name)).parameters.values())
        ours = inspect.signature(getattr(hmm, name)).parameters
        positional = [p.name for p in theirs if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert list(ours)[: len(positional)] == positional
        assert {p.name for p in theirs} <= set(ours)

    @pytest.mark.parametrize("name", NAMES)
    def test_methods_and_attributes(self, peer, name):
        for method in (
            *("fit", "score", "score_samples", "decode", "predict", "predict_proba", "sample", "aic", "bic"),
            "get_stationary_distribution",
        ):
            assert callable(getattr(getattr(peer, name), method))
            assert callable(getattr(getattr(hmm, name), method))

    def test_their_normal_model_is_not_maximum_likelihood(self, peer, rng):
        X = 1e-3 * rng.normal(size=(200, 1))
        theirs = peer.GaussianHMM(1, n_iter=50).fit(X)
        ours = GaussianHMM(1).fit(X)
        assert ours.covars_.ravel()[0] == pytest.approx(X.var(), rel=1e-6)
        assert theirs.covars_.ravel()[0] > 10 * X.var()
        again = GaussianHMM(1, covars_prior=1e-2, min_covar=0).fit(X)
        assert again.covars_.ravel()[0] == pytest.approx(theirs.covars_.ravel()[0], rel=1e-6)

    def test_defaults(self, peer):
        assert (peer.GaussianHMM().min_covar, peer.GaussianHMM().tol, peer.GaussianHMM().n_iter) == (
            1e-3,
            1e-2,
            10,
        )
        assert (GaussianHMM().min_covar, GaussianHMM().tol, GaussianHMM().n_iter) == (None, 1e-4, 1000)

    def test_running_out_of_iterations(self, peer, rng):
        X = rng.normal(size=(50, 1))
        assert peer.GaussianHMM(2, n_iter=2, tol=1e-9).fit(X).monitor_.converged
        with pytest.warns(ConvergenceWarning):
            assert not GaussianHMM(2, n_iter=2, tol=1e-9, random_state=0).fit(X).monitor_.converged

    def test_the_score_of_map_decoding(self, peer, rng):
        ours = make("poisson", 2, 1, rng)
        X = ours.sample(20, rng)[0]
        log_prob, path = to_hmmlearn(ours).decode(X, algorithm="map")
        assert log_prob == pytest.approx(ours.predict_proba(X).max(axis=1).sum())
        mine, own = ours.decode(X, algorithm="map")
        assert mine < 0 < log_prob and (own == path).all()

    def test_free_weights_of_mixtures(self, peer):
        theirs = peer.GMMHMM(3, n_mix=4)
        theirs.n_features = 2
        assert theirs._get_n_fit_scalars_per_param()["w"] == 3
        ours = hmm.GMMHMM(3, n_mix=4)
        ours.startprob_, ours.transmat_ = np.full(3, 1 / 3), np.full((3, 3), 1 / 3)
        ours.weights_, ours.means_ = np.full((3, 4), 0.25), np.zeros((3, 4, 2))
        ours.covars_ = np.ones((3, 4, 2))
        assert ours.chain().emission.n_parameters()["w"] == 9

    def test_the_prior_of_poisson_rates(self, peer):
        X = np.array([2, 4, 3, 3, 20, 22, 18, 20]).reshape(-1, 1)
        ours = PoissonHMM(
            2, lambdas_prior=4.0, lambdas_weight=2.0, init_params="", params="l", n_iter=1, tol=0
        )
        ours.startprob_, ours.transmat_ = np.full(2, 0.5), np.full((2, 2), 0.5)
        ours.lambdas_ = np.array([[3.0], [20.0]])
        theirs = to_hmmlearn(ours).fit(X)
        gamma = ours.predict_proba(X)
        ours.fit(X)
        mass, sums = gamma.sum(axis=0)[:, None], gamma.T @ X
        np.testing.assert_allclose(ours.lambdas_, (4 + sums) / (2 + mass))
        np.testing.assert_allclose(theirs.lambdas_, (4 + 8 * sums / mass) / (2 + 8))

    def test_spherical_covariances_after_a_fit(self, peer, rng):
        X = rng.normal(size=(40, 3))
        assert len(peer.GaussianHMM(2, "spherical").fit(X).covars_) == 6
        assert len(GaussianHMM(2, "spherical").fit(X).covars_) == 2

    def test_missing_values(self, peer):
        with pytest.raises(ValueError, match="NaN"):
            peer.GaussianHMM(1).fit([[1.0], [np.nan], [2.0]])

    @pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # hmmlearn divides 0 by 0
    def test_rows_that_nothing_visits(self, peer, rng):
        ours = make("poisson", 2, 1, rng, init_params="", n_iter=1, tol=0)
        ours.startprob_, ours.transmat_ = np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.3, 0.7]])
        theirs = to_hmmlearn(ours).fit([[1], [2], [1]])
        assert theirs.transmat_[1].tolist() == [0, 0]
        assert ours.fit([[1], [2], [1]]).transmat_[1].tolist() == [0.3, 0.7]
