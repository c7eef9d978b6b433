"""Compiled sweeps over cliques against the reference, also where plain numbers vanish."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.elimination import clique_tree
from msgpass.kernels.clique_patterns import ALONG, CONSTANT, MAPPED, Patterns
from msgpass.kernels.clique_program import CliqueProgram
from msgpass.kernels.clique_reference import CliqueReference
from msgpass.kernels.clique_sweep import MaxSweep, SumSweep
from msgpass.sweeps.junction_tree.inputs import Inputs


def random_problem(rng, n=6, families=4, batch=1, scale=1.0, zeros=0.2):
    """(tree, scopes, tables): families of several instances over one shape, variables of 1 to 3 states."""
    sizes = rng.choice([1, 2, 3, 9], size=n, p=[0.1, 0.5, 0.3, 0.1])
    scopes, tables = [], []
    for _ in range(families):
        arity = int(rng.integers(1, min(n, 3) + 1))
        first = rng.permutation(n)[:arity]
        alike = [first]
        for _ in range(2):
            other = rng.permutation(n)[:arity]
            if (sizes[other] == sizes[first]).all():
                alike.append(other)
        logs = rng.normal(size=(batch, len(alike), *sizes[first])) * scale
        logs[rng.random(logs.shape) < zeros] = -np.inf
        scopes.append(np.array(alike))
        tables.append(logs)
    return clique_tree(scopes, sizes), scopes, tables


def sweeps(tree, scopes, tables, batch, algebra):
    program = CliqueProgram.of(tree, scopes)
    inputs = Inputs(program, batch)
    inputs.fill(list(range(len(scopes))), tables, True)
    reference = CliqueReference(tree, scopes, tables, algebra.reduce, batch)
    if isinstance(algebra, MaxProduct):
        return MaxSweep(program, batch, inputs.logs), reference
    made = SumSweep(program, batch, inputs.values, inputs.part_shifts, inputs.lows, lambda: inputs.logs)
    return made, reference


def test_patterns_place_every_entry():
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(300):
        n = int(rng.integers(1, 6))
        dims = rng.integers(1, 6, size=n)
        inside = rng.random(n) < 0.5
        order = rng.permutation(np.flatnonzero(inside)) if rng.random() < 0.5 else np.flatnonzero(inside)
        strides, stride = np.zeros(n, np.int64), 1
        for a in order[::-1]:
            strides[a] = stride
            stride *= dims[a]
        made = Patterns()
        assert made.of(dims[None], strides[None]).tolist() == [0]
        rows, maps = made.arrays()
        n_outer, n_inner, kind, outer, inner = rows[0]
        kinds.add(int(kind))
        own = {CONSTANT: np.zeros(n_inner), ALONG: np.arange(n_inner), MAPPED: maps[inner : inner + n_inner]}
        found = maps[outer : outer + n_outer, None] + own[int(kind)]
        np.testing.assert_array_equal(
            found.ravel(), np.tensordot(strides, np.indices(dims).reshape(n, -1), 1)
        )
    assert kinds == {CONSTANT, ALONG, MAPPED}


@settings(max_examples=150)
@given(
    st.integers(0, 10**6),
    st.integers(1, 8),
    st.sampled_from([1, 3]),
    st.sampled_from([1.0, 1.0, 150.0, 600.0]),
    st.sampled_from([SumProduct(), MaxProduct()]),
)
def test_every_reading_is_the_reference_s(seed, n, batch, scale, algebra):
    rng = np.random.default_rng(seed)
    tree, scopes, tables = random_problem(rng, n, int(rng.integers(1, 7)), batch, scale)
    made, reference = sweeps(tree, scopes, tables, batch, algebra)
    close = {"rtol": 1e-9, "atol": 1e-9 * scale}
    np.testing.assert_allclose(made.totals, reference.totals, **close)
    if not np.isfinite(reference.totals).all():
        return
    if isinstance(algebra, MaxProduct):
        np.testing.assert_array_equal(made.best(), reference.best())
    np.testing.assert_allclose(made.marginals(), reference.marginals(), **close)
    np.testing.assert_allclose(made.totals, reference.totals, **close)
    for k in range(len(scopes)):
        np.testing.assert_allclose(made.factors(k), reference.factors(k), **close)
    for c in range(len(tree)):
        ours, theirs = made.belief(c), reference.belief(c)
        axes = tuple(range(1, ours.ndim))
        ours, theirs = (x - x.max(axis=axes, keepdims=True) for x in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, **close)


@pytest.mark.parametrize("pass_", ["collect", "distribute"])
def test_what_would_vanish_goes_to_logarithms(pass_):
    # a – b – c, c nearest the root: what a knows of itself and what c tells b multiply on the way down alone.
    tree = clique_tree([[0, 1], [1, 2]], [2, 2, 2], order=[0, 1, 2])
    at_a = -600.0 if pass_ == "distribute" else -800.0
    scopes = [np.array([[0], [2]]), np.array([[0, 1], [1, 2]])]
    tables = [
        np.array([[[0.0, at_a], [0.0, -150.0]]]),
        np.array([[[[0.0, -1.0], [-1.0, 0.0]], [[0.0, -400.0], [-400.0, 0.0]]]]),
    ]
    made, reference = sweeps(tree, scopes, tables, 1, SumProduct())
    assert made.logarithms == (pass_ == "collect")
    np.testing.assert_allclose(made.marginals(), reference.marginals(), rtol=1e-12)
    assert made.logarithms
    np.testing.assert_allclose(made.totals, reference.totals, rtol=1e-12)


def test_a_hub_of_many_children_stays_with_numbers():
    n = 400
    scopes = [np.stack([np.zeros(n, int), np.arange(1, n + 1)], axis=1)]
    rng = np.random.default_rng(1)
    tables = [np.log(rng.dirichlet([1.0, 1.0], size=(1, n, 2)))]
    tables[0][..., :] = np.where(np.arange(n)[:, None, None] % 2, tables[0], tables[0][:, :, ::-1])
    tree = clique_tree(scopes, [2] * (n + 1))
    evidence = np.arange(1, n + 1)[:, None]
    seen = np.where(np.arange(2) == 0, 0.0, -np.inf) + np.zeros((1, n, 2))
    made, reference = sweeps(tree, [*scopes, evidence], [*tables, seen], 1, SumProduct())
    np.testing.assert_allclose(made.totals, reference.totals, rtol=1e-12)
    np.testing.assert_allclose(made.marginals(), reference.marginals(), atol=1e-9)
    assert not made.logarithms


def test_draws_have_the_posterior_s_frequencies(rng):
    tree, scopes, tables = random_problem(np.random.default_rng(3), 5, 5, 1, 1.0, 0.1)
    for far in (0.0, 2000.0):
        tables[0] = tables[0] + far * (np.arange(tables[0].size).reshape(tables[0].shape) == 0)
        made, reference = sweeps(tree, scopes, tables, 1, SumProduct())
        assert np.isfinite(reference.totals).all()
        made.distribute()
        draws = made.draw(rng, 20_000)[:, 0]
        starts = made.program.state_starts
        for v, size in enumerate(tree.sizes):
            share = np.bincount(draws[:, v], minlength=size) / len(draws)
            np.testing.assert_allclose(
                share, np.exp(made.marginals()[0, starts[v] : starts[v + 1]]), atol=0.02
            )
