"""Draws, the best k, entropies and totals of parts, on chains and trees, against enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, FixedLag, ForwardOnly, MaxProduct, Table, run
from msgpass.errors import DataError, ImpossibleEvidenceError, UnavailableError, UnsupportedError
from msgpass.kernels.chain_paths import draw_paths_reference, ranked_paths
from msgpass.kernels.chain_reference import log_sweep, maximum
from msgpass.nodes import Sequence, Variable
from tests.msgpass.table_models import chain, chains, seeds, sliced_trees, trees
from tests.oracles import Enumeration, Flat

few = settings(max_examples=60)
models = st.one_of(chains(), sliced_trees(), trees())
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


def members(graph):
    """Shape of the aligned batch."""
    latent = (n for n in graph.nodes.values() if isinstance(n, Sequence | Variable) and n.discrete)
    return next((n.shape for n in latent if n.shape), ())


def parts(graph, name):
    """(member, enumeration) of every part that holds rows of a variable, in the order of its rows."""
    found = []
    for member in np.ndindex(*members(graph)):
        flat = Flat.of(graph, member=member)
        group = {key: {key} for key in flat.sizes}
        for keys, _ in flat.tables:
            merged = set().union(*(group[k] for k in keys)) if keys else set()
            group |= dict.fromkeys(merged, merged)
        for keys in {min(g): g for g in group.values() if any(k[0] == name for k in g)}.values():
            inside = [k for k in flat.sizes if k in keys]
            own = Flat({k: flat.sizes[k] for k in inside}, [t for t in flat.tables if set(t[0]) & keys])
            first = min(row for other, row in keys if other == name)
            found.append((first, member, Enumeration(own)))
    return [(member, e) for _, member, e in sorted(found, key=lambda f: f[:2])]


def some_variable(graph, seed):
    names = sorted({name for name, _ in Flat.of(graph, member=next(np.ndindex(*members(graph)))).sizes})
    return names[seed % len(names)]


def own_states(states, e, name, member):
    """States of a part's rows of a variable, (n, rows)."""
    rows = [row for other, row in e.keys if other == name]
    places = [(slice(None), *((row,) if row >= 0 else ()), *member) for row in rows]
    return np.stack([states[place] for place in places], axis=1)


@few
@given(models, seeds)
def test_totals_of_parts(graph, seed):
    name = some_variable(graph, seed)
    wanted = [e.total for _, e in parts(graph, name)]
    for schedule in (None, ForwardOnly(), Checkpointed(2)):
        np.testing.assert_allclose(run(graph, schedule=schedule).totals(name), wanted, **TOLERANCE)
    best = [e.joint.max() for _, e in parts(graph, name)]
    np.testing.assert_allclose(run(graph, MaxProduct()).totals(name), best, **TOLERANCE)


@few
@given(models, seeds, st.integers(1, 40))
def test_the_best_k_assignments(graph, seed, k):
    name = some_variable(graph, seed)
    found = run(graph, MaxProduct()).k_best(name, k)
    for scores, (member, e) in zip(found.scores, parts(graph, name), strict=True):
        possible = np.sort(e.joint[e.joint > -np.inf])[::-1][:k]
        np.testing.assert_allclose(scores[: len(possible)], possible, **TOLERANCE)
        assert (scores[len(possible) :] == -np.inf).all()
        states = own_states(found.states, e, name, member)
        assert (states[len(possible) :] == -1).all()
        axes = [i for i, key in enumerate(e.keys) if key[0] == name]
        over = tuple(i for i in range(e.joint.ndim) if i not in axes)
        reachable = e.joint.max(axis=over)
        for score, path in zip(possible, states, strict=False):
            assert reachable[tuple(path)] >= score - 1e-9 * max(1, abs(score))
        if not over:
            assert len({tuple(p) for p in states[: len(possible)].tolist()}) == len(possible)
            on_path = [e.joint[tuple(p)] for p in states[: len(possible)]]
            np.testing.assert_allclose(on_path, possible, **TOLERANCE)


@few
@given(models, seeds)
def test_entropy(graph, seed):
    name = some_variable(graph, seed)
    wanted = []
    for _, e in parts(graph, name):
        log_p = e.joint[e.joint > -np.inf] - e.total
        wanted.append(-np.sum(np.exp(log_p) * log_p))
    np.testing.assert_allclose(run(graph).entropy(name), wanted, **TOLERANCE)


@settings(max_examples=30)
@given(models, seeds)
def test_draws_follow_the_posterior(graph, seed):
    name, n = some_variable(graph, seed), 3000
    draws = run(graph, schedule=ForwardOnly()).sample(name, seed, n=n)
    for member, e in parts(graph, name):
        states = own_states(draws, e, name, member)
        axes = [i for i, key in enumerate(e.keys) if key[0] == name]
        over = tuple(i for i in range(e.joint.ndim) if i not in axes)
        p = np.exp(e.joint - e.total).sum(axis=over)
        counts = np.zeros(p.shape)
        np.add.at(counts, tuple(states.T), 1)
        assert not counts[p == 0].any()
        # Bernstein: each of at most 1500 frequencies is off by more with a chance below 1e-9.
        np.testing.assert_array_less(
            np.abs(counts / n - p), 6.5 * np.sqrt(np.maximum(p * (1 - p), 0) / n) + 16 / n
        )


