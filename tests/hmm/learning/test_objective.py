"""The gradient in coordinates is a difference of the objective, for every model and whatever may not move."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hmm
from msgpass.errors import ImpossibleEvidenceError, UnsupportedError
from tests.hmm.learning.climbs import KINDS, made, objective_of, same_start
from tests.hmm.test_switching_mean import make

few = settings(max_examples=4)
seeds = st.integers(0, 2**32 - 1)


def agrees(objective, point):
    """The gradient along axes is a central difference, to six digits of the largest."""
    slope = objective(point)[1]
    expected = np.empty(len(point))
    for j in range(len(point)):
        step = 1e-5 * max(1.0, abs(point[j]))
        ends = []
        for sign in (1, -1):
            moved = point.copy()
            moved[j] += sign * step
            ends.append(objective(moved)[0])
        expected[j] = (ends[0] - ends[1]) / (2 * step)
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(slope / scale, expected / scale, atol=3e-6)


@pytest.mark.parametrize("prior", [False, True], ids=["likelihood", "posterior"])
@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_the_gradient_is_a_difference(kind, prior, seed):
    rng = np.random.default_rng(seed)
    model, X = made(kind, int(rng.integers(1, 4)), rng, T=14, prior=prior)
    agrees(*objective_of(model, X, lengths=[9, 5]))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_frozen_tied_weighted_and_labelled(kind, seed):
    rng = np.random.default_rng(seed)
    model, X = made(kind, 3, rng, T=16, prior=True)
    states = [0, 1, 2] if kind == "tied" else [1]
    frozen = {"emission": states, "startprob": [0], "transmat": np.eye(3, dtype=bool)}
    model.set_params(frozen=frozen)
    labels = np.where(rng.random(16) < 0.3, rng.integers(0, 3, 16), -1)
    agrees(*objective_of(model, X, [4, 7, 5], weights=[1.0, 2.5, 0.5], labels=labels))
    model.set_params(frozen=None, tied={"emission": [[0, 2]], "transmat": [[1, 2]]})
    agrees(*objective_of(model, X, [4, 7, 5], weights=[1.0, 2.5, 0.5]))


@few
@given(seed=seeds, switching=st.booleans())
def test_with_states_that_remember(seed, switching):
    rng = np.random.default_rng(seed)
    model = make(2, 2, rng, switching_variance=switching, init_params="", transmat_prior=1.5)
    X = model.sample(20, rng)[0]
    X[7] = np.nan
    agrees(*objective_of(model, X, [12, 8], weights=[1.0, 2.0]))


def test_of_states_that_remember_none_is_frozen(rng):
    model = make(2, 1, rng, init_params="", frozen={"means": [0]})
    with pytest.raises(UnsupportedError, match="read more than one state"):
        objective_of(model, model.sample(20, rng)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_letters_of_params_move(kind, rng):
    model, X = made(kind, 2, rng)
    for letter in model.params:
        objective, point = objective_of(same_start(model, params=letter), X)
        assert {field.letter for field in objective.parameters.fields} == {letter} and len(point)
    assert not len(objective_of(same_start(model, params=""), X)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_coordinate_for_every_free_parameter(kind, rng):
    from hmm.starting import free_parameters

    model, X = made(kind, 3, rng)
    _, point = objective_of(model, X)
    assert len(point) == sum(free_parameters(model, model.chain()).values())


def test_zeros_of_the_structure_have_none(rng):
    model = hmm.CategoricalHMM(4, topology="left-right", init_params="")
    model.startprob_, model.emissionprob_ = np.eye(4)[0], rng.dirichlet(np.ones(3), 4)
    model.transmat_ = np.triu(np.ones((4, 4))) / np.arange(4, 0, -1)[:, None]
    objective, point = objective_of(model, rng.integers(0, 3, (30, 1)))
    names = [label for label in objective.parameters.labels() if "emission" not in label]
    assert len(names) == 3 + 2 + 1 and len(point) == 6 + 8
    assert not any("startprob" in name for name in names)


def test_a_step_too_far_is_minus_infinity(rng):
    model, X = made("poisson", 2, rng)
    objective, point = objective_of(model, X)
    value, slope = objective.trial(np.full(len(point), 1e4))
    assert value == -np.inf and not slope.any()
    model.lambdas_ = np.zeros((2, 2))
    with pytest.raises(ImpossibleEvidenceError):
        objective, point = objective_of(model, X)
        objective(point)


def test_transitions_without_a_gradient_say_so(rng):
    from hmm.transitions.homogeneous import Homogeneous

    class Bare(Homogeneous):
        domains = hmm.transitions.Transition.domains

    model, X = made("poisson", 2, rng, transitions=Bare())
    with pytest.raises(UnsupportedError, match="method='em' fits them"):
        objective_of(model, X)
    assert len(objective_of(same_start(model, params="sl"), X)[1]) == 1 + 4
