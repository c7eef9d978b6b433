"""Table: its probabilities, its shapes, and how bad ones are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import FactorGraph, Loss, Table, run
from msgpass.errors import DataError, GraphError, ProbabilityError, ShapeError


@pytest.mark.parametrize(
    ("p", "said"),
    [
        ([[0.7, 0.3], [0.5, 0.4]], "sum to 1 along the last axis, got a sum of 0.9"),
        ([1.2, -0.2], "non-negative and finite, got -0.2"),
        ([0.5, np.nan], "non-negative and finite, got nan"),
        ([np.inf, 0.0], "infinite"),
        (1.0, "a single number"),
    ],
)
def test_probabilities_are_checked(p, said):
    with pytest.raises(ProbabilityError, match=said):
        Table.from_probabilities(p)


def test_probabilities_are_numbers():
    with pytest.raises(DataError, match="numbers"):
        Table.from_probabilities(["a"])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5).filter(lambda w: sum(w) > 0.1))
def test_the_logarithm_of_normalised_weights(weights):
    p = np.array(weights) / sum(weights)
    np.testing.assert_allclose(np.exp(Table.from_probabilities(p).source), p, rtol=1e-12)


def test_a_joint_distribution_sums_to_one_as_a_whole():
    assert Table.from_probabilities([[0.25, 0.25], [0.5, 0.0]]).source[1, 1] == -np.inf


@pytest.mark.parametrize("bad", [[np.nan, 0.0], [np.inf, 0.0]])
def test_log_values_are_checked(bad):
    with pytest.raises(DataError, match="NaN or an infinite"):
        Table(bad)


@pytest.fixture
def g():
    g = FactorGraph()
    g.sequence("z", length=4, states=2)
    g.sequence("b", length=4, states=2, shape=(3,))
    g.sequence("h", length=4, shape=(2,))
    g.variable("u", states=3)
    g.observe("x", [0, 1, 2, -1], states=3)
    return g


@pytest.mark.parametrize(
    ("build", "error", "said"),
    [
        (lambda g: g.factor(Table(np.zeros(2))), GraphError, "at least one variable"),
        (
            lambda g: g.factor(Table(np.zeros((3, 2))), g["z"][:], g["x"][:]),
            ShapeError,
            r"shape \(3, 2\).*want \(2, 3\) or \(4, 2, 3\)",
        ),
        (lambda g: g.factor(Table(np.zeros((3, 2, 2))), g["z"][:]), ShapeError, r"want \(2,\)"),
        (
            lambda g: g.factor(Table(np.zeros((4, 2, 2))), g["z"][:-1], g["z"][1:]),
            ShapeError,
            r"want \(2, 2\) or \(3, 2, 2\)",
        ),
        (lambda g: g.factor(Table(np.zeros((2, 3))), g["z"][:], g["u"]), GraphError, "pairs step with step"),
        (lambda g: g.factor(Table(np.zeros((2, 2))), g["z"][:], g["z"][:]), GraphError, "twice"),
        (lambda g: g.factor(Table(np.zeros((2, 2))), g["u"], g["u"]), GraphError, "twice"),
        (
            lambda g: g.factor(Table(np.zeros((2, 2))), g["z"].after(g["z"][0]), g["z"][:]),
            GraphError,
            "for steps",
        ),
        (lambda g: g.factor(Table(np.zeros(2)), g["z"].all), GraphError, "for steps"),
        (lambda g: g.factor(Table(np.zeros(2)), g["z"][0], out=g["z"][1]), GraphError, "out= is for a Step"),
        (
            lambda g: g.factor(Table(np.zeros(2)), g["h"][:]),
            GraphError,
            "real; use a Quadratic, Step or Loss",
        ),
        (
            lambda g: g.factor(Table(np.zeros((2, 2))), g["z"][:], g["b"][:]),
            ShapeError,
            "batch shapes differ",
        ),
        (lambda g: g.factor(Table(g["h"][:]), g["z"][:-1]), ShapeError, "do not fit"),
        (lambda g: g.factor(Table(g["h"][0]), g["z"][:]), ShapeError, "one row a step"),
        (lambda g: g.factor(Table(g["h"][:]), g["u"]), (GraphError, ShapeError), "step"),
        (lambda g: g.factor(Table(g["z"][:]), g["z"][:]), GraphError, "slice of a real sequence"),
    ],
)
def test_what_does_not_fit(g, build, error, said):
    with pytest.raises(error, match=said):
        build(g)


def test_scores_that_no_step_computes(g):
    del g.nodes["b"], g.nodes["u"]
    g.factor(Table(g["h"][:]), g["z"][:])
    with pytest.raises(GraphError, match="no step computes"):
        run(g)


def test_a_loss_does_not_read_a_discrete_variable(g):
    with pytest.raises(GraphError, match="reads real values"):
        g.factor(Loss(lambda z: (0.0, (None,))), g["z"][:])


def test_an_observed_table_of_reals_may_score():
    """Emission log-likelihoods computed elsewhere come in as an observation, and get minus-free marginals
    back."""
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    b = g.observe("b", np.log([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))
    g.factor(Table.from_probabilities([[0.5, 0.5], [0.1, 0.9]]), z[:-1], z[1:])
    g.factor(Table(b[:]), z[:])
    m = run(g)
    np.testing.assert_allclose(m.gradient["b"], np.exp(m.belief["z"]), rtol=1e-12)
