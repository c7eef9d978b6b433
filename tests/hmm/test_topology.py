"""Masks of transitions: what they allow, and that a fit keeps them."""

import numpy as np
import pytest

import hmm
from hmm.topology import allowed_transitions
from msgpass.errors import DataError, ProbabilityError

MASKS = {
    "ergodic": np.ones((4, 4)),
    "left-right": np.triu(np.ones((4, 4))),
    "linear": np.eye(4) + np.eye(4, k=1),
    "cyclic": np.eye(4) + np.eye(4, k=1) + np.eye(4, k=-3),
    1: np.eye(4) + np.eye(4, k=1) + np.eye(4, k=-1),
    0: np.eye(4),
}


@pytest.mark.parametrize("topology", MASKS)
def test_masks(topology):
    np.testing.assert_array_equal(allowed_transitions(topology, 4), MASKS[topology] > 0)


def test_none_is_ergodic_and_small_models_have_all():
    assert allowed_transitions(None, 3).all()
    for topology in ("cyclic", "linear", "left-right", 5):
        assert allowed_transitions(topology, 1).all()
    assert allowed_transitions("cyclic", 2).all()


@pytest.mark.parametrize(
    "topology", [*MASKS, np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1]])]
)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_a_fit_keeps_the_mask(topology, rng):
    X = rng.normal(np.repeat([0.0, 3.0, 6.0, 9.0], 30), 1)[:, None]
    model = hmm.GaussianHMM(4, topology=topology, random_state=0, n_iter=20, transmat_prior=1.5).fit(X)
    mask = allowed_transitions(topology, 4)
    assert (model.transmat_[~mask] == 0).all()
    np.testing.assert_allclose(model.transmat_.sum(axis=1), 1)
    history = model.monitor_.history
    assert (np.diff(history) >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all()


def test_left_right_models_begin_at_the_left_and_find_the_order(rng):
    sequences = [
        rng.normal(np.repeat([0.0, 5.0, -5.0], rng.integers(8, 15, 3)), 1)[:, None] for _ in range(6)
    ]
    model = hmm.GaussianHMM(3, topology="linear", n_init=8, random_state=0).fit(sequences)
    assert model.startprob_.tolist() == [1, 0, 0]
    np.testing.assert_allclose(model.means_.ravel(), [0, 5, -5], atol=0.5)
    for x in sequences:
        assert (np.diff(model.predict(x)) >= 0).all()


def test_a_mask_that_the_attributes_break(rng):
    model = hmm.PoissonHMM(2, topology="left-right", init_params="")
    model.startprob_, model.transmat_ = [0.5, 0.5], [[0.5, 0.5], [0.1, 0.9]]
    model.lambdas_ = [[1.0], [2.0]]
    with pytest.raises(ProbabilityError, match="from state 1 to 0, which topology='left-right' forbids"):
        model.fit(rng.poisson(2, (20, 1)))


def test_a_mask_that_ties_or_frozen_entries_break(rng):
    X = rng.poisson(2, (20, 1))
    with pytest.raises(ProbabilityError, match=r"tied.*state 1 go to 0, which topology='left-right'"):
        hmm.PoissonHMM(2, topology="left-right", tied={"transmat": [[0, 1]]}).fit(X)
    model = hmm.PoissonHMM(2, topology="left-right", frozen={"transmat": [1]})
    model.transmat_ = [[0.5, 0.5], [0.1, 0.9]]
    with pytest.raises(ProbabilityError, match="from state 1 to 0, which topology='left-right' forbids"):
        model.fit(X)
    model = hmm.PoissonHMM(2, topology="left-right", frozen={"startprob": [0]})
    model.startprob_ = [0.3, 0.7]
    with pytest.raises(ProbabilityError, match="frozen entries of startprob_ sum to less than 1"):
        model.fit(X)


@pytest.mark.parametrize(
    ("topology", "says"),
    [
        ("circular", "topology is one of 'ergodic'"),
        (-1, "topology is one of"),
        (True, "topology is one of"),
        (np.ones((2, 3)), r"a mask of shape \(3, 3\)"),
        ([["a"]], "a mask of shape"),
        (np.diag([1, 0, 1]), "state 1 go nowhere"),
    ],
)
def test_what_is_refused(topology, says, rng):
    with pytest.raises(DataError, match=says):
        hmm.PoissonHMM(3, topology=topology).fit(rng.poisson(2, (20, 1)))
