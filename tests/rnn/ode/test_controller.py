"""The controller's exponents are Hairer & Wanner's, and its changes are bounded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rnn.ode import Controller

ERRORS = st.tuples(*[st.floats(1e-12, 1.0)] * 3)


def test_exponents_are_those_of_dopri5():
    """Fortran DOPRI5: expo1 = 0.2 − 0.75 β, β = 0.04."""
    alpha, beta, gamma = Controller().exponents(4)
    assert np.isclose(alpha, -(0.2 - 0.75 * 0.04)) and np.isclose(beta, 0.04) and gamma == 0


@given(ERRORS, st.integers(1, 8))
def test_changes_are_bounded(errors, order):
    for controller in (Controller(), Controller(p=0.0, i=1.0), Controller(p=0.2, i=0.3, d=0.1)):
        factor = controller.factor(order, errors)
        assert controller.min_factor <= factor <= controller.max_factor


@given(st.floats(1.0, 1e8), st.integers(1, 8))
def test_rejection_shrinks(error, order):
    assert 0.2 <= Controller().shrink(order, error) <= 0.9


def test_a_steady_error_of_one_is_held_below():
    """At the fixed point of the elementary controller the error is safety^k."""
    controller, h = Controller(p=0.0, i=1.0), 1.0
    for _ in range(50):
        h *= controller.factor(4, (h**5, 1.0, 1.0))
    assert np.isclose(h**5, 0.9**5)
