"""Several instances in one call: the layout that gives the same numbers is found, or none."""

import numpy as np
import pytest

from msgpass.interop.differentiators import autograd_vjp
from rnn.ode import solver_step
from tests.rnn.ode.fields import LV, forced, forced_params, lotka_volterra

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3))


def branching(t, y, p):
    return -y if y[0] > 0 else y


def coupled(t, y, p):
    return -y * np.sqrt((y**2).sum() + 1)


@pytest.mark.parametrize(
    ("field", "y0", "params", "together"),
    [
        (lotka_volterra, np.ones(2), LV, True),
        (lambda t, y, p: p * A @ y + np.cos(t), np.ones(3), 0.5, True),
        (forced, RNG.normal(size=(4, 2)), forced_params(RNG), True),
        (lambda t, y, p: -p * y * t, np.array(2.0), 1.5, True),
        (branching, np.ones(2), 1.0, False),
        (coupled, np.ones(2), 1.0, False),
    ],
)
def test_the_same_values_and_derivatives(field, y0, params, together):
    step = solver_step(field, "rk4")
    alone, many = step.potential(params), step.potential(params, y0)
    assert many.vectorized == together
    if not together:
        return
    arrays = list(params.values()) if isinstance(params, dict) else [np.asarray(params)]
    for n in (1, 5):
        y = y0 + 0.3 * RNG.normal(size=(n, *y0.shape))
        t, h, w = RNG.uniform(size=n), RNG.uniform(0.1, 0.2, n), RNG.normal(size=(n, *y0.shape))
        wanted = range(3 + len(arrays))
        output, pull = autograd_vjp(many.f, [y, t, h, *arrays], wanted)
        assert np.allclose(output, [alone.f(*row, *arrays) for row in zip(y, t, h, strict=True)], rtol=1e-12)
        rows = [
            autograd_vjp(alone.f, [*row, *arrays], wanted)[1](c)
            for row, c in zip(zip(y, t, h, strict=True), w, strict=True)
        ]
        for k, bar in enumerate(pull(w)):
            own = [row[k] for row in rows]
            assert np.allclose(bar, own if k < 3 else np.sum(own, axis=0), rtol=1e-10, atol=1e-13)
