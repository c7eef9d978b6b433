"""Laws of every tableau: order conditions, embedded order, dense output."""

import numpy as np
import pytest

from rnn.ode import METHODS

# Rooted trees up to order 5, as functions of (a, c) → Φ, with their density γ: Σ b Φ = 1 / γ.
ONE = [(lambda a, c: np.ones_like(c), 1)]
TREES = {
    1: ONE,
    2: [(lambda a, c: c, 2)],
    3: [(lambda a, c: c**2, 3), (lambda a, c: a @ c, 6)],
    4: [
        (lambda a, c: c**3, 4),
        (lambda a, c: c * (a @ c), 8),
        (lambda a, c: a @ c**2, 12),
        (lambda a, c: a @ (a @ c), 24),
    ],
    5: [
        (lambda a, c: c**4, 5),
        (lambda a, c: c**2 * (a @ c), 10),
        (lambda a, c: (a @ c) ** 2, 20),
        (lambda a, c: c * (a @ c**2), 15),
        (lambda a, c: a @ c**3, 20),
        (lambda a, c: c * (a @ (a @ c)), 30),
        (lambda a, c: a @ (c * (a @ c)), 40),
        (lambda a, c: a @ (a @ c**2), 60),
        (lambda a, c: a @ (a @ (a @ c)), 120),
    ],
}


def order_of(method, b, scale=1.0):
    """The order up to which weights b meet all conditions at θ = scale."""
    a, c = method.matrix(), np.array(method.c)
    for order, trees in TREES.items():
        gaps = [b @ phi(a, c) - scale**order / gamma for phi, gamma in trees]
        if np.abs(gaps).max() > 1e-10:
            return order - 1
    return 5


@pytest.fixture(params=METHODS.values(), ids=METHODS)
def method(request):
    return request.param


def test_rows_sum_to_c(method):
    assert np.allclose(method.matrix().sum(axis=1), method.c, atol=1e-13)


def test_order(method):
    assert order_of(method, np.array(method.b)) == method.order


def test_the_embedded_result_has_its_order(method):
    if method.adaptive:
        assert order_of(method, np.array(method.b) - method.error) == method.error_order


@pytest.mark.parametrize("theta", [0.0, 0.3, 0.77, 1.0])
def test_dense_output_has_its_order(method, theta):
    b = np.array(method.weights(theta))
    wanted = min(method.dense_order, 5)
    assert order_of(method, b, theta) >= wanted
    if theta == 1.0:
        assert np.allclose(b, method.b, atol=1e-12)


def test_stiffly_accurate_methods_end_on_their_last_stage():
    for name in ("kvaerno3", "kvaerno5", "bosh3", "dopri5", "tsit5"):
        assert METHODS[name].last_is_next
