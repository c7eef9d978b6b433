"""A chain whose table between neighbours is chosen by an observation is the chain of those tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, FixedLag, MaxProduct, SumProduct, Table, Truncated, run
from msgpass.plan import TableChain

CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def twins(seed, lengths, missing):
    """(graph with an observed axis, graph of full tables a step, observed group of every pair)."""
    rng = np.random.default_rng(seed)
    K, S, T = int(rng.integers(1, 4)), int(rng.integers(1, 4)), sum(lengths)
    tables, evidence = rng.normal(size=(S, K, K)), rng.normal(size=(T, K))
    group = rng.integers(-1 if missing else 0, S, T)
    inside = np.ones(T, bool)
    inside[np.cumsum(lengths) - lengths] = False
    every = np.concatenate([tables, np.logaddexp.reduce(tables, axis=0)[None]])
    made = []
    for observed in (True, False):
        g = FactorGraph()
        z = g.sequence("z", length=lengths, states=K)
        g.factor(Table(g.parameter("local", evidence)), z[:])
        if observed:
            u = g.observe("u", group, states=S)
            g.factor(Table(g.parameter("link", tables)), u[1:], z[:-1], z[1:], name="f")
        else:
            g.factor(Table(g.parameter("link", every[group[inside]])), z[:-1], z[1:], name="f")
        made.append(g)
    return (*made, group[inside])


@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
@pytest.mark.parametrize("schedule", [None, FixedLag(1), Truncated(2, 3)], ids=["all", "lag", "windows"])
@given(seed=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(1, 5), min_size=2, max_size=3))
@settings(max_examples=25)
def test_it_is_the_chain_of_the_tables_chosen(algebra, schedule, seed, lengths):
    if schedule is not None and isinstance(algebra, MaxProduct):
        return
    a, b, group = twins(seed, lengths, missing=False)
    assert isinstance(a.plan().blocks[0], TableChain)
    one, two = run(a, algebra, schedule), run(b, algebra, schedule)
    np.testing.assert_allclose(one.total, two.total, **CLOSE)
    np.testing.assert_allclose(one.belief["z"], two.belief["z"], **CLOSE)
    counts = np.zeros(one.parameters["link"].shape)
    np.add.at(counts, group, two.parameters["link"])
    np.testing.assert_allclose(one.parameters["link"], counts, **CLOSE)
    if schedule is None and len(group):
        np.testing.assert_allclose(one.belief["f"], two.belief["f"], **CLOSE)
        z, last = a["z"], sum(lengths) - 1
        if lengths[-1] > 1:
            np.testing.assert_allclose(
                one.message(a["f"][len(group) - 1], z[last]),
                two.message(b["f"][len(group) - 1], b["z"][last]),
                **CLOSE,
            )


@given(seed=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(1, 5), min_size=2, max_size=3))
@settings(max_examples=25)
def test_what_is_not_observed_is_summed_out(seed, lengths):
    a, b, _ = twins(seed, lengths, missing=True)
    one, two = run(a), run(b)
    np.testing.assert_allclose(one.total, two.total, **CLOSE)
    np.testing.assert_allclose(one.parameters["link"].sum(), two.parameters["link"].sum(), **CLOSE)
    np.testing.assert_allclose(one.parameters["link"], run(a.unroll()).parameters["link"], **CLOSE)
