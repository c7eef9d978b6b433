"""Every exact reading of a junction tree, against enumeration of all assignments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, JunctionTree, MaxProduct, SumProduct, Table, run
from msgpass.nodes import Parameter, Sequence
from tests.msgpass.loopy_models import loopy_models
from tests.oracles import Enumeration, Flat


class PlainSum(SumProduct):
    """An algebra of one's own, which the reference runs."""


class PlainMax(MaxProduct):
    """An algebra of one's own, which the reference runs."""


ALGEBRAS = st.sampled_from([SumProduct(), MaxProduct(), PlainSum(), PlainMax()])
ORDERS = st.sampled_from(JunctionTree.ORDERS)
laws = settings(max_examples=60)


def close(graph):
    """A missing symbol is summed out of a float32 table in float32."""
    single = any(n.value.dtype == np.float32 for n in graph.nodes.values() if isinstance(n, Parameter))
    return {"rtol": 1e-6, "atol": 1e-6} if single else {"rtol": 1e-9, "atol": 1e-9}


def enumerations(model, algebra):
    """(member, enumeration) of each member of the batch, over the unrolled graph's keys."""
    reduction = "max" if isinstance(algebra, MaxProduct) else "sum"
    flat = model.graph.unroll()
    values = {n: v for n, v in model.values.items()}
    shape = next((n.shape for n in flat.nodes.values() if n.discrete), ())
    for member in np.ndindex(*shape):
        yield member, Enumeration(Flat.of(flat, values, member), reduction)


def rows_of(graph):
    """(node, row, name in the unrolled graph) of every latent variable."""
    for node in graph.nodes.values():
        if isinstance(node, Sequence):
            for r in range(node.clock.total):
                yield node, r, f"{node.name}[{r}]"
        elif type(node).__name__ == "Variable":
            yield node, -1, node.name


@laws
@given(loopy_models(), ALGEBRAS, ORDERS)
def test_totals_and_beliefs(model, algebra, order):
    m = run(model.graph, algebra, JunctionTree(order), values=model.values)
    total = 0.0
    for member, truth in enumerations(model, algebra):
        total += truth.total
        for node, row, name in rows_of(model.graph):
            own = m.belief[node.name] if row < 0 else m.belief[node.name][row]
            np.testing.assert_allclose(own[member], truth.marginal((name, -1)), **close(model.graph))
    assert m.total == pytest.approx(total, rel=close(model.graph)["rtol"], abs=1e-9)


