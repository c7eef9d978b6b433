"""Gaussian chains with quadratics that are no observation: the tree sweep, message by message, and a filter
that has no moments."""

import numpy as np
import pytest

from msgpass import FactorGraph, ForwardOnly, Quadratic, run
from msgpass.algebra.gaussian_forms import to_information
from msgpass.errors import NumericalError, UnavailableError
from msgpass.sweeps.information_chain import InformationChainRun
from tests.msgpass.gaussian_models import covariance


def graph_of(rng, lengths, shape=(2,), seen=True):
    """A chain with indefinite precisions, linear terms where nothing else is said, and measurements with
    gaps.
    """
    g, n, total = FactorGraph(), int(np.prod(shape)), sum(lengths)
    x = g.sequence("x", length=lengths if len(lengths) > 1 else lengths[0], shape=shape)
    g.factor(Quadratic.prior(np.ones(n), covariance(rng, n)), x[0])
    F, Q, b = 0.3 * rng.normal(size=(n, n)), covariance(rng, n), rng.normal(size=n)
    g.factor(Quadratic.linear_gaussian(F, Q, b), x[:-1], x[1:])
    dents = -0.01 * np.stack([covariance(rng, n) for _ in range(total)])
    g.factor(Quadratic(rng.normal(size=(total, n)), dents, 0.3), x[:])
    g.factor(Quadratic(np.ones(n), np.zeros((n, n))), x[-1])
    if seen:
        y = rng.normal(size=(total, 1))
        y[1] = np.nan
        g.factor(Quadratic.observation(rng.normal(size=(1, n)), [[0.5]]), x[:], g.observe("y", y)[:])
    return g


@pytest.mark.parametrize("lengths", [(4,), (3, 1, 5), (80,)])
@pytest.mark.parametrize("shape", [(2,), ()])
def test_messages_are_those_of_the_tree(rng, lengths, shape):
    m = run(graph_of(rng, lengths, shape))
    (made,) = m._x.runs.values()
    assert isinstance(made, InformationChainRun)
    said = m.backward["x"]
    assert "tree" not in vars(made)  # the kernel alone
    items = [to_information(message) for message in made.tree.backward]
    np.testing.assert_allclose(
        said.h.reshape(len(items), -1), [item.h for item in items], rtol=1e-9, atol=1e-10
    )
    precisions = [item.precision for item in items]
    np.testing.assert_allclose(
        np.reshape(said.precision, np.shape(precisions)), precisions, rtol=1e-9, atol=1e-10
    )
    assert m.total == made.tree.total
    assert np.isfinite(m.belief["x"].mean).all()


def test_backward_messages_where_the_filter_has_no_moments():
    """x₁ alone would run away; what comes after holds it."""
    g = FactorGraph()
    x = g.sequence("x", length=3)
    g.factor(Quadratic.prior(0.0, 0.0), x[0])
    g.factor(Quadratic.linear_gaussian(1.0, 1.0), x[:-1], x[1:])
    g.factor(Quadratic(np.zeros((3, 1)), np.array([0.0, -1.5, 100.0])[:, None, None]), x[:])
    m = run(g)
    inner = 100 / 101 - 1.5
    np.testing.assert_allclose(m.backward["x"].precision, [inner / (1 + inner), 100 / 101, 0])
    with pytest.raises(NumericalError, match="not normalisable"):
        _ = m.total


def test_what_a_schedule_drops(rng):
    with pytest.raises(UnavailableError, match="ForwardOnly"):
        _ = run(graph_of(rng, (4,)), schedule=ForwardOnly()).backward["x"]
