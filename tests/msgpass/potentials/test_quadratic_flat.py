"""A prior that is flat in cells that are declared, its covariance a parameter."""

import numpy as np
import pytest

from msgpass import FactorGraph, Quadratic, run
from msgpass.errors import ShapeError
from tests.msgpass.gaussian_models import covariance

FLAT = np.array([True, False, False])


def chain(rng, cov, flat):
    g = FactorGraph()
    x, y = g.sequence("x", length=6, shape=(3,)), g.observe("y", rng.normal(size=(6, 1)))
    given = cov if flat is None else g.parameter("cov", cov)
    g.factor(Quadratic.prior(np.zeros(3), given, flat), x[0], name="start")
    F, Q = 0.5 * rng.normal(size=(3, 3)), covariance(rng, 3)
    g.factor(Quadratic.linear_gaussian(F, Q), x[:-1], x[1:], name="link")
    g.factor(Quadratic.observation(rng.normal(size=(1, 3)), np.eye(1)), x[:], y[:], name="see")
    return g


def block(rng):
    cov = np.zeros((3, 3))
    cov[1:, 1:] = covariance(rng, 2)
    return cov


def test_it_is_the_prior_with_infinite_variances(rng):
    cov = block(rng)
    infinite = cov + np.diag(np.where(FLAT, np.inf, 0.0))
    one, other = (run(chain(np.random.default_rng(0), *given)) for given in ((cov, FLAT), (infinite, None)))
    assert one.total == other.total
    np.testing.assert_array_equal(one.belief["x"].mean, other.belief["x"].mean)


def test_what_stands_in_a_flat_cell_does_not_matter_and_gets_no_gradient(rng):
    cov = block(rng)
    g = chain(np.random.default_rng(0), cov, FLAT)
    m, other = run(g), run(g, values={"cov": cov + np.diag([7.0, 0.0, 0.0])})
    assert m.total == other.total
    found = m.parameters["cov"]
    np.testing.assert_allclose(found[0], 0, atol=1e-12)
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-12)
    step = 1e-6
    for i, j in ((1, 1), (1, 2), (2, 2)):
        moved = np.zeros((3, 3))
        moved[i, j] = moved[j, i] = step
        ends = [run(g, values={"cov": cov + sign * moved}).total for sign in (1, -1)]
        expected = (found * (moved != 0)).sum()
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_a_mask_that_does_not_fit():
    for flat in ([True], np.array([1, 0, 0])):
        with pytest.raises(ShapeError, match="flat is a mask"):
            Quadratic.prior(np.zeros(3), np.eye(3), flat)
    assert Quadratic.prior(0.0, 1.0, np.array([True])).flat.tolist() == [True]
