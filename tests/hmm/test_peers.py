"""The same numbers as hmmlearn, where it is installed and right."""

import numpy as np
import pytest

from tests.hmm.drawn import KINDS, make

pytestmark = pytest.mark.peers


@pytest.fixture
def peer():
    return pytest.importorskip("hmmlearn.hmm")


@pytest.mark.parametrize("kind", KINDS)
def test_one_iteration_and_all_readings_agree(kind, peer, rng):
    K, D, lengths = 3, 1 if kind == "categorical" else 2, [40, 1, 60]
    ours = make(kind, K, D, rng, init_params="", n_iter=5, tol=0)
    X = ours.sample(sum(lengths), 1)[0]
    settings = {
        "n_components": K,
        "init_params": "",
        "n_iter": 5,
        "tol": -np.inf,
        "implementation": "scaling",
    }
    if kind in ("spherical", "diag", "full", "tied"):
        settings |= {"covariance_type": kind, "covars_prior": 0.0}
    theirs = getattr(peer, type(ours).__name__)(**settings)
    names = {"categorical": ["emissionprob_"], "poisson": ["lambdas_"]}.get(kind, ["means_", "covars_"])
    for name in ("startprob_", "transmat_", *names):
        setattr(theirs, name, np.array(ours._covars_ if name == "covars_" else getattr(ours, name)))
    assert ours.score(X, lengths) == pytest.approx(theirs.score(X, lengths), rel=1e-10)
    np.testing.assert_allclose(ours.predict_proba(X, lengths), theirs.predict_proba(X, lengths), atol=1e-10)
    assert ours.decode(X, lengths)[0] == pytest.approx(theirs.decode(X, lengths)[0], rel=1e-10)
    ours.fit(X, lengths)
    theirs.fit(X, lengths)
    assert ours.monitor_.iter == theirs.monitor_.iter
    np.testing.assert_allclose(ours.monitor_.history, list(theirs.monitor_.history), rtol=1e-9)
    for name in ("startprob_", "transmat_", *names):
        other = getattr(theirs, name)
        if name == "covars_" and kind == "spherical":
            other = other[::D]  # after a fit hmmlearn repeats each state's covariance D times
        np.testing.assert_allclose(getattr(ours, name), other, rtol=1e-6, atol=1e-9)