@laws
@given(loopy_models(), ALGEBRAS)
def test_beliefs_of_factors(model, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    flat = model.graph.unroll()
    for member, truth in enumerations(model, algebra):
        for name, factor in model.graph.factors.items():
            beliefs = m.belief[name]
            for j in range(factor.n):
                own = beliefs[j] if factor.n > 1 or factor.stepped else beliefs
                args = flat.factors[f"{name}[{j}]" if f"{name}[{j}]" in flat.factors else name].args
                keys = [(a.node.name, -1) for a in args if type(a.node).__name__ == "Variable"]
                np.testing.assert_allclose(own[member], truth.marginal(*keys), **close(model.graph))


def differences(model, name, algebra, step=1e-5):
    """∂total/∂ every entry of a parameter."""
    start = model.graph.nodes[name].value
    found = np.zeros_like(start)
    for place in np.ndindex(*start.shape):
        ends = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            values = {**model.values, name: moved}
            ends.append(run(model.graph, algebra, JunctionTree(), values=values).total)
        found[place] = (ends[0] - ends[1]) / (2 * step)
    return found


@laws
@given(loopy_models(zeros=0.0), ALGEBRAS)
def test_what_arrives_at_parameters_is_the_gradient(model, algebra):
    graph = model.graph
    m = run(graph, algebra, JunctionTree(), values=model.values)
    for name in list(m.parameters)[:3]:
        if graph.nodes[name].value.dtype == np.float32:
            continue
        wanted = differences(model, name, algebra)
        np.testing.assert_allclose(m.parameters[name], wanted, rtol=2e-6, atol=1e-6)


@laws
@given(loopy_models())
def test_counts_add_up_and_hard_zeros_stay(model):
    m = run(model.graph, schedule=JunctionTree(), values=model.values)
    for factor in model.graph.factors.values():
        parameter = factor.potential.source
        counts = m.parameters[parameter.name]
        assert counts.sum() == pytest.approx(factor.n * np.prod(factor.args[0].shape), rel=1e-6)
        assert (counts[np.isneginf(parameter.value)] == 0).all()


@laws
@given(loopy_models(), st.sampled_from([MaxProduct(), PlainMax()]))
def test_the_best_assignment_is_a_best_one(model, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    for member, truth in enumerations(model, MaxProduct()):
        found = {}
        for node, row, name in rows_of(model.graph):
            states = m.assignment[node.name] if row < 0 else m.assignment[node.name][row]
            found[name, -1] = int(states[member])
        assert truth.score(found) == pytest.approx(truth.total, rel=close(model.graph)["rtol"], abs=1e-9)


@laws
@given(loopy_models(), st.integers(1, 6), st.sampled_from([MaxProduct(), PlainMax()]))
def test_the_best_k(model, k, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    block = m._x.plan.blocks[0]
    if len(m._x.plan.blocks) > 1 or len(m.totals(block.nodes[0])) > 1:
        return  # each part has a list of its own: test_each_part_has_its_own_list
    ((_, truth),) = enumerations(model, MaxProduct())
    scores = np.sort(truth.joint.ravel())[::-1][:k]
    scores = np.pad(scores, (0, k - len(scores)), constant_values=-np.inf)
    ranked = {n: m.k_best(n, k) for n in block.nodes}
    seen = set()
    for rank in range(k):
        own = {}
        for node, row, name in rows_of(model.graph):
            states = ranked[node.name].states[rank]
            own[name, -1] = int(states if row < 0 else states[row])
        assert ranked[node.name].scores[0, rank] == pytest.approx(scores[rank], rel=1e-6, abs=1e-9)
        if np.isfinite(scores[rank]):
            assert truth.score(own) == pytest.approx(scores[rank], rel=1e-6, abs=1e-9)
            seen.add(tuple(own.values()))
        else:
            assert set(own.values()) == {-1}
    assert len(seen) == np.isfinite(scores).sum()


@laws
@given(loopy_models(), st.sampled_from([SumProduct(), PlainSum()]))
def test_entropies_and_totals_add_up(model, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    entropy = wanted = 0.0
    for _, truth in enumerations(model, algebra):
        p = np.exp(truth.joint - truth.total)
        wanted -= np.sum(p * np.where(p > 0, truth.joint - truth.total, 0.0))
    if type(algebra) is SumProduct:
        for block in m._x.plan.blocks:
            entropy += m.entropy(block.nodes[0]).sum()
        assert entropy == pytest.approx(wanted, rel=1e-6, abs=1e-8)
    total = sum(m.totals(b.nodes[0]).sum() for b in m._x.plan.blocks)
    assert total == pytest.approx(m.total, rel=1e-12, abs=1e-12)


@laws
@given(loopy_models(), ALGEBRAS, st.integers(0, 10**6))
def test_joints_of_any_variables(model, algebra, seed):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    rows = list(rows_of(model.graph))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:3]
    asked = [rows[i][0] if rows[i][1] < 0 else rows[i][0][rows[i][1]] for i in chosen]
    found = m.joint(*asked)
    for member, truth in enumerations(model, algebra):
        keys = [(rows[i][2], -1) for i in chosen]
        np.testing.assert_allclose(found[member], truth.marginal(*keys), **close(model.graph))


@settings(max_examples=6)
@given(loopy_models(batched=False))
def test_draws_have_the_posterior_s_frequencies(model):
    m = run(model.graph, schedule=JunctionTree(), values=model.values)
    for node in {id(n): n for n, *_ in rows_of(model.graph)}.values():
        draws = m.sample(node.name, 1, 20_000)
        for state in range(node.states):
            np.testing.assert_allclose(
                (draws == state).mean(axis=0), np.exp(m.belief[node.name])[..., state], atol=0.02
            )


@laws
@given(loopy_models(batched=False), ALGEBRAS)
def test_cliques_and_their_messages(model, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    ((_, truth),) = enumerations(model, algebra)
    if not any(hasattr(r.layout, "tree") for r in m._x.runs.values()):
        return
    for c in m.cliques:
        belief = c.belief
        wanted = truth.marginal(*((name, -1) for name in c.variables))
        np.testing.assert_allclose(belief, wanted, **close(model.graph))
        if c.parent is None:
            continue
        # What both say of a separator is its belief, but for a constant.
        both = c.up + c.down
        own = truth.marginal(*((name, -1) for name in c.separator))
        np.testing.assert_allclose(both - both.max(), own - own.max(), rtol=1e-6, atol=1e-6)
        assert c.number in m.cliques[c.parent].children


@laws
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([1.0, 3000.0]))
def test_runs_with_other_evidence_leave_no_traces(seed, batched, scale):
    # scale=3000: numbers vanish, so that the tables' logarithms are masked as well
    rng, shape = np.random.default_rng(seed), (2,) if batched else ()
    tables = [scale * rng.normal(size=(3, 3)) for _ in range(5)]

    def ring():
        g = FactorGraph()
        v = [g.variable(f"v{k}", states=3, shape=shape) for k in range(4)]
        for (i, j), table in zip([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)], tables, strict=True):
            g.factor(Table(g.parameter(f"p{i}{j}", table)), v[i], v[j])
        return g

    kept = ring()
    for _ in range(6):
        values = {f"v{k}": rng.integers(-1, 3, size=shape) for k in rng.choice(4, rng.integers(3), False)}
        if rng.random() < 0.3:
            values["p12"] = scale * rng.normal(size=(3, 3))
        algebra = (SumProduct(), MaxProduct())[rng.integers(2)]
        found, wanted = (run(g, algebra, JunctionTree(), values) for g in (kept, ring()))
        assert found.total == wanted.total
        for name in ("v0", "v3"):
            np.testing.assert_array_equal(found.belief[name], wanted.belief[name])
            if values.get(name) is not None:
                for b in np.ndindex(shape):
                    if values[name][b] >= 0:
                        assert found.belief[name][b][values[name][b]] == 0.0
