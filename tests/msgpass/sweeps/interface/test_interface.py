"""Every reading of a run from slice to slice, against enumeration of all assignments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import JunctionTree, MaxProduct, SumProduct, run
from msgpass.nodes import Observation, Parameter, Sequence
from msgpass.sweeps.interface import InterfaceRun
from tests.msgpass.sliced_models import sliced_models
from tests.oracles import Enumeration, Flat, places_of

ALGEBRAS = st.sampled_from([SumProduct(), MaxProduct()])
laws = settings(max_examples=80)
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def interface_runs(m):
    """Components that were run slice by slice."""
    return [r for r in m._x.runs.values() if isinstance(r, InterfaceRun)]


def truths(model, algebra):
    """(member, enumeration) of each member of the batch, over (name, row)."""
    reduction = "max" if isinstance(algebra, MaxProduct) else "sum"
    shape = next(n.shape for n in model.graph.nodes.values() if isinstance(n, Sequence))
    for member in np.ndindex(*shape):
        yield member, Enumeration(Flat.of(model.graph, model.values, member), reduction)


def own(reading, row, member):
    """One variable's reading."""
    return (reading if row < 0 else reading[row])[member]


@laws
@given(sliced_models(), ALGEBRAS)
def test_totals_and_beliefs(model, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    assert interface_runs(m)
    total = 0.0
    for member, truth in truths(model, algebra):
        total += truth.total
        for name, row in truth.keys:
            np.testing.assert_allclose(own(m.belief[name], row, member), truth.marginal((name, row)), **CLOSE)
    assert m.total == pytest.approx(total, rel=1e-9, abs=1e-9)


@laws
@given(sliced_models(), ALGEBRAS)
def test_beliefs_of_factors(model, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    found = {(f, j): k for f, j, k in instances(model.graph)}
    for member, truth in truths(model, algebra):
        for (name, j), keys in found.items():
            reading = m.belief[name]
            own = (
                reading[j]
                if model.graph.factors[name].stepped or model.graph.factors[name].n > 1
                else reading
            )
            np.testing.assert_allclose(own[member], truth.marginal(*keys), **CLOSE)


def instances(graph):
    """(factor, instance, keys of its latent variables)."""
    for factor in graph.factors.values():
        places = places_of(factor)
        for j in range(len(factor)):
            yield (
                factor.name,
                j,
                tuple(
                    (a.node.name, places[k][j])
                    for k, a in enumerate(factor.args)
                    if not isinstance(a.node, Observation)
                ),
            )


@laws
@given(sliced_models(single=False))
def test_forward_is_what_slices_so_far_say(model):
    m = run(model.graph, None, JunctionTree(), values=model.values)
    if not interface_runs(m):
        return
    flat = {member: Flat.of(model.graph, model.values, member) for member, _ in truths(model, SumProduct())}
    clock = next(n.clock for n in model.graph.nodes.values() if isinstance(n, Sequence))
    for member, every in flat.items():
        for name in (n for n, v in model.graph.nodes.items() if isinstance(v, Sequence)):
            for start, end in zip(clock.offsets[:-1], clock.offsets[1:], strict=True):
                for t in range(start, end):
                    so_far = Flat(
                        {k: s for k, s in every.sizes.items() if start <= k[1] <= t},
                        [(k, v) for k, v in every.tables if all(start <= r <= t for _, r in k)],
                    )
                    truth = Enumeration(so_far)
                    np.testing.assert_allclose(m.forward[name][t][member], truth.message((name, t)), **CLOSE)
                    both = m.forward[name][t][member] + m.backward[name][t][member]
                    whole = Enumeration(
                        Flat(
                            {k: s for k, s in every.sizes.items() if start <= k[1] < end},
                            [(k, v) for k, v in every.tables if all(start <= r < end for _, r in k)],
                        )
                    )
                    np.testing.assert_allclose(both, whole.message((name, t)), **CLOSE)


@settings(max_examples=30)
@given(sliced_models(zeros=0.0), ALGEBRAS)
def test_parameters_are_gradients(model, algebra):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    for name in (n for n, v in model.graph.nodes.items() if isinstance(v, Parameter)):
        direction = np.random.default_rng(0).normal(size=model.graph.nodes[name].value.shape)
        step, sides = 1e-6, []
        for sign in (1, -1):
            moved = {**model.values, name: model.graph.nodes[name].value + sign * step * direction}
            sides.append(run(model.graph, algebra, JunctionTree(), values=moved).total)
        slope = (sides[0] - sides[1]) / (2 * step)
        assert np.sum(m.parameters[name] * direction) == pytest.approx(slope, rel=1e-5, abs=1e-6)


@laws
@given(sliced_models())
def test_the_best_assignment(model):
    m = run(model.graph, MaxProduct(), JunctionTree(), values=model.values)
    for member, truth in truths(model, MaxProduct()):
        found = {key: int(own(m.assignment[key[0]], key[1], member)) for key in truth.keys}
        assert truth.score(found) == pytest.approx(truth.total, rel=1e-9, abs=1e-9)


@laws
@given(sliced_models())
def test_entropies_and_totals_add_up(model):
    m = run(model.graph, None, JunctionTree(), values=model.values)
    wanted = 0.0
    for _, truth in truths(model, SumProduct()):
        logs = truth.joint - truth.total
        wanted -= np.sum(np.exp(logs) * np.where(logs > -np.inf, logs, 0.0))
    assert m.totals("z1").sum() == pytest.approx(m.total, abs=1e-9)
    assert m.entropy("z1").sum() == pytest.approx(wanted, abs=1e-8)


@laws
@given(sliced_models(batched=False), st.integers(1, 12))
def test_the_best_k(model, k):
    m = run(model.graph, MaxProduct(), JunctionTree(), values=model.values)
    ((_, truth),) = truths(model, MaxProduct())
    names = {name for name, _ in truth.keys}
    found = {name: m.k_best(name, k) for name in names}
    scores = found["z0"].scores
    if len(scores) > 1:  # independent parts: the sum of their best is the best of all
        assert scores[:, 0].sum() == pytest.approx(truth.total, abs=1e-9)
        return
    wanted = np.sort(truth.joint.ravel())[::-1][:k]
    wanted = np.concatenate([wanted, np.full(k - len(wanted), -np.inf)])
    np.testing.assert_allclose(scores[0], wanted, **CLOSE)
    seen = set()
    for rank in np.flatnonzero(scores[0] > -np.inf):
        states = {key: int(own(found[key[0]].states[rank], key[1], ())) for key in truth.keys}
        assert truth.score(states) == pytest.approx(scores[0, rank], abs=1e-9)
        seen.add(tuple(states.values()))
    assert len(seen) == np.sum(scores[0] > -np.inf)


@settings(max_examples=10)
@given(sliced_models(batched=False, most=60))
def test_draws_have_the_posterior_s_frequencies(model):
    m = run(model.graph, None, JunctionTree(), values=model.values)
    ((_, truth),) = truths(model, SumProduct())
    n = 4000
    draws = {name: m.sample(name, 7, n=n) for name in {name for name, _ in truth.keys}}
    columns = [draws[name][:, row] if row >= 0 else draws[name] for name, row in truth.keys]
    seen = np.zeros(truth.joint.shape)
    np.add.at(seen, tuple(columns), 1 / n)  # one seed: variables are drawn together
    p = np.exp(truth.joint - truth.total)
    assert (seen[p == 0] == 0).all()
    assert np.abs(seen - p).max() < 5 * np.sqrt(0.25 / n)


@laws
@given(sliced_models(), ALGEBRAS, st.integers(0, 10**6))
def test_joints_over_several_slices(model, algebra, seed):
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    for member, truth in truths(model, algebra):
        rng = np.random.default_rng(seed)
        keys = [truth.keys[i] for i in rng.permutation(len(truth.keys))[:3]]
        nodes = model.graph.nodes
        found = m.joint(*(nodes[name] if row < 0 else nodes[name][row] for name, row in keys))
        np.testing.assert_allclose(found[member], truth.marginal(*keys), **CLOSE)
