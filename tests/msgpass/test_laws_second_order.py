"""Laws of Tangent over another algebra: gradients move as their differences say, and Hessians are
symmetric."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from msgpass import Adjoint, FactorGraph, Loss, MaxProduct, Step, Tangent, run
from msgpass.algebra.tangent import Dual
from msgpass.errors import NumericalError
from msgpass.nodes import Observation, Parameter
from tests.msgpass import gaussian_models, sparse_models, table_models
from tests.msgpass.mixed_models import mixed_graphs
from tests.msgpass.recurrence_models import KINDS, recurrences
from tests.msgpass.table_models import seeds
from tests.oracles import random_direction

STEP = 1e-5
DIFFERENCE = {"rtol": 1e-6, "atol": 2e-7}
EXACT = {"rtol": 1e-8, "atol": 1e-9}


def directions_of(graph, rng, kinds=Parameter):
    """A random direction of every real value; of a symmetric matrix a symmetric one."""
    found = {}
    for node in graph.nodes.values():
        if isinstance(node, kinds) and node.value.dtype.kind == "f":
            v = node.value
            square = v.ndim >= 2 and v.shape[-1] == v.shape[-2]
            symmetric = square and np.array_equal(v, np.swapaxes(v, -1, -2))
            found[node.name] = random_direction(rng, v, symmetric)
    return found


def moved(graph, directions, step):
    return {n: graph[n].value + step * d for n, d in directions.items()}


def check_against_differences(graph, seed, over=None, kinds=Parameter):
    """Value, gradient and their motion against two further runs; returns the messages."""
    directions = directions_of(graph, np.random.default_rng(seed), kinds)
    assume(directions)
    still, ahead, behind = (run(graph, over, values=moved(graph, directions, s)) for s in (0, STEP, -STEP))
    m = run(graph, Tangent(directions, over=over or {}))
    np.testing.assert_allclose(m.total.value, still.total, **EXACT)
    np.testing.assert_allclose(m.total.tangent, (ahead.total - behind.total) / (2 * STEP), **DIFFERENCE)
    for name in still.gradient:
        assert isinstance(m.gradient[name], Dual)
        np.testing.assert_allclose(m.gradient[name].value, still.gradient[name], **EXACT)
        difference = (ahead.gradient[name] - behind.gradient[name]) / (2 * STEP)
        np.testing.assert_allclose(m.gradient[name].tangent, difference, **DIFFERENCE, err_msg=name)
    return m, ahead, behind


def check_symmetry(graph, seed, over=None):
    """dᵀHe = eᵀHd."""
    rng = np.random.default_rng(seed)
    d, e = directions_of(graph, rng), directions_of(graph, rng)
    assume(d)
    products = []
    for one, other in ((d, e), (e, d)):
        m = run(graph, Tangent(one, over=over or {}))
        products.append(sum((m.parameters[n].tangent * other[n]).sum() for n in other))
    np.testing.assert_allclose(*products, **EXACT)


@settings(max_examples=60)
@given(recurrences(), seeds)
def test_recurrences(graph, seed):
    m, ahead, behind = check_against_differences(graph, seed, Adjoint(), (Parameter, Observation))
    for name in m.backward:
        for side in ("forward", "backward"):
            value, tangent = getattr(m, side)[name]
            difference = (getattr(ahead, side)[name] - getattr(behind, side)[name]) / (2 * STEP)
            np.testing.assert_allclose(tangent, difference, **DIFFERENCE)
            np.testing.assert_allclose(value, getattr(run(graph), side)[name], **EXACT)
    check_symmetry(graph, seed)


@settings(max_examples=60)
@given(table_models.chains(), seeds)
def test_chains_of_tables(graph, seed):
    m, ahead, behind = check_against_differences(graph, seed)
    for side in ("forward", "backward", "belief"):
        value, tangent = getattr(m, side)["z"]
        a, b = getattr(ahead, side)["z"], getattr(behind, side)["z"]
        there = np.isfinite(value)
        np.testing.assert_allclose(tangent[there], (a[there] - b[there]) / (2 * STEP), **DIFFERENCE)
        assert (tangent[~there] == 0).all()
    check_symmetry(graph, seed)


@settings(max_examples=30)
@given(st.one_of(table_models.trees(), table_models.sliced_trees()), seeds)
def test_trees_of_tables(graph, seed):
    m, ahead, behind = check_against_differences(graph, seed)
    for name in m._x.plan.owner:
        value, tangent = m.belief[name]
        a, b = ahead.belief[name], behind.belief[name]
        there = np.isfinite(value)
        np.testing.assert_allclose(tangent[there], (a[there] - b[there]) / (2 * STEP), **DIFFERENCE)
    check_symmetry(graph, seed)


@settings(max_examples=30)
@given(sparse_models.twins(), seeds)
def test_sparse_and_grouped_tables(twins, seed):
    check_against_differences(twins.sparse, seed)


@settings(max_examples=30)
@given(gaussian_models.chains(), seeds)
def test_gaussian_chains(graph, seed):
    try:
        m, ahead, behind = check_against_differences(graph, seed)
    except NumericalError as problem:
        assume("missing observations" not in str(problem))
        raise
    for part in ("mean", "cov"):
        value, tangent = getattr(m.belief["x"], part)
        a, b = getattr(ahead.belief["x"], part), getattr(behind.belief["x"], part)
        np.testing.assert_allclose(value, getattr(run(graph).belief["x"], part), **EXACT)
        np.testing.assert_allclose(tangent, (a - b) / (2 * STEP), **DIFFERENCE)
    check_symmetry(graph, seed)


@settings(max_examples=30)
@given(gaussian_models.trees(), seeds)
def test_gaussian_trees(graph, seed):
    check_against_differences(graph, seed)
    check_symmetry(graph, seed)


@settings(max_examples=30)
@given(mixed_graphs(), seeds)
def test_networks_that_score_tables(graph, seed):
    check_against_differences(graph, seed)
    check_symmetry(graph, seed)


@settings(max_examples=20)
@given(mixed_graphs(), seeds)
def test_structured_perceptrons(graph, seed):
    """Under MaxProduct the curvature is the network's: counts along the best path do not move."""
    check_against_differences(graph, seed, MaxProduct())


