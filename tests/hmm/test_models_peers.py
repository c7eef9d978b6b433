"""The models that hmmlearn has, too: the same numbers, where it is installed and right."""

import numpy as np
import pytest

from tests.hmm.kinds import make, rows

pytestmark = pytest.mark.peers


@pytest.fixture
def peer():
    return pytest.importorskip("hmmlearn.hmm")


@pytest.mark.parametrize("kind", ["multinomial", "gmm spherical", "gmm diag", "gmm full", "gmm tied"])
def test_scores_posteriors_and_an_iteration_agree(kind, peer, rng):
    ours = make(kind, 3, 2, rng, init_params="", n_iter=1, tol=0)
    X, lengths = rows(ours, 100, rng), [40, 60]
    names = ["startprob_", "transmat_", *(f"{field}_" for field in ours.EMISSION.LETTERS.values())]
    settings = {"n_components": 3, "init_params": "", "n_iter": 1, "tol": -np.inf}
    if kind == "multinomial":
        X = X.astype(int)
        settings["n_trials"] = ours.n_trials
    else:
        settings |= {"n_mix": 2, "covariance_type": kind.split()[1]}
    theirs = getattr(peer, type(ours).__name__)(**settings)
    theirs.n_features = X.shape[1]
    for name in names:
        setattr(theirs, name, np.array(getattr(ours, name)))
    assert ours.score(X, lengths=lengths) == pytest.approx(theirs.score(X, lengths), rel=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X, lengths), theirs.predict_proba(X, lengths), atol=1e-9)
    ours.fit(X, lengths=lengths)
    theirs.fit(X, lengths)
    for name in names:
        if name != "covars_":  # hmmlearn's default priors are not flat
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6, atol=1e-9)
