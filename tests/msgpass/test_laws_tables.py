"""Laws of SumProduct and MaxProduct under every exact schedule, on sliced and on flat graphs, against
enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import (
    Checkpointed,
    FactorGraph,
    ForwardOnly,
    MaxProduct,
    ParallelScan,
    Sequential,
    SumProduct,
    Table,
    run,
)
from tests.msgpass.laws import free_of_constant, latent_instances, neighbours
from tests.msgpass.table_models import chains, seeds, sliced_trees, trees
from tests.oracles import Enumeration, Flat, along, enumerate_chain, random_direction

TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}
GRADIENT = {"rtol": 2e-6, "atol": 1e-6}

laws = settings(max_examples=40)
models = st.one_of(chains(), trees(), sliced_trees())


@pytest.fixture(params=[SumProduct(), MaxProduct()], ids=["sum", "max"], scope="module")
def algebra(request):
    return request.param


@pytest.fixture(
    params=[Sequential(), Checkpointed(2), ParallelScan()],
    ids=["sequential", "checkpointed", "scan"],
    scope="module",
)
def schedule(request):
    return request.param


@pytest.fixture(params=[lambda g: g, lambda g: g.unroll()], ids=["sliced", "flat"], scope="module")
def layout(request):
    return request.param


def reduction(algebra):
    return "max" if isinstance(algebra, MaxProduct) else "sum"


def members_of(graph):
    """Index tuples of the aligned batch: () where there is none."""
    shape = next(
        (
            s
            for s in (
                getattr(n, "shape", ())
                for n in graph.nodes.values()
                if (n.discrete and hasattr(n, "clock")) or type(n).__name__ == "Variable"
            )
            if s
        ),
        (),
    )
    return list(np.ndindex(*shape))


def enumerated(graph, algebra, values=None):
    """One enumeration a member of the batch."""
    return {b: Enumeration(Flat.of(graph, values, b), reduction(algebra)) for b in members_of(graph)}


def read(mapping, handle):
    """Reading of one variable instance."""
    return mapping[handle.name] if not hasattr(handle, "node") else mapping[handle.node.name][handle.start]


@laws
@given(models)
def test_total(algebra, schedule, layout, graph):
    graph = layout(graph)
    wanted = sum(e.total for e in enumerated(graph, algebra).values())
    np.testing.assert_allclose(run(graph, algebra, schedule).total, wanted, **TOLERANCE)
    np.testing.assert_allclose(run(graph, algebra, ForwardOnly()).total, wanted, **TOLERANCE)


@laws
@given(models)
def test_beliefs_of_variables(algebra, schedule, layout, graph):
    graph = layout(graph)
    m, oracle = run(graph, algebra, schedule), enumerated(graph, algebra)
    for key, handle in latent_instances(graph):
        for b, e in oracle.items():
            np.testing.assert_allclose(
                np.exp(read(m.belief, handle)[b]), np.exp(e.marginal(key)), **TOLERANCE
            )


@laws
@given(models)
def test_beliefs_of_factors(algebra, schedule, layout, graph):
    graph = layout(graph)
    m, oracle = run(graph, algebra, schedule), enumerated(graph, algebra)
    for (name, j), keys in neighbours(graph, Table)[1].items():
        factor, joint = graph.factors[name], m.belief[name]
        joint = joint[j] if factor.stepped or factor.n > 1 else joint
        for b, e in oracle.items():
            np.testing.assert_allclose(np.exp(joint[b]), np.exp(e.marginal(*keys)), **TOLERANCE)


@settings(max_examples=20)
@given(models, seeds)
def test_what_arrives_at_a_parameter_is_the_derivative_of_total(algebra, schedule, layout, graph, seed):
    graph, rng = layout(graph), np.random.default_rng(seed)
    m = run(graph, algebra, schedule)
    for name in m.parameters:
        values, found = graph[name].value, m.parameters[name]
        direction = random_direction(rng, values)
        np.testing.assert_allclose(
            (found * direction).sum(), along(graph, name, direction, algebra, step=1e-6), **GRADIENT
        )
        np.testing.assert_array_equal(m.gradient[name], found)
        assert (found[np.isneginf(values)] == 0).all(), "a forbidden cell is never visited"


@laws
@given(models)
def test_the_assignment_is_a_best_one(schedule, layout, graph):
    graph = layout(graph)
    m = run(graph, MaxProduct(), schedule)
    scores = []
    for b, e in enumerated(graph, MaxProduct()).items():
        found = {key: int(read(m.assignment, handle)[b]) for key, handle in latent_instances(graph)}
        scores.append(e.score(found))
    np.testing.assert_allclose(sum(scores), m.total, **TOLERANCE)


@laws
@given(st.one_of(chains(batched=False), trees(), sliced_trees()))
def test_messages_at_a_variable_multiply_to_its_belief(algebra, schedule, layout, graph):
    graph = layout(graph)
    if members_of(graph) != [()]:
        return
    m, oracle = run(graph, algebra, schedule), Enumeration(Flat.of(graph), reduction(algebra))
    of_variable, _ = neighbours(graph, Table)
    for key, handle in latent_instances(graph):
        arriving = {f: m.message(graph.factors[f[0]][f[1]], handle) for f in of_variable[key]}
        both = sum(arriving.values())
        np.testing.assert_allclose(
            np.exp(both - oracle.reduce(both)), np.exp(oracle.marginal(key)), **TOLERANCE
        )
        for f in arriving:
            others = sum((arriving[o] for o in arriving if o != f), np.zeros_like(both))
            sent = m.message(handle, graph.factors[f[0]][f[1]])
            np.testing.assert_allclose(
                np.exp(free_of_constant(sent)), np.exp(free_of_constant(others)), **TOLERANCE
            )


@pytest.mark.parametrize("keeping", [Sequential(), ParallelScan()], ids=["sequential", "scan"])
@laws
@given(graph=chains(batched=False))
def test_forward_holds_slices_up_to_t_and_backward_the_later_ones(algebra, keeping, graph):
    m, full = run(graph, algebra, keeping), Flat.of(graph)
    z = graph["z"]
    for n, length in enumerate(z.clock.lengths):
        first = int(z.clock.offsets[n])
        own = Flat(
            {k: s for k, s in full.sizes.items() if first <= k[1] < first + length},
            [t for t in full.tables if first <= t[0][0][1] < first + length],
        )
        for t in range(first, first + length):
            past = Enumeration(own.only(lambda keys, t=t: all(k[1] <= t for k in keys)), reduction(algebra))
            later = Enumeration(own.only(lambda keys, t=t: any(k[1] > t for k in keys)), reduction(algebra))
            # Variables that the kept tables do not touch still count their states under the sum.
            spare = np.log(z.states) if not isinstance(algebra, MaxProduct) else 0.0
            ahead, behind = first + length - 1 - t, t - first
            np.testing.assert_allclose(m.forward["z"][t], past.message(("z", t)) - spare * ahead, **TOLERANCE)
            np.testing.assert_allclose(
                m.backward["z"][t], later.message(("z", t)) - spare * behind, **TOLERANCE
            )


@laws
@given(sliced_trees(spine_only=True))
def test_along_a_spine_forward_and_backward_are_cut_at_the_slice(algebra, graph):
    """The rows of z that other variables hang on: their teeth belong to the slice."""
    m, full, z = run(graph, algebra), Flat.of(graph), graph["z"]
    for first, length in zip(z.clock.offsets[:-1], z.clock.lengths, strict=True):
        sizes = {k: s for k, s in full.sizes.items() if first <= k[1] < first + length}
        own = Flat(sizes, [t for t in full.tables if t[0][0] in sizes])
        for t in range(first, first + length):
            past, later = (
                own.only(lambda keys, t=t: all(k[1] <= t for k in keys)),
                own.only(lambda keys, t=t: any(k[1] > t for k in keys)),
            )
            for found, flat in ((m.forward["z"][t], past), (m.backward["z"][t], later)):
                wanted = Enumeration(flat, reduction(algebra)).message(("z", t))
                np.testing.assert_allclose(free_of_constant(found), free_of_constant(wanted), **TOLERANCE)


@laws
@given(models, seeds)
def test_ties_are_traced_back_to_one_best_assignment(layout, graph, seed):
    """Whole-numbered tables: many best assignments, of which one is returned, whole."""
    rng, graph = np.random.default_rng(seed), layout(graph)
    values = {
        n: np.round(rng.integers(0, 2, node.value.shape).astype(float))
        for n, node in graph.nodes.items()
        if hasattr(node, "value") and not node.discrete
    }
    m = run(graph, MaxProduct(), values=values)
    scores = 0.0
    for b in members_of(graph):
        e = Enumeration(Flat.of(graph, values, b), "max")
        scores += e.score(
            {key: int(read(m.assignment, handle)[b]) for key, handle in latent_instances(graph)}
        )
    np.testing.assert_allclose(scores, m.total, **TOLERANCE)


@laws
@given(st.integers(1, 3), st.integers(1, 5), st.booleans(), seeds)
def test_a_chain_of_plain_arrays(algebra, states, length, varying, seed):
    """The same chain without a graph on the other side: arrays to enumeration."""
    rng = np.random.default_rng(seed)
    init, local = rng.normal(size=states), rng.normal(size=(length, states))
    transition = rng.normal(size=(length - 1, states, states) if varying and length > 1 else (states, states))
    g = FactorGraph()
    z = g.sequence("z", length=length, states=states)
    g.factor(Table(init), z[0])
    g.factor(Table(transition), z[:-1], z[1:], name="link")
    g.factor(Table(local), z[:])
    m, e = run(g, algebra), enumerate_chain(init, transition, local, reduction(algebra))
    np.testing.assert_allclose(m.total, e.total, **TOLERANCE)
    for t in range(length):
        np.testing.assert_allclose(m.belief["z"][t], e.marginal(t), **TOLERANCE)
        if t:
            np.testing.assert_allclose(m.belief["link"][t - 1], e.marginal(t - 1, t), **TOLERANCE)
    if isinstance(algebra, MaxProduct):
        assert m.assignment["z"].tolist() == [e.best[t] for t in range(length)]
