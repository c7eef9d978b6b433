"""Marginal MAP against enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, Loss, Table, marginal_map
from msgpass.errors import (
    DataError,
    GraphError,
    ImpossibleEvidenceError,
    TreewidthError,
    UnsupportedError,
)
from tests.msgpass.loopy_models import loopy_models
from tests.msgpass.sweeps.junction_tree.test_readings import close, enumerations, rows_of


@settings(max_examples=80)
@given(loopy_models(), st.integers(0, 10**6), st.sampled_from(["min-fill", "min-weight"]))
def test_it_is_the_best_of_the_marginal(model, seed, order):
    rows = list(rows_of(model.graph))
    rng = np.random.default_rng(seed)
    chosen = [rows[i] for i in rng.permutation(len(rows))[: rng.integers(1, 4)]]
    asked = [node if r < 0 else node[r] for node, r, _ in chosen]
    best = marginal_map(model.graph, asked, model.values, order)
    total = 0.0
    for member, truth in enumerations(model, None):
        marginal = truth.message(*((name, -1) for *_, name in chosen))
        states = [best.assignment[n.name] if r < 0 else best.assignment[n.name][r] for n, r, _ in chosen]
        found = marginal[tuple(int(s[member]) for s in states)]
        assert found == pytest.approx(marginal.max(), **{"rel": close(model.graph)["rtol"], "abs": 1e-9})
        total += marginal.max()
    assert best.score == pytest.approx(total, rel=1e-6, abs=1e-8)


def test_names_and_sequences():
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    g.factor(Table([0.0, 1.0]), z[:])
    assert marginal_map(g, ["z"]).assignment["z"].tolist() == [1, 1, 1]
    assert marginal_map(g, [z[-1]]).assignment["z"].tolist() == [-1, -1, 1]
    assert marginal_map(g, "z").score == pytest.approx(3.0)


def test_what_it_refuses():
    g = FactorGraph()
    v = [g.variable(f"v{k}", states=2) for k in range(9)]
    for k in range(8):
        g.factor(Table(np.zeros((2, 2))), v[8], v[k])
    # A star is a tree, but summing out its hub first joins all leaves.
    assert marginal_map(g, [v[8]], max_size=4).score == pytest.approx(8 * np.log(2))
    with pytest.raises(TreewidthError, match=r"marginal MAP.*512 entries"):
        marginal_map(g, v[:8], max_size=256)
    with pytest.raises(GraphError, match="'w' is not a latent"):
        marginal_map(g, ["w"])
    with pytest.raises(GraphError, match="one variable or more"):
        marginal_map(g, [])
    with pytest.raises(DataError, match="order is one of"):
        marginal_map(g, [v[0]], order="best")
    g.factor(Table([-np.inf, 0.0]), v[0])
    with pytest.raises(ImpossibleEvidenceError, match="no assignment is best"):
        marginal_map(g, [v[1]], {"v0": 0})
    h = FactorGraph()
    h.factor(Loss(lambda w: (w, 1.0)), h.parameter("w", 1.0))
    h.factor(Table([0.0, 1.0]), h.variable("x", states=2))
    with pytest.raises(UnsupportedError, match="discrete variables alone"):
        marginal_map(h, ["x"])
