"""Sparse and grouped tables away from the sparse chain: trees, full chains, algebras of one's own."""

import numpy as np
import pytest

from msgpass import FactorGraph, ForwardOnly, MaxProduct, SumProduct, Table, Tangent, run
from tests.msgpass.sparse_models import make

CLOSE = {"rtol": 1e-9, "atol": 1e-11}
ALGEBRAS = [SumProduct(), MaxProduct()]


class Own(SumProduct):
    """A table algebra that no chain sweep knows."""


def listed(rng, rows, cols, density=0.6):
    """(rows, cols) of some entries of a table, with none of its rows or columns empty."""
    keep = rng.random((rows, cols)) < density
    keep[np.arange(max(rows, cols)) % rows, np.arange(max(rows, cols)) % cols] = True
    return np.nonzero(keep)


def full(values, rows, cols, shape):
    table = np.full((*np.shape(values)[:-1], *shape), -np.inf)
    table[..., rows, cols] = values
    return table


def agree(a, b, names, folds):
    np.testing.assert_allclose(a.total, b.total, **CLOSE)
    for name in names:
        np.testing.assert_allclose(a.belief[name], b.belief[name], **CLOSE)
    for name, fold in folds.items():
        np.testing.assert_allclose(a.parameters[name], fold(b.parameters[name]), **CLOSE)


@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_tree(rng, algebra, grouped):
    rows, cols = listed(rng, 3, 4)
    values, own, groups = rng.normal(size=len(rows)), rng.normal(size=2), np.array([1, 0, 1])
    graphs = []
    for sparse in (True, False):
        g = FactorGraph()
        u, v, w = g.variable("u", 3), g.variable("v", 4), g.variable("w", 3)
        A = g.parameter("A", values if sparse else full(values, rows, cols, (3, 4)))
        link = Table.sparse(A, rows, cols) if sparse else Table(A)
        g.factor(link, u, v)
        g.factor(link, w, v)
        B = g.parameter("B", own if sparse else own[groups])
        if grouped:
            g.factor(Table.grouped(B, groups) if sparse else Table(B), u)
        graphs.append(g)
    folds = {"A": lambda c: c[rows, cols]}
    if grouped:
        folds["B"] = lambda c: np.array([c[1], c[0] + c[2]])
    agree(*(run(g, algebra) for g in graphs), "uvw", folds)


@pytest.mark.parametrize("stepped", [False, True])
def test_the_second_variable_of_a_sparse_table_is_observed(rng, stepped):
    rows, cols = listed(rng, 3, 4)
    values = rng.normal(size=(5, len(rows)) if stepped else len(rows))
    graphs = []
    for sparse in (True, False):
        g = FactorGraph()
        z, x = g.sequence("z", 5, 3), g.observe("x", [0, 3, -1, 2, 2], 4)
        B = g.parameter("B", values if sparse else full(values, rows, cols, (3, 4)))
        g.factor(Table.sparse(B, rows, cols) if sparse else Table(B), z[:], x[:])
        g.factor(Table(np.linspace(0, 1, 9).reshape(3, 3)), z[:-1], z[1:])
        graphs.append(g)
    for algebra in (SumProduct(), Own()):
        a, b = (run(g, algebra) for g in graphs)
        agree(a, b, "z", {"B": lambda c: c[..., rows, cols]})


@pytest.mark.parametrize("algebra", [*ALGEBRAS, Own()], ids=["sum", "max", "own"])
@pytest.mark.parametrize("local", ["symbols", "missing", "dense", "by step", "every", "other groups"])
def test_grouped_evidence_of_a_full_chain(algebra, local):
    model = make(np.random.default_rng(3), 4, [5, 3], [local, "single"])
    dense = FactorGraph()
    z = dense.sequence("z", [5, 3], 4)
    for name in ("x", "gone"):
        dense.observe(name, model.sparse[name].value, 3)
    for p in model.folds:
        dense.parameter(p, (model.full if p == "transition" else model.sparse)[p].value)
    dense.factor(Table(dense["transition"]), z[:-1], z[1:])
    for name in (local, "single"):
        factor = model.sparse[f"local {name}"]
        slices = [dense[s.node.name][0 if s.kind == "index" else slice(None)] for s in factor.args]
        dense.factor(factor.potential.of(dense[name]), *slices)
    folds = {n: f if n != "transition" else lambda c: c for n, f in model.folds.items()}
    agree(run(dense, algebra), run(model.full, algebra), "z", folds)


def test_an_algebra_of_ones_own_takes_the_tree(rng):
    model = make(rng, 4, [5, 3], ["symbols", "single"])
    agree(run(model.sparse, Own()), run(model.full), "z", model.folds)


@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_a_sparse_table_beside_a_full_one(rng, algebra):
    model = make(rng, 4, [5, 3], ["symbols"])
    more = rng.normal(size=(4, 4))
    for g in (model.sparse, model.full):
        g.factor(Table(g.parameter("more", more)), g["z"][:-1], g["z"][1:])
    agree(*(run(g, algebra) for g in (model.sparse, model.full)), "z", {**model.folds, "more": lambda c: c})


def test_every_second_step(rng):
    rows, cols = listed(rng, 3, 3)
    values = rng.normal(size=len(rows))
    graphs = []
    for sparse in (True, False):
        g = FactorGraph()
        z = g.sequence("z", 6, 3)
        A = g.parameter("A", values if sparse else full(values, rows, cols, (3, 3)))
        g.factor(Table.sparse(A, rows, cols) if sparse else Table(A), z[:-2], z[2:])
        graphs.append(g)
    agree(*(run(g) for g in graphs), "z", {"A": lambda c: c[rows, cols]})


def test_the_derivative_along_a_direction(rng):
    model = make(rng, 4, [5], ["dense"])
    direction = rng.normal(size=model.sparse["transition"].shape)
    found = run(model.sparse, Tangent({"transition": direction})).total.tangent
    wanted = float(np.sum(direction * run(model.sparse).parameters["transition"]))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_nothing_of_the_size_of_the_states_is_made_of_grouped_evidence(rng):
    """Filtering 2000 steps over 20 000 states fits where a (T, S) array, 320 MB, would not."""
    import tracemalloc

    S, T = 20_000, 2000
    g = FactorGraph()
    z = g.sequence("z", T, S)
    here = np.arange(S - 1)
    g.factor(Table.sparse(np.zeros(S - 1), here, here + 1), z[:-1], z[1:])
    g.factor(Table.grouped(rng.normal(size=(T, 4)), np.arange(S) % 4), z[:])
    run(g, schedule=ForwardOnly())  # compiled, and the pattern kept
    tracemalloc.start()
    total = run(g, schedule=ForwardOnly()).total
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(total) and peak < 30e6
