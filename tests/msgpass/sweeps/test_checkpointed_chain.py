"""Checkpointed chains of tables are Sequential ones, whatever is swept at a time."""

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, MaxProduct, SumProduct, Table, run
from msgpass.errors import ImpossibleEvidenceError
from msgpass.kernels import table_chain_checkpointed as checkpointed
from tests.msgpass.table_models import chain, chains, seeds

laws = settings(max_examples=120)
ALGEBRAS = pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@contextmanager
def at_a_time(entries):
    """A few entries at a time, so that small chains are long."""
    usual = checkpointed.ENTRIES, checkpointed.LONGER
    checkpointed.ENTRIES, checkpointed.LONGER = entries, 1
    try:
        yield
    finally:
        checkpointed.ENTRIES, checkpointed.LONGER = usual


def same(graph, algebra, slots, entries, *, rtol=1e-10, atol=1e-10, exact=False):
    """Everything that both schedules keep is equal."""
    wanted = run(graph, algebra)
    with at_a_time(entries):
        found = run(graph, algebra, Checkpointed(slots))
    pairs = [(found.total, wanted.total), (found.totals("z"), wanted.totals("z"))]
    pairs += [(found.parameters[name], wanted.parameters[name]) for name in wanted.parameters]
    if isinstance(algebra, MaxProduct):
        np.testing.assert_array_equal(found.assignment["z"], wanted.assignment["z"])
    for a, b in pairs:
        assert np.asarray(a).dtype == np.asarray(b).dtype
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@laws
@given(graph=chains(), slots=st.integers(1, 6), entries=st.integers(1, 9))
@ALGEBRAS
def test_checkpointed_is_sequential(algebra, graph, slots, entries):
    same(graph, algebra, slots, entries)


def random_chain(seed, K, lengths, dtype, *, paired=False, symbols=None, zeros=0.0):
    """A chain with log density or symbols (some missing) and sparse tables off a planted path."""
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    path = rng.integers(0, K, total)

    def table(shape, planted):
        values = rng.normal(0, 2, shape)
        gone = rng.random(shape) < zeros
        gone[planted] = False
        return np.where(gone, -np.inf, values).astype(dtype)

    firsts = np.cumsum([0, *lengths[:-1]])
    inside = np.setdiff1d(np.arange(total), firsts)
    steps = [np.arange(len(inside))] if paired else []
    shape = (len(inside), K, K) if paired else (K, K)
    g = FactorGraph()
    z = g.sequence("z", length=lengths if len(lengths) > 1 else lengths[0], states=K)
    g.factor(Table(g.parameter("initial", table((K,), path[firsts]))), z[0])
    g.factor(
        Table(g.parameter("transition", table(shape, (*steps, path[inside - 1], path[inside])))),
        z[:-1],
        z[1:],
    )
    if symbols is None:
        g.factor(Table(g.parameter("log_density", table((total, K), (np.arange(total), path)))), z[:])
    else:
        seen = rng.integers(-1, symbols, total)
        x = g.observe("x", seen, states=symbols)
        g.factor(Table(g.parameter("emission", table((K, symbols), (path, seen)))), z[:], x[:])
        g.factor(Table(g.parameter("bias", rng.normal(size=K).astype(dtype))), z[:])
    return g


@DTYPES
@ALGEBRAS
@settings(max_examples=60)
@given(
    seed=seeds,
    K=st.sampled_from([1, 2, 3, 5, 9, 17]),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    paired=st.booleans(),
    symbols=st.sampled_from([None, 2, 100]),
    zeros=st.sampled_from([0.0, 0.4]),
    slots=st.integers(1, 6),
    entries=st.integers(1, 200),
)
def test_stretches_of_any_chain(algebra, dtype, seed, K, lengths, paired, symbols, zeros, slots, entries):
    if sum(lengths) == len(lengths):
        lengths = [*lengths, 2]
    graph = random_chain(seed, K, lengths, dtype, paired=paired, symbols=symbols, zeros=zeros)
    rtol = 1e-10 if dtype == np.float64 else 2e-5
    same(graph, algebra, slots, entries, rtol=rtol, atol=rtol)