@settings(max_examples=50)
@given(table_models.chains(), seeds)
def test_the_best_score_is_piecewise_linear(graph, seed):
    """Counts along the best path do not move; what is summed out under it, missing data, has its
    curvature."""
    m, ahead, behind = check_against_differences(graph, seed, MaxProduct())
    for name in m.parameters:
        if name not in ("gappy", "transition"):
            assert not m.parameters[name].tangent.any()
    for side in ("forward", "backward", "belief"):
        value, tangent = getattr(m, side)["z"]
        a, b = getattr(ahead, side)["z"], getattr(behind, side)["z"]
        there = np.isfinite(value)
        np.testing.assert_allclose(tangent[there], (a[there] - b[there]) / (2 * STEP), **DIFFERENCE)


@settings(max_examples=20)
@given(sparse_models.twins(), seeds)
def test_the_best_score_of_sparse_tables(twins, seed):
    check_against_differences(twins.sparse, seed, MaxProduct())


UNROLLED = [k for k in KINDS if k != "attention"]


@settings(max_examples=20)
@given(recurrences(kinds=UNROLLED, lengths=st.integers(1, 4)), seeds)
def test_flat_is_sliced(graph, seed):
    """The same products on the graph with a node a step."""
    directions = directions_of(graph, np.random.default_rng(seed))
    m, flat = (run(g, Tangent(directions, over=Adjoint())) for g in (graph, graph.unroll()))
    for name in directions:
        np.testing.assert_allclose(flat.parameters[name].tangent, m.parameters[name].tangent, **EXACT)


def test_tasks_have_products_of_their_own(rng):
    g = FactorGraph()
    h, W = g.sequence("h", length=4, shape=(2,)), g.parameter("W", rng.normal(size=(2, 2)))
    g.factor(Step(lambda h, W: np.tanh(W @ h)), h.after(g.observe("h0", rng.normal(size=2))), W, out=h[:])
    g.factor(Loss(lambda h: (0.5 * h @ h, (h,)), task="one"), h[-1])
    g.factor(Loss(lambda h: ((h**3).sum(), (3 * h**2,)), task="two"), h[:])
    d = {"W": rng.normal(size=(2, 2))}
    m, ahead, behind = (
        run(g, Tangent(d, over=Adjoint())),
        *(run(g, values=moved(g, d, s)) for s in (STEP, -STEP)),
    )
    for task in ("one", "two"):
        found = m.tasks[task]
        for value, a, b in (
            (found.total, ahead.tasks[task].total, behind.tasks[task].total),
            (found.parameters["W"], ahead.tasks[task].parameters["W"], behind.tasks[task].parameters["W"]),
        ):
            np.testing.assert_allclose(value.tangent, (a - b) / (2 * STEP), **DIFFERENCE)
    np.testing.assert_allclose(
        m.tasks["one"].parameters["W"].tangent + m.tasks["two"].parameters["W"].tangent,
        m.parameters["W"].tangent,
    )


@given(table_models.trees(), seeds)
def test_the_best_score_of_trees(graph, seed):
    check_against_differences(graph, seed, MaxProduct())
