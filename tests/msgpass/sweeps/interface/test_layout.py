"""What a slice costs, how many programs a network has, and that planning does not grow with its length."""

import math
from itertools import pairwise

import numpy as np
import pytest

from msgpass import FactorGraph, JunctionTree, MaxProduct, SumProduct, Table, run
from msgpass.errors import ImpossibleEvidenceError
from msgpass.sweeps.interface import interface_layout
from msgpass.sweeps.interface.order import elimination_order
from msgpass.sweeps.interface.slices import sliced
from tests.msgpass.sweeps.interface.test_interface import interface_runs


def factorial(M, K, T, rng=None, scale=1.0):
    """M chains of K states that one table a step couples."""
    rng = np.random.default_rng(0) if rng is None else rng
    g = FactorGraph()
    z = [g.sequence(f"z{m}", length=T, states=K) for m in range(M)]
    for m in range(M):
        g.factor(Table(np.log(np.full(K, 1 / K))), z[m][0])
        g.factor(Table(np.log(rng.dirichlet(np.ones(K), size=K))), z[m][:-1], z[m][1:], name=f"A{m}")
    steps = T if isinstance(T, int) else sum(T)
    g.factor(Table(g.parameter("evidence", scale * rng.normal(size=(steps, *(K,) * M)))), *[x[:] for x in z])
    return g


def layout(g):
    (block,) = g.plan().blocks
    return interface_layout(g.plan(), 0, block, JunctionTree())


@pytest.mark.parametrize(("M", "K"), [(2, 3), (3, 4), (4, 2), (5, 3)])
def test_a_factorial_step_costs_m_k_to_the_m_plus_1(M, K):
    made = layout(factorial(M, K, 50))
    middle = made.kinds[made.slices.program[25]]
    sizes = sorted(middle.entries(c.scope) for c in middle.cliques)
    assert sizes == [K**M] + [K ** (M + 1)] * M
    assert made.largest == K ** (M + 1)
    assert middle.work == M * K ** (M + 1) + K**M


@pytest.mark.parametrize("T", [5, 1000, [4, 3, 700, 1], 100_000])
def test_programs_do_not_grow_with_time(T):
    made = layout(factorial(2, 2, T))
    assert len(made.kinds) <= 4  # first, middle and last slices, and a sequence of one
    assert made.slices.closed.sum() == (1 if isinstance(T, int) else len(T))


@pytest.mark.parametrize(("M", "K"), [(3, 2), (3, 3), (5, 2)])
@pytest.mark.parametrize(("reach", "more"), [((1,), 1), ((1, -1), 2)], ids=["one neighbour", "both"])
def test_coupled_chains_in_a_line(M, K, reach, more):
    """Each chain's step reads its own and its neighbours' last states."""
    g = FactorGraph()
    z = [g.sequence(f"z{m}", length=20, states=K) for m in range(M)]
    for m in range(M):
        read = [z[i][:-1] for i in (m, *(m + r for r in reach)) if 0 <= i < M]
        g.factor(Table(np.zeros((K,) * (len(read) + 1))), *read, z[m][1:])
        g.factor(Table(np.zeros(K)), z[m][:])
    assert layout(g).largest == K ** (M + more)


def test_a_network_that_is_not_sliced_is_left_to_cliques():
    g = FactorGraph()
    z = g.sequence("z", length=40, states=2)
    w = g.sequence("w", length=40, states=2)
    g.factor(Table(np.zeros((2, 2))), z[:20], z[20:])  # twenty slices apart
    g.factor(Table(np.zeros((2, 2))), z[:], w[:])
    assert sliced(g.plan().blocks[0]) is None
    other = FactorGraph()
    u = other.sequence("u", length=3, states=2)
    other.factor(Table(np.zeros((2, 2))), u[[0, 1]], u[[1, 2]])
    assert sliced(other.plan().blocks[0]) is None


def test_an_interface_beyond_the_bound_is_left_to_cliques():
    made = factorial(3, 4, 4)
    (block,) = made.plan().blocks
    assert interface_layout(made.plan(), 0, block, JunctionTree(max_size=4**4 - 1)) is None
    assert interface_layout(made.plan(), 0, block, JunctionTree(max_size=4**4)) is not None


def test_the_order_of_many_variables_is_greedy_and_complete():
    names = [f"v{k}" for k in range(14)]
    scopes = [(a, b) for a, b in pairwise(names)]
    order = elimination_order(scopes, names[:-1], dict.fromkeys(names, 2))
    assert sorted(order) == sorted(names[:-1])


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
def test_ten_thousand_slices(algebra, scale):
    """Two chains are one chain over pairs of states: totals and beliefs are equal, and nothing vanishes, with
    evidence of hundreds of nats a step, too."""
    K, T = 3, 10_000
    g = factorial(2, K, T, scale=scale)
    m = run(g, algebra, JunctionTree())
    assert interface_runs(m)[0].layout.largest == K**3
    flat = FactorGraph()
    pair = flat.sequence("pair", length=T, states=K * K)
    one, other = (g.factors[f"A{i}"].potential.source for i in range(2))
    step = one[:, None, :, None] + other[None, :, None, :]
    flat.factor(Table(np.full(K * K, -2 * math.log(K))), pair[0])
    flat.factor(Table(step.reshape(K * K, K * K)), pair[:-1], pair[1:])
    evidence = g.nodes["evidence"].value.reshape(T, K * K)
    flat.factor(Table(flat.parameter("evidence", evidence)), pair[:])
    truth = run(flat, algebra)
    assert m.total == pytest.approx(truth.total, rel=1e-12)
    joint = truth.belief["pair"].reshape(T, K, K)
    own = algebra.reduce(joint, (-1,))
    np.testing.assert_allclose(np.exp(m.belief["z0"]), np.exp(own), atol=1e-9)
    counts = m.parameters["evidence"].sum(axis=(1, 2))
    np.testing.assert_allclose(counts, np.ones(T), rtol=1e-9)


def test_impossible_evidence_names_the_slice():
    g = factorial(2, 2, 30)
    evidence = np.zeros((30, 2, 2))
    evidence[7] = -np.inf
    m = run(g, None, JunctionTree(), values={"evidence": evidence})
    assert m.total == -np.inf
    with pytest.raises(ImpossibleEvidenceError, match="up to row 7") as caught:
        m.belief["z0"]
    assert caught.value.step == 7
