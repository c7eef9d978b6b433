"""Laws of every domain: there and back, the pullback is a derivative, structure stays, so do intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmm.coordinates import (
    Between,
    Choice,
    Circular,
    Covariances,
    Positive,
    Real,
    Rows,
    Share,
    Stationary,
    Variance,
)
from hmm.coordinates.stationary import from_partial, to_partial
from msgpass.errors import UnsupportedError

KINDS = (
    *("real", "circular", "positive", "share", "choice", "rows", "covariances", "floored covariances"),
    *("variance", "between", "autoregression", "moving average"),
)
seeds = st.integers(0, 2**32 - 1)


def drawn(kind, rng):
    """(domain, a value with structure, what is held)."""
    K, D = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    held = rng.random((K, D)) < 0.25
    if kind == "real":
        return Real(rng.uniform(0.5, 2, (K, D))), rng.normal(size=(K, D)), held
    if kind == "circular":
        return Circular(), rng.uniform(-1, 1, (K, D)), held
    if kind == "positive":
        signs = rng.choice([-1, 0, 1], (K, D))
        return Positive(0.01, 1e3), signs * rng.uniform(0.1, 3, (K, D)), held
    if kind == "share":
        return Share(), rng.choice([0, 0.2, 0.7, 1], (K, D)), held
    if kind == "choice":
        which = rng.integers(-1, 3, (K, D))
        return Choice((Real(2.0), Positive(), Share()), which), rng.uniform(0.1, 0.9, (K, D)), held
    if kind == "variance":
        return Variance(0.01), rng.choice([0, 0.3, 0.5], (K, D)), held
    if kind == "between":
        return Between(-2.0, 0.5), rng.choice([-2, -1, 0.2, 0.5], (K, D)), held
    if kind in ("autoregression", "moving average"):
        sign = 1 if kind == "autoregression" else -1
        phi = sign * from_partial(rng.uniform(-0.9, 0.9, K + D))
        return Stationary(sign), phi, np.full(K + D, bool(held[0, 0]))
    if kind == "rows":
        p = rng.dirichlet(np.ones(D), K) * (rng.random((K, D)) < 0.7)
        p[:, 0] += 1 - p.sum(axis=1)
        return Rows(), p, held
    root = rng.normal(size=(K, D, D))
    floor = rng.uniform(0.1, 0.4, D) if kind == "floored covariances" else 0.0
    value = root @ np.swapaxes(root, 1, 2) + np.eye(D)
    return Covariances(floor), value, np.broadcast_to(held[:, :1, None], value.shape)


def moved(domain, like, held, rng, size=0.5):
    """Another value of the same structure, and its coordinates."""
    u = domain.outward(like, like, held)
    u = np.where(domain.free(like, held), u + size * rng.normal(size=u.shape), u)
    return domain.inward(u, like, held), u


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
def test_there_and_back(kind, seed):
    rng = np.random.default_rng(seed)
    domain, like, held = drawn(kind, rng)
    free = domain.free(like, held)
    np.testing.assert_allclose(
        domain.inward(domain.outward(like, like, held), like, held), like, rtol=1e-10, atol=1e-12
    )
    value, u = moved(domain, like, held, rng)
    np.testing.assert_allclose(domain.outward(value, like, held)[free], u[free], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
def test_structure_stays(kind, seed):
    rng = np.random.default_rng(seed)
    domain, like, held = drawn(kind, rng)
    value, _ = moved(domain, like, held, rng, size=3.0)
    np.testing.assert_array_equal(value[held], like[held])
    if kind in ("rows", "positive"):
        np.testing.assert_array_equal(value == 0, like == 0)
        np.testing.assert_array_equal(np.sign(value), np.sign(like))
    if kind == "rows":
        np.testing.assert_allclose(value.sum(axis=1), 1, rtol=1e-12)
    if "covariances" in kind:
        np.testing.assert_allclose(value, np.swapaxes(value, 1, 2), rtol=1e-14)
        assert np.linalg.eigvalsh(value - np.diag(np.broadcast_to(domain.floor, like.shape[-1]))).min() > 0


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
def test_the_pullback_is_the_derivative(kind, seed):
    rng = np.random.default_rng(seed)
    domain, like, held = drawn(kind, rng)
    value, u = moved(domain, like, held, rng)
    weights = rng.normal(size=like.shape)
    found = domain.pullback(value, weights, like, held)
    for index in np.argwhere(domain.free(like, held)).tolist():
        ends = []
        for step in (1e-5, -1e-5):
            other = u.copy()
            other[tuple(index)] += step
            ends.append((weights * domain.inward(other, like, held)).sum())
        expected = (ends[0] - ends[1]) / 2e-5
        assert found[tuple(index)] == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, z=st.floats(0.1, 50))
def test_intervals_hold_the_value_and_stay_inside(kind, seed, z):
    rng = np.random.default_rng(seed)
    domain, like, held = drawn(kind, rng)
    free = domain.free(like, held)
    low, high = domain.interval(like, rng.uniform(0.1, 1, like.shape), z)
    assert (low[free] <= like[free]).all() and (like[free] <= high[free]).all()
    if kind == "variance":
        assert (low[free] >= 0).all()
    if kind == "between":
        assert (low[free] >= -2).all() and (high[free] <= 0.5).all()
    if kind in ("share", "rows"):
        assert (low[free] >= 0).all() and (high[free] <= 1).all()
    if kind == "positive":
        assert (low[free] * like[free] >= 0).all() and (high[free] * like[free] >= 0).all()
    if "covariances" in kind:
        assert (np.diagonal(low, axis1=1, axis2=2) >= 0).all()


@given(seed=seeds)
def test_a_row_has_a_coordinate_less_than_it_has_entries_that_move(seed):
    rng = np.random.default_rng(seed)
    domain, like, held = drawn("rows", rng)
    moving = ((like > 0) & ~held).sum(axis=1)
    np.testing.assert_array_equal(domain.free(like, held).sum(axis=1), np.maximum(moving - 1, 0))


@given(seed=seeds)
def test_angles_turn_around(seed):
    rng = np.random.default_rng(seed)
    u = rng.uniform(-20, 20, 5)
    found = Circular().inward(u, np.zeros(5), np.zeros(5, bool))
    assert (np.abs(found) <= np.pi).all()
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * u), rtol=1e-12)


def test_bounds_hold_and_open_for_where_one_starts():
    domain, none = Positive(0.5, 2.0), np.zeros(3, bool)
    like = np.array([1.0, 0.1, 5.0])
    low, high = np.exp(domain.bounds(like))
    np.testing.assert_allclose(low, [0.5, 0.1, 0.5])
    np.testing.assert_allclose(high, [2.0, 2.0, 5.0])
    np.testing.assert_allclose(domain.inward(np.full(3, -10.0), like, none), low)
    np.testing.assert_allclose(domain.inward(np.full(3, 10.0), like, none), high)


def test_what_counts_as_the_edge():
    nothing = np.zeros(3)
    assert Positive(0.5, 2.0).edge(np.array([0.5, 1.0, 2.0]), nothing).tolist() == [True, False, True]
    assert Share().edge(np.array([1e-9, 0.5, 1 - 1e-9]), nothing).tolist() == [True, False, True]
    assert Positive(least=1e-8).edge(np.array([1e-9, 1.0, 0.0]), nothing).tolist() == [True, False, True]
    counts, p = np.array([[1e-4, 5.0, 0.0]]), np.array([[1e-3, 0.999, 0.0]])
    slope = np.divide(counts, p, out=np.zeros((1, 3)), where=p > 0)
    assert Rows().edge(p, slope).tolist() == [[True, False, True]]
    floor = np.array([1.0, 1.0])
    matrices = np.array([np.eye(2), 2 * np.eye(2)])
    assert Covariances(floor).edge(matrices, 0 * matrices)[:, 0, 0].tolist() == [True, False]


def test_a_matrix_on_its_floor_has_coordinates():
    domain, like = Covariances(np.array([1.0, 4.0])), np.array([[[1.0, 0.0], [0.0, 9.0]]])
    held = np.zeros(like.shape, bool)
    found = domain.inward(domain.outward(like, like, held), like, held)
    np.testing.assert_allclose(found, like, atol=1e-5)


def test_a_prior_without_a_maximum_is_refused():
    p, none = np.array([[0.5, 0.5], [1.0, 0.0]]), np.zeros((2, 2), bool)
    with pytest.raises(UnsupportedError, match="concentration below 1"):
        Rows(0.5).free(p, none)
    Rows(np.array([[1.0, 1.0], [0.5, 0.5]])).free(p, none)  # nothing moves in the second row


@given(seed=seeds)
def test_partial_autocorrelations_inside_the_unit_interval_are_stationary(seed):
    rng = np.random.default_rng(seed)
    r = rng.uniform(-0.99, 0.99, int(rng.integers(1, 6)))
    phi = from_partial(r)
    roots = np.roots(np.append(1.0, -phi))
    assert (np.abs(roots) < 1).all()
    np.testing.assert_allclose(to_partial(phi), r, rtol=1e-6, atol=1e-9)


@given(seed=seeds)
def test_a_partial_autocorrelation_beyond_one_tells_what_is_not_stationary(seed):
    rng = np.random.default_rng(seed)
    roots = rng.uniform(-0.9, 0.9, 3)
    roots[rng.integers(3)] = rng.choice([-1, 1]) * rng.uniform(1.01, 2)
    assert np.abs(to_partial(-np.poly(roots)[1:])).max() > 1


def test_a_variance_is_an_even_function_and_zero_is_its_edge():
    domain, like, held = Variance(4.0), np.ones(2), np.zeros(2, bool)
    u = np.array([1.5, -1.5])
    np.testing.assert_array_equal(domain.inward(u, like, held), [9.0, 9.0])
    assert domain.edge(np.array([0.0, 1e-12, 1e-3]), np.zeros(3)).tolist() == [True, True, False]
    assert not domain.free(np.zeros(2), held).any()
