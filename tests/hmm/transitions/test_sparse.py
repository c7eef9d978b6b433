import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

import hmm
from hmm.transitions import Sparse
from msgpass.errors import DataError, ProbabilityError, ShapeError, UnsupportedError
from tests.hmm.drawn import make


def twins(rng, K=4, **settings):
    """A model with a sparse matrix and one with the same in full, left-right."""
    full = make("diag", K, 2, rng, **settings)
    full.transmat_ = np.triu(full.transmat_)
    full.transmat_ /= full.transmat_.sum(axis=1, keepdims=True)
    sparse = hmm.GaussianHMM(**full.get_params())
    sparse.startprob_, sparse.means_, sparse._covars_ = full.startprob_, full.means_, full._covars_
    sparse.transmat_ = csr_matrix(full.transmat_)
    return sparse, full


@pytest.mark.parametrize("prior", [1.0, 1.7, np.arange(1.0, 17).reshape(4, 4)])
def test_it_is_the_full_matrix(rng, prior):
    sparse, full = twins(rng, init_params="", n_iter=4, tol=0, transmat_prior=prior)
    X, states = full.sample(40, 1)
    np.testing.assert_array_equal(sparse.sample(40, 1)[1], states)
    np.testing.assert_allclose(sparse.expected_sojourn(), full.expected_sojourn())
    np.testing.assert_allclose(sparse.get_stationary_distribution(), [0, 0, 0, 1], atol=1e-12)
    sparse.fit(X), full.fit(X)
    np.testing.assert_allclose(sparse.monitor_.history, full.monitor_.history, rtol=1e-9)
    np.testing.assert_allclose(sparse.transmat_.toarray(), full.transmat_, rtol=1e-6, atol=1e-12)
    assert isinstance(sparse.transmat_, csr_array)
    assert sparse.chain().transition.n_parameters() == 10 - 4


def test_stationary_shares(rng):
    full = make("diag", 5, 1, rng)
    sparse = hmm.GaussianHMM(5)
    sparse.startprob_, sparse.means_, sparse._covars_ = full.startprob_, full.means_, full._covars_
    sparse.transmat_ = csr_array(full.transmat_)
    np.testing.assert_allclose(
        sparse.get_stationary_distribution(), full.get_stationary_distribution(), rtol=1e-9
    )
    sparse.transmat_ = csr_array([[0.5, 0.25, 0.25, 0, 0], *np.eye(5)[1:3], *np.eye(5)[[4, 3]]])
    np.testing.assert_allclose(sparse.get_stationary_distribution(), [0, 1 / 3, 1 / 3, 1 / 6, 1 / 6])
    assert sparse.plot_transitions().axes


def test_a_sparse_mask_is_kept(rng):
    X = rng.normal(size=(50, 1))
    mask = csr_array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    model = hmm.GaussianHMM(3, topology=mask, random_state=0, n_iter=4, tol=0).fit(X)
    full = hmm.GaussianHMM(3, topology=mask.toarray(), random_state=0, n_iter=4, tol=0).fit(X)
    np.testing.assert_array_equal(model.transmat_.toarray() > 0, mask.toarray() > 0)
    assert isinstance(full.transmat_, np.ndarray)
    again = hmm.GaussianHMM(3, random_state=0, n_iter=4, tol=0)
    again.transmat_ = csr_array(mask / 2)
    again.fit(X)
    np.testing.assert_array_equal(again.transmat_.toarray() > 0, mask.toarray() > 0)
    with pytest.raises(ProbabilityError, match="goes from state 0 to 2"):
        other = hmm.GaussianHMM(3, topology=mask, random_state=0, init_params="smc")
        other.transmat_ = np.full((3, 3), 1 / 3)
        other.fit(X)


def test_a_sparse_mask_is_the_mask_of_other_kinds(rng):
    mask = csr_array([[1, 1], [0, 1]])
    X = np.column_stack([rng.normal(size=30), rng.integers(0, 2, 30)])
    model = hmm.GaussianHMM(
        2, transitions=hmm.transitions.ByGroup(2), topology=mask, random_state=0, n_iter=2, tol=0
    ).fit(X)
    assert (model.transmat_[:, 1, 0] == 0).all()


def test_ten_thousand_states(rng):
    K = 10_000
    model = hmm.GaussianHMM(K, topology=1, init_params="", n_iter=2, tol=0, params="t")
    model.startprob_, model.means_ = np.ones(K) / K, np.arange(K)[:, None] * 1.0
    model.covars_ = np.ones((K, 1))
    model.transmat_ = Sparse().start(hmm.topology.sparse_transitions(1, K), 0.0, rng).transmat
    X, states = model.sample(30, rng)
    assert abs(model.predict(X) - states).max() < 5
    assert abs(model.decode(X, algorithm="map")[1] - states).max() < 5
    model.fit(X)
    assert model.monitor_.history[1] > model.monitor_.history[0]
    assert model.transmat_.nnz == 3 * K - 2
    assert model.predict_proba(X).shape == (30, K)
    assert model.get_stationary_distribution().sum() == pytest.approx(1)
    with pytest.raises(UnsupportedError, match="not written out"):
        model.plot_transitions()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (csr_array(np.eye(2)), ShapeError, "wanted"),
        (csr_array(-np.eye(3)), ProbabilityError, "not negative"),
        (csr_array(np.eye(3) / 2), ProbabilityError, "sum of 0.5"),
        (csr_array(np.diag([1, 1, np.nan])), DataError, "NaN"),
        (csr_array(np.diag([1.0, 1.0, 0.0])), ProbabilityError, "sum of 0"),
    ],
)
def test_what_is_no_matrix_is_refused(value, error, message):
    model = hmm.PoissonHMM(3)
    model.startprob_, model.lambdas_, model.transmat_ = [1, 0, 0], [[1.0]] * 3, value
    with pytest.raises(error, match=message):
        model.score([1, 2])


def test_rows_are_not_frozen(rng):
    sparse, full = twins(rng)
    X, _ = full.sample(20, 1)
    for settings in ({"frozen": {"transmat": [0]}}, {"frozen": None, "tied": {"transmat": [[0, 1]]}}):
        with pytest.raises(UnsupportedError, match="Sparse transitions cannot"):
            sparse.set_params(**settings, init_params="").fit(X)
