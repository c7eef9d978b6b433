"""Arrays of a run: what may be in them, and when a copy can be saved."""

import numpy as np
import pytest

from msgpass import FactorGraph, Table, run
from msgpass.errors import DataError, UnavailableError
from msgpass.values import below_infinity, unwritable


def evidence_graph(log_density):
    g = FactorGraph()
    z = g.sequence("z", length=len(log_density), states=log_density.shape[1])
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    g.factor(Table(g.parameter("evidence", log_density)), z[:])
    return g


def locked(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_found_anywhere(value):
    for place in range(9):
        array = np.full(9, -np.inf)
        array[place] = value
        assert not below_infinity(array)
    assert below_infinity(np.array([-np.inf, 3.0])) and below_infinity(np.empty(0))


def test_what_can_be_written_to_in_any_way_is_copied():
    array = np.zeros((2, 2))
    view = locked(array[:1])
    assert not unwritable(array) and not unwritable(view) and not unwritable([0.0])
    assert not unwritable(locked(np.zeros(2, np.float32)))
    assert not unwritable(locked(np.frombuffer(bytearray(16))))
    assert unwritable(locked(np.zeros(2))) and unwritable(locked(np.zeros(2))[:1])


@pytest.mark.parametrize("lock", [False, True])
def test_a_run_does_not_change_with_the_array_it_was_given(lock):
    rng = np.random.default_rng(0)
    given = rng.normal(size=(5, 2))
    wanted = evidence_graph(given.copy())
    g, own = evidence_graph(np.zeros((5, 2))), locked(given) if lock else given
    m = run(g, values={"evidence": own})
    if not lock:
        given[:] = 0
    np.testing.assert_array_equal(m.backward["z"], run(wanted).backward["z"])
    assert not lock or evidence_graph(own).nodes["evidence"].value is own


def test_locked_arrays_are_checked_too():
    with pytest.raises(DataError, match=r"NaN or \+∞"):
        evidence_graph(locked(np.full((3, 2), np.nan)))
    with pytest.raises(DataError, match=r"NaN or \+∞"):
        run(evidence_graph(np.zeros((3, 2))), values={"evidence": locked(np.full((3, 2), np.inf))})


def test_what_is_lent_is_what_parameters_have_and_cannot_be_written_to():
    m = run(evidence_graph(np.random.default_rng(0).normal(size=(4, 2))))
    lent = m.lent("evidence")
    np.testing.assert_array_equal(lent, m.parameters["evidence"])
    with pytest.raises(ValueError, match="read-only"):
        lent[0] = 0
    m.parameters["evidence"][:] = 0
    np.testing.assert_allclose(np.log(lent), m.belief["z"], atol=1e-12)
    with pytest.raises(UnavailableError, match="no parameter message of 'nothing'"):
        m.lent("nothing")


def test_a_graph_with_losses_lends_its_gradient():
    from msgpass import Loss

    g = FactorGraph()
    w = g.parameter("w", np.array([1.0, 2.0]))
    g.factor(Loss(lambda w: (float(w @ w), (2 * w,))), w)
    np.testing.assert_array_equal(run(g).lent("w"), [2.0, 4.0])


def test_single_numbers_are_lent_too():
    from msgpass import Quadratic

    g = FactorGraph()
    x, y = g.variable("x"), g.observe("y", 1.0)
    g.factor(Quadratic.prior(0.0, 1.0), x)
    g.factor(Quadratic.observation(1.0, g.parameter("R", 1.0)), x, y)
    assert run(g).lent("R").shape == ()
