import numpy as np
import pytest

import hmm
from hmm.transitions import ByGroup
from msgpass.errors import DataError, ProbabilityError, ShapeError, UnsupportedError


def two(**settings):
    model = hmm.PoissonHMM(2, transitions=ByGroup(2), **settings)
    model.startprob_, model.lambdas_ = np.array([0.5, 0.5]), np.array([[1.0], [9.0]])
    model.transmat_ = np.array([[[0.95, 0.05], [0.1, 0.9]], [[0.2, 0.8], [0.8, 0.2]]])
    return model


def test_a_fit_finds_the_matrix_of_each_group(rng):
    truth = two()
    X, _ = truth.sample(4000, rng, inputs=rng.integers(0, 2, (4000, 1)))
    model = hmm.PoissonHMM(2, transitions=ByGroup(2), random_state=0).fit(X)
    order = np.argsort(model.lambdas_[:, 0])
    np.testing.assert_allclose(model.transmat_[:, order][:, :, order], truth.transmat_, atol=0.05)
    assert model.chain().transition.n_parameters() == 4


def test_equal_matrices_are_one(rng):
    X, _ = two().sample(50, rng, inputs=rng.integers(0, 2, (50, 1)))
    model, plain = two(), hmm.PoissonHMM(2)
    model.transmat_ = np.repeat(model.transmat_[:1], 2, axis=0)
    plain.startprob_, plain.lambdas_, plain.transmat_ = model.startprob_, model.lambdas_, model.transmat_[0]
    np.testing.assert_allclose(model.score(X), plain.score(X[:, :1]), rtol=1e-12)


def test_frozen_tied_and_forbidden_rows_hold_in_every_group(rng):
    X, _ = two().sample(300, rng, inputs=rng.integers(0, 2, (300, 1)))
    model = two(frozen={"transmat": [0]}, init_params="", n_iter=3, tol=0)
    before = model.transmat_.copy()
    model.fit(X)
    np.testing.assert_array_equal(model.transmat_[:, 0], before[:, 0])
    assert (model.transmat_[:, 1] != before[:, 1]).all()
    tied = two(tied={"transmat": [[0, 1]]}, init_params="", n_iter=3, tol=0).fit(X)
    np.testing.assert_allclose(tied.transmat_[:, 0], tied.transmat_[:, 1], rtol=1e-12)
    right = hmm.PoissonHMM(2, transitions=ByGroup(2), topology="left-right", random_state=0, n_iter=3, tol=0)
    right.fit(X)
    assert (right.transmat_[:, 1] == [0, 1]).all()
    with pytest.raises(ProbabilityError, match=r"goes from state 1 to 0.*topology='left-right'"):
        two(topology="left-right", init_params="sl").fit(X)


def test_a_prior_can_have_a_matrix_for_each_group(rng):
    X, _ = two().sample(100, rng, inputs=rng.integers(0, 2, (100, 1)))
    prior = np.ones((2, 2, 2))
    prior[1, :, 0] = 1e6
    model = two(transmat_prior=prior, init_params="", params="t", n_iter=1, tol=0).fit(X)
    assert (model.transmat_[1, :, 0] > 0.99).all()
    assert (model.transmat_[0, :, 0] < 0.99).all()


@pytest.mark.parametrize(
    ("group", "message"), [(2, "the group 2 at row 1"), (-1, "the group -1"), (0.5, "0.5"), (np.nan, "nan")]
)
def test_what_is_no_group_is_refused(group, message):
    with pytest.raises(DataError, match=message):
        two().score([[1, 0], [1, group], [1, 0]])


def test_what_has_no_one_matrix_says_so():
    model = two()
    for read in (model.get_stationary_distribution, model.expected_sojourn, model.plot_transitions):
        with pytest.raises(UnsupportedError):
            read()
    with pytest.raises(UnsupportedError):
        from hmm.interop.common import transition_matrix

        transition_matrix(model.chain())


def test_inputs_are_asked_for():
    model = two()
    X = np.array([[1.0, 0], [2, 1]])
    with pytest.raises(DataError, match="sampling needs inputs="):
        model.sample(3)
    with pytest.raises(DataError, match="forecast needs inputs="):
        model.forecast(X, steps=2)
    with pytest.raises(ShapeError, match="columns"):
        model.fit(X[:, :1])
    online = model.online()
    online.update([1, 0])
    with pytest.raises(UnsupportedError, match="next inputs"):
        _ = online.predicted


def test_a_setting_is_no_place_for_numbers(rng):
    with pytest.raises(DataError, match="n_groups"):
        ByGroup(0)
    model = hmm.PoissonHMM(2, transitions=ByGroup(1, transmat=[[[0.5, 0.5], [0.5, 0.5]]]))
    with pytest.raises(DataError, match="set transmat_ there"):
        model.fit(np.zeros((4, 2)))
    with pytest.raises(DataError, match="transitions is None or one of"):
        hmm.PoissonHMM(2, transitions="by group").fit(np.zeros((4, 2)))


def test_gradients_lead_where_em_does(rng):
    X, _ = two().sample(400, rng, inputs=rng.integers(0, 2, (400, 1)))
    em = two(init_params="", tol=1e-9, n_iter=2000, transmat_prior=1.2).fit(X)
    climbed = two(init_params="", tol=1e-9, method="lbfgs", transmat_prior=1.2).fit(X)
    assert climbed.monitor_.history[-1] == pytest.approx(em.monitor_.history[-1], abs=1e-5)
    np.testing.assert_allclose(climbed.transmat_, em.transmat_, atol=1e-3)
    with pytest.raises(UnsupportedError, match="cannot freeze or tie"):
        two(init_params="", method="lbfgs", frozen={"transmat": [0]}).fit(X)
