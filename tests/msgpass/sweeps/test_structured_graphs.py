"""Random graphs of factors with structure, loops, evidence and hard zeros, against all configurations."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import msgpass.sweeps.structured_chain as chain
from msgpass import FactorGraph, Flooding, JunctionTree, MaxProduct, Parity, SumProduct, Table, run
from msgpass.errors import ImpossibleEvidenceError, UnsupportedError
from tests.msgpass.structured_models import KINDS, make

BINARY = sorted(set(KINDS) - {"equal", "potts"})
BITS = 7
EVERY = np.array(list(itertools.product((0, 1), repeat=BITS)))


@st.composite
def graphs(draw, tree=False):
    """(graph, log value of every configuration, clamped states)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logs = rng.normal(size=(BITS, 2))
    logs[rng.random(logs.shape) < draw(st.sampled_from([0.0, 0.15]))] = -np.inf
    g = FactorGraph()
    x = g.sequence("x", length=BITS, states=2)
    g.factor(Table(logs), x[:])
    value = logs[np.arange(BITS), EVERY].sum(axis=1)
    free = list(rng.permutation(BITS))
    for k in range(draw(st.integers(1, 2 if tree else 4))):
        arity = draw(st.integers(2, 4))
        # A tree: each factor shares one variable with those before.
        scope = [free.pop() for _ in range(arity)] if tree else rng.permutation(BITS)[:arity].tolist()
        if tree:
            free.append(scope[0])
        potential, _ = make(draw(st.sampled_from(BINARY)), rng, 1, arity)
        members, states = [x[int(v)] for v in scope], EVERY[:, scope]
        seen = draw(st.sampled_from([None, 0, 1]))
        if seen is not None:  # one member is data
            place = int(rng.integers(arity))
            members[place] = g.observe(f"y{k}", seen, states=2)
            states = states.copy()
            states[:, place] = seen
        g.factor(potential, *members, name=f"f{k}")
        value = value + potential.log_weight(states[None], potential.arrays())[0]
    clamp = np.where(rng.random(BITS) < 0.2, rng.integers(0, 2, BITS), -1)
    value = np.where(((clamp < 0) | (clamp == EVERY)).all(axis=1), value, -np.inf)
    return g, value, clamp


def check_sums(m, value):
    total = np.logaddexp.reduce(value)
    assert np.isclose(m.total, total, rtol=1e-9, atol=1e-9)
    on = np.exp(value - total) @ EVERY
    np.testing.assert_allclose(np.exp(m.belief["x"][:, 1]), on, rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(m.belief["x"][:, 1] == -np.inf, ~EVERY[value > -np.inf].any(axis=0))


def refused(m):
    assert m.total == -np.inf
    with pytest.raises(ImpossibleEvidenceError):
        _ = m.belief["x"]


WHOLE = pytest.mark.parametrize("whole", [chain.WHOLE, 1], ids=["tables", "chains"])


@WHOLE
@given(drawn=graphs())
def test_exact_sums(whole, drawn):
    g, value, clamp = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "WHOLE", whole)
        m = run(g, schedule=JunctionTree(), values={"x": clamp})
    if (value == -np.inf).all():
        refused(m)
    else:
        check_sums(m, value)


@WHOLE
@given(drawn=graphs())
def test_exact_maxima(whole, drawn):
    g, value, clamp = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "WHOLE", whole)
        m = run(g, MaxProduct(), JunctionTree(), {"x": clamp})
    if (value == -np.inf).all():
        return refused(m)
    assert np.isclose(m.total, value.max(), rtol=1e-9, atol=1e-9)
    best = int(np.flatnonzero((m.assignment["x"] == EVERY).all(axis=1))[0])
    assert np.isclose(value[best], value.max(), rtol=1e-9, atol=1e-9)
    return None


@pytest.mark.parametrize("order", ["flood", "sequential"])
@given(drawn=graphs(tree=True))
def test_loopy_messages_are_exact_on_trees(order, drawn):
    g, value, clamp = drawn
    m = run(g, schedule=Flooding(order=order, tol=1e-12), values={"x": clamp})
    if (value == -np.inf).all():
        refused(m)
    else:
        check_sums(m, value)


@WHOLE
@given(drawn=graphs())
def test_draws_are_possible_and_as_frequent_as_they_are_likely(whole, drawn):
    g, value, clamp = drawn
    assume((value > -np.inf).any())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "WHOLE", whole)
        m = run(g, schedule=JunctionTree(), values={"x": clamp})
        draws = m.sample("x", rng=0, n=400)
    places = draws @ (1 << np.arange(BITS)[::-1])
    assert (value[places] > -np.inf).all()
    on = np.exp(value - np.logaddexp.reduce(value)) @ EVERY
    assert np.abs(draws.mean(axis=0) - on).max() < 0.125  # five standard deviations


@pytest.mark.parametrize(
    ("algebra", "read"),
    [
        (SumProduct(), lambda m: m.sample("x", 0)),
        (SumProduct(), lambda m: m.entropy("x")),
        (MaxProduct(), lambda m: m.k_best("x", 2)),
    ],
    ids=["draws", "entropy", "best"],
)
def test_loopy_messages_have_no_whole_assignments(algebra, read):
    g = FactorGraph()
    x = g.sequence("x", length=5, states=2)
    g.factor(Table([0.0, 1.0]), x[:])
    g.factor(Parity(), x[[0, 2]], x[[1, 3]], x[[2, 4]])
    with pytest.raises(
        UnsupportedError, match=r"no distribution over whole assignments of 'x'; use Junction"
    ):
        read(run(g, algebra, Flooding()))