@DTYPES
@pytest.mark.parametrize("K", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("symbols", [None, 3], ids=["density", "symbols"])
def test_a_long_chain_in_segments_has_the_same_bits(K, symbols, dtype):
    length = 16_384 * 8 // K + 13
    graph = random_chain(K, K, [length], dtype, symbols=symbols)
    for entries in (20_000, 40_000, 1 << 19):
        if dtype == np.float64:
            same(graph, SumProduct(), 2, entries, exact=True)
        else:
            same(graph, SumProduct(), 2, entries, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("entries", [30, 10_000])
@pytest.mark.parametrize("evidence", [np.float32, np.float64])
def test_tables_of_two_dtypes(evidence, entries):
    rng = np.random.default_rng(2)
    other = np.float64 if evidence == np.float32 else np.float32
    g = FactorGraph()
    z = g.sequence("z", length=[60, 9], states=4)
    g.factor(Table(g.parameter("transition", rng.normal(size=(4, 4)).astype(other))), z[:-1], z[1:])
    g.factor(Table(g.parameter("density", rng.normal(size=(69, 4)).astype(evidence))), z[:])
    for algebra in (SumProduct(), MaxProduct()):
        same(g, algebra, 2, entries, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("K", "length"), [(3, 20_000), (12, 6000), (40, 2000)])
@pytest.mark.parametrize("symbols", [None, 5], ids=["density", "symbols"])
@ALGEBRAS
def test_vectorised_families(algebra, K, length, symbols):
    for lengths in ([length], [50] * (length // 50), [length // 2, 3, length // 3, 1, 500]):
        graph = random_chain(K, K, lengths, np.float64, symbols=symbols, zeros=0.1)
        same(graph, algebra, 3, 9000, rtol=1e-9, atol=1e-9)


def difficult(length, K, far, dtype=np.float64):
    """Hard zeros and evidence hundreds of nats apart: nothing is left of a linear message."""
    rng = np.random.default_rng(length)
    transition = np.full((K, K), -np.inf)
    transition[np.arange(K), np.arange(K)] = -0.1
    transition[np.arange(K - 1), np.arange(1, K)] = -2.0
    density = rng.normal(0, 1, (length, K))
    density[: length // 2, 1:] += far
    density[length // 2 :, 0] += far
    g = FactorGraph()
    z = g.sequence("z", length=length, states=K)
    initial = np.append(np.full(K - 1, -800.0), 0.0)
    g.factor(Table(g.parameter("initial", initial.astype(dtype))), z[0])
    g.factor(Table(g.parameter("transition", transition.astype(dtype))), z[:-1], z[1:])
    g.factor(Table(g.parameter("density", density.astype(dtype))), z[:])
    return g


@DTYPES
@pytest.mark.parametrize(("length", "entries"), [(40, 12), (3000, 1500)])
@pytest.mark.parametrize("K", [3, 11])
def test_vanishing_scales_are_redone_in_logarithms(length, entries, K, dtype):
    graph = difficult(length, K, 900.0, dtype)
    rtol = 1e-7 if dtype == np.float64 else 1e-4  # Sequential's own messages grow to −10⁶
    for slots in (1, 3):
        same(graph, SumProduct(), slots, entries, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("entries", [5, 20, 60, 3000])
@pytest.mark.parametrize(("lengths", "sequence", "step"), [([40], 0, 0), ([40], 0, 17), ([5, 30, 9], 1, 29)])
@pytest.mark.parametrize("symbols", [None, 3], ids=["density", "symbols"])
@ALGEBRAS
def test_impossible_evidence_is_named(algebra, lengths, sequence, step, symbols, entries):
    rng = np.random.default_rng(0)
    at, total = sum(lengths[:sequence]) + step, sum(lengths)
    g = FactorGraph()
    z = g.sequence("z", length=lengths if len(lengths) > 1 else lengths[0], states=3)
    g.factor(Table(g.parameter("transition", rng.normal(size=(3, 3)))), z[:-1], z[1:])
    if symbols is None:
        density = rng.normal(size=(total, 3))
        density[at] = -np.inf
        g.factor(Table(g.parameter("density", density)), z[:])
    else:
        seen, table = rng.integers(0, 2, total), rng.normal(size=(3, 3))
        seen[at], table[:, 2] = 2, -np.inf
        g.factor(Table(g.parameter("emission", table)), z[:], g.observe("x", seen, states=3)[:])
    with at_a_time(entries):
        m, wanted = run(g, algebra, Checkpointed(2)), run(g, algebra)
    assert m.total == -np.inf
    np.testing.assert_array_equal(np.isneginf(m.totals("z")), np.isneginf(wanted.totals("z")))
    reads = [lambda: m.parameters["transition"]]
    reads += [lambda: m.assignment["z"]] if isinstance(algebra, MaxProduct) else []
    for read in reads:
        with pytest.raises(ImpossibleEvidenceError, match=f"step {step}") as caught:
            read()
        assert caught.value.step == step
        assert (f"of sequence {sequence}" in str(caught.value)) == (len(lengths) > 1)


def test_ties_of_a_best_path_go_to_the_same_states():
    g = FactorGraph()
    z = g.sequence("z", length=300, states=6)
    rng = np.random.default_rng(1)
    g.factor(Table(rng.integers(0, 2, (6, 6)).astype(float)), z[:-1], z[1:])
    g.factor(Table(g.parameter("density", rng.integers(0, 2, (300, 6)).astype(float))), z[:])
    wanted = run(g, MaxProduct()).assignment["z"]
    for entries in (6, 60, 400):
        with at_a_time(entries):
            found = run(g, MaxProduct(), Checkpointed(3)).assignment["z"]
        np.testing.assert_array_equal(found, wanted)


def test_clamped_states_and_values_of_one_run():
    g = chain(np.random.default_rng(3), 3, [9, 4])
    clamp = np.full(13, -1)
    clamp[[2, 7]] = 1
    values = {"z": clamp, "emission": np.random.default_rng(4).normal(size=(3, 3))}
    for algebra in (SumProduct(), MaxProduct()):
        wanted = run(g, algebra, values=values)
        with at_a_time(7):
            found = run(g, algebra, Checkpointed(2), values=values)
        assert found.total == pytest.approx(wanted.total, rel=1e-12)
        for name in ("transition", "emission", "initial"):
            np.testing.assert_allclose(found.parameters[name], wanted.parameters[name], atol=1e-12)


def test_marginals_are_kept_only_where_a_parameter_asks_for_them():
    held = []
    for symbols in (None, 3):
        graph = random_chain(0, 4, [5000], np.float64, symbols=symbols)
        with at_a_time(4000):
            m = run(graph, schedule=Checkpointed(2))
        held.append(m._x.runs[0].counts.gamma)
    assert held[0].shape == (5000, 4)
    assert held[1] is None


def test_marginals_belong_to_the_parameter_that_asked_for_them():
    graph = random_chain(0, 3, [200], np.float64)
    with at_a_time(60):
        m = run(graph, schedule=Checkpointed(2))
        gamma = m._x.runs[0].counts.gamma
        assert m.parameters["log_density"].base is gamma, "no copy"
        m.parameters["log_density"][:] = 0
        m._x.runs[0].add_parameters(again := type(m._x.component_store)(m._x.values))
    np.testing.assert_allclose(again["log_density"].sum(axis=1), 1)
    np.testing.assert_allclose(again["transition"], m.parameters["transition"])


def test_a_small_chain_needs_no_compiler():
    code = (
        "import sys; from msgpass import *; g = FactorGraph(); z = g.sequence('z', length=4, states=2); "
        "a = g.parameter('a', [[0.0, 1.0], [1.0, 0.0]]); x = g.observe('x', [0, 1, 1, 0], states=2); "
        "g.factor(Table(a), z[:-1], z[1:]); g.factor(Table(a), z[:], x[:]); "
        "run(g, schedule=Checkpointed(2)).parameters['a']; print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
