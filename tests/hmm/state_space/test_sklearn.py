"""scikit-learn's own checks of the estimator, and its tools."""

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from hmm import LinearGaussianSSM
from tests.hmm.state_space.dense import random_model


class TwoDimensional(LinearGaussianSSM):
    """The checks want (T,) refused."""

    FLAT = False


def test_scikit_learns_checks():
    failing = {
        "check_methods_sample_order_invariance": "rows are steps of a sequence: their order is what is "
        "modelled",
        "check_methods_subset_invariance": "a row's posterior depends on the rows around it",
        "check_dtype_object": "wants a TypeError for an array of dicts; ours is a DataError, a ValueError",
    }
    found = check_estimator(
        TwoDimensional(1, n_iter=2, tol=0), expected_failed_checks=failing, on_fail=None, on_skip=None
    )
    wrong = [(own["check_name"], own["exception"]) for own in found if own["status"] == "failed"]
    assert not wrong, wrong


def test_a_search_over_the_number_of_states(rng):
    y, _ = random_model(rng, 2, 2).sample(120, 0)
    search = GridSearchCV(LinearGaussianSSM(n_iter=5, tol=0), {"n_components": [1, 2]}, cv=2).fit(y)
    assert search.best_params_["n_components"] in (1, 2)
    assert np.isfinite(search.best_score_)
