"""Compiled loopy propagation beside the NumPy sweeps, over random factors of every shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.kernels import flooding, flooding_ratio
from msgpass.kernels import flooding_reference as reference
from msgpass.kernels.flooding_reference import Factors, Problem

ALGEBRAS = {"sum": (SumProduct().reduce, False), "max": (MaxProduct().reduce, True)}


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(flooding, "FEWEST", dict.fromkeys(flooding.FEWEST, 0))


def problem(seed, states=2, zeros=0.0, counting=False, wide=False, strength=0.7) -> Problem:
    """Pairs with tables of their own, pairs that share one, and three at once; ``states`` None mixes them."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 4, 9) if states is None else np.full(9, states)
    where = np.concatenate([[0], np.cumsum(sizes)])
    groups = []

    def add(scopes, shared):
        logs = strength * rng.normal(size=(1 if shared else len(scopes), *sizes[scopes[0]]))
        logs[rng.random(logs.shape) < zeros] = -np.inf
        numbers = rng.uniform(0.5, 1.0, 1 if shared else len(scopes)) if counting else np.ones(1)
        numbers = np.broadcast_to(numbers, len(scopes)).copy()
        groups.append(Factors(scopes, tuple(int(k) for k in sizes[scopes[0]]), logs, numbers))

    for arity, n, shared in ((2, 7, False), (2, 6, True), *([(3, 3, False)] if wide else [])):
        scopes = np.stack([rng.choice(9, arity, replace=False) for _ in range(n)])
        for rows in [scopes[j : j + 1] for j in range(n)] if states is None else [scopes]:
            add(rows, shared)
    return Problem(where, rng.normal(size=where[-1]), tuple(groups))


KINDS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "states": st.sampled_from([2, 3, None]),
        "zeros": st.sampled_from([0.0, 0.15]),
        "counting": st.booleans(),
        "wide": st.booleans(),
        "strength": st.sampled_from([0.7, 300.0]),
    }
)


@pytest.mark.parametrize("algebra", ALGEBRAS)
@given(kind=KINDS, order=st.sampled_from(["flood", "sequential"]), damping=st.sampled_from([0.0, 0.3]))
def test_sweeps_are_the_reference(algebra, kind, order, damping):
    made, (reduce, maximise) = problem(**kind), ALGEBRAS[algebra]
    given_ = made, order, damping, 1e-9, 4, made.unit(), reduce
    expected, how = reference.run(*given_)
    found, report = flooding.run(*given_, maximise)
    scale = max(1.0, kind["strength"])
    assert report.impossible == how.impossible and report.updates == how.updates
    np.testing.assert_allclose(report.history, how.history, rtol=1e-6, atol=1e-9 * scale)
    if not how.impossible:
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * scale)


@given(seed=st.integers(0, 10**6), states=st.sampled_from([2, 3]), wide=st.booleans())
def test_residual_comes_to_the_same_rest(seed, states, wide):
    made, (reduce, maximise) = problem(seed, states, wide=wide, strength=0.15), ALGEBRAS["sum"]
    expected, how = reference.run(made, "sequential", 0.0, 1e-12, 500, made.unit(), reduce)
    found, report = flooding.run(made, "residual", 0.0, 1e-12, 500, made.unit(), reduce, maximise)
    assert how.converged and report.converged
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize("algebra", ALGEBRAS)
@given(kind=KINDS)
def test_residual_rests_where_no_message_would_change(algebra, kind):
    made, (reduce, maximise) = problem(**kind), ALGEBRAS[algebra]
    found, report = flooding.run(made, "residual", 0.2, 1e-8, 60, made.unit(), reduce, maximise)
    if report.converged:
        assert max(c.max() for c in reference.changes(made, found, reduce)) <= 1e-6


def grid(side: int, seed: int, shared: bool) -> Problem:
    """A grid of binary variables; its factors lie along two distances, some of them reversed."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(side * side).reshape(side, side)
    across = np.stack([numbers[:, :-1].ravel(), numbers[:, 1:].ravel()], axis=1)
    down = np.stack([numbers[:-1].ravel(), numbers[1:].ravel()], axis=1)
    scopes = np.concatenate([across, down])
    flip = rng.random(len(scopes)) < 0.3
    scopes[flip] = scopes[flip, ::-1]
    scopes = scopes[rng.permutation(len(scopes))]
    logs = rng.normal(size=(1 if shared else len(scopes), 2, 2))
    group = Factors(scopes, (2, 2), logs, np.ones(len(scopes)))
    n = side * side
    return Problem(np.arange(0, 2 * n + 1, 2), rng.normal(size=2 * n), (group,))


@pytest.mark.parametrize("algebra", ALGEBRAS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("damping", [0.0, 0.4])
@pytest.mark.parametrize("side", [4, 9])
def test_a_grid_is_swept_without_indices(algebra, shared, damping, side, monkeypatch):
    made, (reduce, maximise) = grid(side, side, shared), ALGEBRAS[algebra]
    assert flooding_ratio.fits(made, made.unit())
    given_ = made, "flood", damping, 1e-9, 7, made.unit(), reduce
    expected, how = reference.run(*given_)
    for most in (8, 0):  # distances that may be swept so; with 0, by index
        monkeypatch.setattr(flooding_ratio, "MOST_OFFSETS", most)
        assert (flooding_ratio._offsets(made.groups[0], side * side) is None) == (most == 0)
        found, report = flooding.run(*given_, maximise)
        np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
        np.testing.assert_allclose(report.history, how.history, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    "change", [{"strength": 400.0}, {"zeros": 0.3}, {"states": 3}, {"counting": True}, {"wide": True}]
)
def test_what_does_not_fit_ratios_is_seen(change):
    made = problem(1, **change)
    assert not flooding_ratio.fits(made, made.unit())
    assert flooding_ratio.fits(problem(1), problem(1).unit())


def test_a_state_that_only_underflows_stays_possible():
    """A product of e⁻⁸⁰⁰ is not zero: what it leaves is found in logarithms."""
    logs = np.array([[[0.0, -np.inf, -np.inf], [-np.inf, 0.0, -np.inf], [-np.inf, -np.inf, 0.0]]])
    group = Factors(np.array([[0, 1]]), (3, 3), logs, np.ones(1))
    made = Problem(np.array([0, 3, 6]), np.array([0.0, -800.0, -np.inf, 0, 0, 0]), (group,))
    found, _ = flooding.run(made, "flood", 0.0, 1e-9, 3, made.unit(), *ALGEBRAS["sum"])
    np.testing.assert_array_equal(found[0][0, 3:], [0.0, -800.0, -np.inf])