@given(seeds, st.sampled_from(["shared", "by step"]), st.sampled_from([1.0, 300.0]))
def test_compiled_draws_are_those_of_the_reference(seed, transition, scale):
    from msgpass.kernels.table_chain_draw import draw

    rng = np.random.default_rng(seed)
    K, lengths = int(rng.integers(1, 5)), rng.integers(1, 9, 3)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    pairs = () if transition == "shared" else (offsets[-1] - 3,)
    table = scale * rng.normal(size=(*pairs, K, K))
    alpha = scale * rng.normal(size=(offsets[-1], K))
    alpha[rng.random(alpha.shape) < 0.2] = -np.inf
    alpha[(alpha == -np.inf).all(axis=1)] = 0
    uniforms, paths = rng.random((5, offsets[-1])), np.empty((5, offsets[-1]), np.int64)
    draw(alpha, np.swapaxes(table.reshape(-1, K, K), 1, 2).copy(), offsets, uniforms, paths)
    np.testing.assert_array_equal(paths, draw_paths_reference(alpha, table, offsets, uniforms))


def test_draws_of_a_long_chain_have_its_pair_beliefs(rng):
    graph = chain(rng, 3, [4000], locals_=("first", "emission"))
    m = run(graph)
    draws = m.sample("z", 1, n=200)
    for k in range(3):
        np.testing.assert_allclose((draws == k).mean(axis=0), np.exp(m.belief["z"][:, k]), atol=0.2)
        np.testing.assert_allclose((draws == k).mean(), np.exp(m.belief["z"][:, k]).mean(), atol=0.01)
    stays = (draws[:, 1:] == draws[:, :-1]).mean()
    pairs = np.exp(m.belief["link"])
    assert stays == pytest.approx(np.trace(pairs, axis1=1, axis2=2).mean(), abs=0.01)


def test_many_best_paths_of_a_long_chain_are_sorted_distinct_and_scored_right(rng):
    K, T = 4, 3000
    table, local = rng.normal(size=(K, K)), rng.normal(size=(T, K))
    alpha = log_sweep(np.zeros(K), np.broadcast_to(table, (T - 1, K, K)), local, maximum)[0]
    scores, paths = ranked_paths(alpha, table, 50)
    assert (np.diff(scores) <= 0).all() and len(np.unique(paths, axis=0)) == 50
    joint = local[np.arange(T), paths].sum(axis=1) + table[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    np.testing.assert_allclose(scores, joint, rtol=1e-12)


def test_one_draw_has_no_axis_of_draws_and_seeds_repeat(rng):
    graph = chain(rng, 2, [4, 3])
    m = run(graph)
    assert m.sample("z", 3).shape == (7,) and m.sample(graph["z"], 3, n=1).shape == (1, 7)
    np.testing.assert_array_equal(m.sample("z", 3), m.sample("z", np.random.default_rng(3)))


def test_what_is_refused(rng):
    graph = chain(rng, 2, [4])
    m, best = run(graph), run(graph, MaxProduct())
    for ask in (best.sample, best.entropy):
        with pytest.raises(UnsupportedError, match="use SumProduct"):
            ask("z")
    with pytest.raises(UnsupportedError, match="use MaxProduct"):
        m.k_best("z", 2)
    with pytest.raises(DataError, match="k must be a whole number"):
        best.k_best("z", 0)
    with pytest.raises(DataError, match="number of draws"):
        m.sample("z", 0, n=0)
    with pytest.raises(UnavailableError, match="ForwardOnly has no posteriors"):
        run(graph, schedule=ForwardOnly()).entropy("z")
    with pytest.raises(UnsupportedError, match="evidence of its own"):
        run(graph, schedule=FixedLag(1)).entropy("z")
    with pytest.raises(UnavailableError, match="not a latent discrete variable"):
        m.totals("x")


def test_a_fixed_lag_run_still_draws_from_the_whole_posterior(rng):
    graph = chain(rng, 2, [5])
    draws = run(graph, schedule=FixedLag(1)).sample("z", 0, n=20)
    np.testing.assert_array_equal(draws, run(graph).sample("z", 0, n=20))


def test_impossible_evidence():
    g = FactorGraph()
    z = g.sequence("z", length=2, states=2)
    g.factor(Table([0.0, -np.inf]), z[0])
    g.factor(Table([[-np.inf, -np.inf], [0.0, 0.0]]), z[:-1], z[1:])
    for layout in (g, g.unroll()):
        name = "z" if layout is g else next(n for n in layout.nodes if n.startswith("z"))
        assert run(layout).totals(name)[0] == -np.inf
        for ask in (lambda m, n: m.sample(n, 0), lambda m, n: m.entropy(n)):
            with pytest.raises(ImpossibleEvidenceError):
                ask(run(layout), name)
        with pytest.raises(ImpossibleEvidenceError):
            run(layout, MaxProduct()).k_best(name, 2)
