"""A sparse chain is the chain of the full tables: same messages, counts in the shape of what is listed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import (
    Checkpointed,
    FactorGraph,
    FixedLag,
    ForwardOnly,
    MaxProduct,
    Sequential,
    Step,
    SumProduct,
    Table,
    Truncated,
    run,
)
from msgpass.errors import GraphError, ImpossibleEvidenceError, UnsupportedError
from msgpass.kernels import sparse_chain
from msgpass.sweeps.sparse_chain import SparseChainRun
from tests.msgpass.sparse_models import make, twins
from tests.oracles import finite_difference

CLOSE = {"rtol": 1e-9, "atol": 1e-11}
ALGEBRAS = [SumProduct(), MaxProduct()]


def close(left, right, **tolerance):
    np.testing.assert_allclose(left, right, **(tolerance or CLOSE))


def same_parameters(a, b, folds, **tolerance):
    for name, fold in folds.items():
        close(a.parameters[name], fold(b.parameters[name]), **tolerance)


@given(twins())
@settings(max_examples=150)
@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_everything_that_is_read_equals_the_full_chain(algebra, model):
    a, b = run(model.sparse, algebra), run(model.full, algebra)
    close(a.total, b.total)
    for kind in ("forward", "backward", "belief"):
        close(getattr(a, kind)["z"], getattr(b, kind)["z"])
    same_parameters(a, b, model.folds)
    close(a.totals("z"), b.totals("z"))
    for factor in model.sparse.factors:
        if factor != "link":
            close(a.belief[factor], b.belief[factor])
        elif len(model.sparse["link"]):
            close(a.belief["link"], model.folds["transition"](b.belief["link"]))
    if algebra.name == SumProduct().name:
        close(a.entropy("z"), b.entropy("z"))
        assert (a.sample("z", 1, n=5) == b.sample("z", 1, n=5)).all()
    else:
        assert (a.assignment["z"] == b.assignment["z"]).all()
        mine, other = a.k_best("z", 5), b.k_best("z", 5)
        close(mine.scores, other.scores)
        # Of paths that tie but for rounding, either may come first; so may what is impossible.
        with np.errstate(invalid="ignore"):
            apart = np.diff(mine.scores, axis=-1) < -1e-9
        alone = np.insert(apart[:, :-1], 0, True, axis=1) & apart
        first = model.sparse.nodes["z"].clock.offsets
        for n, chosen in enumerate(alone):
            rows = slice(first[n], first[n + 1])
            assert (mine.states[:-1, rows][chosen] == other.states[:-1, rows][chosen]).all()


@given(twins())
@settings(max_examples=60)
def test_large_chains_keep_sums_and_make_marginals_when_they_are_read(model):
    b = run(model.full)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_chain, "worth_lean", lambda logs: True)
        a = run(model.sparse)
        close(a.total, b.total)
        same_parameters(a, b, model.folds)
        assert "gamma" not in a._x.runs[0].__dict__
        close(a.belief["z"], b.belief["z"])
        close(a.entropy("z"), b.entropy("z"))


@given(twins())
@settings(max_examples=50)
@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_forward_only(algebra, model):
    a, b = run(model.sparse, algebra, ForwardOnly()), run(model.full, algebra)
    close(a.total, b.total)
    close(a.forward["z"], b.forward["z"])
    if algebra.name == SumProduct().name:
        assert (a.sample("z", 1, n=5) == b.sample("z", 1, n=5)).all()


@given(twins(max_length=4), st.sampled_from([FixedLag(1), Truncated(2, 3), Checkpointed(2)]))
@settings(max_examples=60)
def test_other_schedules(model, schedule):
    a, b = run(model.sparse, schedule=schedule), run(model.full, schedule=schedule)
    close(a.total, b.total)
    close(a.belief["z"], b.belief["z"])
    same_parameters(a, b, model.folds)


@given(twins(max_length=4))
@settings(max_examples=40)
@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_single_messages(algebra, model):
    a, b = run(model.sparse, algebra), run(model.full, algebra)
    for name, factor in model.sparse.factors.items():
        for t in range(len(factor)):
            for row in range(len(model.sparse["z"])):
                here, there = (factor[t], model.sparse["z"][row]), (model.full[name][t], model.full["z"][row])
                try:
                    wanted = b.message(*there)
                except GraphError:
                    with pytest.raises(GraphError):
                        a.message(*here)
                    continue
                close(a.message(*here), wanted)
                close(a.message(*here[::-1]), b.message(*there[::-1]))


@given(twins())
@settings(max_examples=40)
@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_messages_at_a_parameter_add_up_to_what_arrives(algebra, model):
    m = run(model.sparse, algebra)
    for factor in model.sparse.factors.values():
        for name in {p.name for p in factor.potential.parameters.values()}:
            own = [m.message(factor[t], model.sparse[name]) for t in range(len(factor))]
            close(sum(own, np.zeros(1)), m.parameters[name] if own else 0.0)


@given(twins(max_length=4))
@settings(max_examples=30)
def test_the_flat_graph_says_the_same(model):
    a, b = run(model.sparse), run(model.sparse.unroll())
    close(a.total, b.total)
    for factor in model.sparse.factors.values():
        for parameter in factor.potential.parameters.values():
            if not factor.potential.stepped(factor):
                close(a.parameters[parameter], b.parameters[parameter])
    assert set(model.sparse.factors) < set(model.sparse.to_networkx().nodes)


@given(twins(max_states=3, max_length=3))
@settings(max_examples=20)
@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_what_arrives_is_the_derivative(algebra, model):
    m = run(model.sparse, algebra)
    for name in model.folds:
        finite = np.isfinite(model.sparse[name].value)
        values = {name: np.where(finite, model.sparse[name].value, -30.0)}
        m = run(model.sparse, algebra, values=values)
        close(m.parameters[name], finite_difference(model.sparse, name, algebra, values), atol=1e-6)


@given(twins(), st.data())
@settings(max_examples=60)
@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_clamped_states(algebra, model, data):
    # A path that has probability, from a draw, so that the clamp is possible.
    path = run(model.sparse).sample("z", 0)
    keep = data.draw(st.lists(st.booleans(), min_size=len(path), max_size=len(path)))
    labels = np.where(keep, path, -1)
    a, b = (run(g, algebra, values={"z": labels}) for g in (model.sparse, model.full))
    close(a.total, b.total)
    close(a.belief["z"], b.belief["z"])
    same_parameters(a, b, model.folds)


@given(twins())
@settings(max_examples=40)
def test_conditioned_labels(model):
    path = run(model.sparse).sample("z", 0)
    for g in (model.sparse, model.full):
        g.condition(g["z"], path)
    a, b = run(model.sparse), run(model.full)
    close(a.total, b.total)
    same_parameters(a, b, model.folds)


def test_new_values_for_a_run(rng):
    model = make(rng, 5, [6, 2], ["symbols", "single"])
    fresh = rng.normal(size=model.sparse["transition"].shape)
    before = run(model.sparse).total
    again = run(model.sparse, values={"transition": fresh, "x": [0] * 8})
    full = np.full((5, 5), -np.inf)
    link = model.sparse["link"].potential
    full[link.rows, link.cols] = fresh
    b = run(model.full, values={"transition": full, "x": [0] * 8})
    close(again.total, b.total)
    same_parameters(again, b, model.folds)
    assert run(model.sparse).total == before


def test_float32(rng):
    for seed in range(5):
        made = [
            make(np.random.default_rng(seed), 6, [9, 4], ["dense", "single"], dtype=dtype)
            for dtype in (np.float32, np.float64)
        ]
        a, b = run(made[0].sparse), run(made[1].sparse)
        for name in made[0].folds:
            assert a.parameters[name].dtype == np.float32
            close(a.parameters[name], b.parameters[name], rtol=1e-4, atol=1e-5)
        assert a.belief["z"].dtype == a.forward["z"].dtype == np.float32


def test_scores_from_a_step(rng):
    model = make(rng, 4, [5], ["dense"])
    groups = model.sparse["local dense"].potential.groups
    value, results = model.sparse["dense"].value, []
    link = model.sparse["link"].potential
    for grouped in (True, False):
        g = FactorGraph()
        w = g.parameter("w", value)
        x, z = g.observe("x", np.arange(5.0)[:, None]), g.sequence("z", 5, 4)
        s = g.sequence("s", 5, shape=(value.shape[1] if grouped else 4,))
        pick = np.eye(value.shape[1]) if grouped else np.eye(value.shape[1])[:, groups]
        g.factor(Step(lambda x, w, pick=pick: np.tanh(x.sum() + w.sum(0)) @ pick), x[:], w, out=s[:])
        g.factor(Table.grouped(s[:], groups) if grouped else Table(s[:]), z[:])
        A = Table.sparse(link.source.value, link.rows, link.cols)
        g.factor(A, z[:-1], z[1:])
        results.append(run(g))
    close(results[0].total, results[1].total)
    close(results[0].parameters["w"], results[1].parameters["w"], rtol=1e-8, atol=1e-10)


# -- hard cases


def hard(scale, possible=True):
    """Two lines of states; evidence prefers the one that is not reached by hundreds of nats."""
    g = FactorGraph()
    z = g.sequence("z", [6, 4], 4)
    A = g.parameter("A", np.zeros(4))
    g.factor(Table.sparse(A, [0, 1, 2, 3], [1, 0, 3, 2]), z[:-1], z[1:], name="link")
    g.factor(Table([0.0, -np.inf, -3 * scale if possible else -np.inf, -np.inf]), z[0])
    evidence = np.zeros((10, 2))
    evidence[2, 0] = evidence[3, 0] = -scale if possible else -np.inf
    B = g.parameter("B", evidence)
    g.factor(Table.grouped(B, [0, 0, 1, 1]), z[:])
    return g


@pytest.mark.parametrize("scale", [10.0, 400.0, 2000.0])
def test_a_scale_that_vanishes_is_redone_in_logarithms(scale):
    g = hard(scale)
    a, b = run(g), run(g.unroll())
    close(a.total, b.total)
    close(a.parameters["A"], b.parameters["A"])
    close(a.belief["z"], np.stack([b.belief[f"z[{t}]"] for t in range(10)]))
    close(run(g, schedule=ForwardOnly()).total, b.total)


def test_one_hard_sequence_leaves_the_others_as_they_are(rng):
    """Evidence that only a state kept alive by a tiny message explains, in one of three sequences."""
    lengths, S = [5, 7, 5], 3
    init = np.log([1.0, 1e-200, 0.3])
    evidence = rng.normal(size=(17, S))
    evidence[11] = [-1e4, 0, -1e4]
    graphs = []
    for sparse in (True, False):
        g = FactorGraph()
        z = g.sequence("z", lengths, S)
        A = g.parameter("A", np.zeros(S + 1) if sparse else np.where(np.eye(S) > 0, 0, -np.inf))
        if not sparse:
            A = g.parameter("A2", np.where(np.eye(S) + np.eye(S, k=2) > 0, 0, -np.inf))
        g.factor(Table.sparse(A, [0, 1, 2, 0], [0, 1, 2, 2]) if sparse else Table(A), z[:-1], z[1:])
        g.factor(Table(g.parameter("E", evidence)), z[:])
        g.factor(Table(g.parameter("pi", init)), z[0])
        graphs.append(g)
    a, b = run(graphs[0]), run(graphs[1])
    close(a.total, b.total)
    close(a.parameters["E"], b.parameters["E"])
    close(a.parameters["pi"], b.parameters["pi"])
    close(a.parameters["A"], b.parameters["A2"][[0, 1, 2, 0], [0, 1, 2, 2]])


@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
@pytest.mark.parametrize("schedule", [Sequential(), ForwardOnly()])
def test_impossible_evidence_names_the_step(algebra, schedule):
    m = run(hard(1.0, possible=False), algebra, schedule)
    assert m.total == -np.inf
    with pytest.raises(ImpossibleEvidenceError, match="step 2 of sequence 0"):
        m.k_best("z", 1) if algebra.name == MaxProduct().name else m.sample("z", 0)
    if schedule == Sequential():
        with pytest.raises(ImpossibleEvidenceError, match="step 2 of sequence 0"):
            m.parameters["A"]


# -- size


def banded(S, T, width, rng):
    """A walk of S places that reaches ``width`` to each side, in groups of four."""
    here = np.repeat(np.arange(S), 2 * width + 1)
    there = here + np.tile(np.arange(-width, width + 1), S)
    inside = (there >= 0) & (there < S)
    here, there = here[inside], there[inside]
    g = FactorGraph()
    z = g.sequence("z", T, S)
    g.factor(
        Table.sparse(g.parameter("A", np.full(len(here), -np.log(2 * width + 1))), here, there), z[:-1], z[1:]
    )
    groups = np.arange(S) // 4
    g.factor(Table.grouped(g.parameter("B", rng.normal(size=(T, S // 4))), groups), z[:])
    g.factor(Table(np.full(S, -np.log(S))), z[0])
    return g


@pytest.mark.parametrize("algebra", ALGEBRAS, ids=["sum", "max"])
def test_ten_thousand_states(rng, algebra):
    """Exact against one state at a time would take a table of 800 MB; totals of counts need none."""
    g = banded(10_000, 7, 2, rng)
    m = run(g, algebra)
    assert isinstance(m._x.runs[0], SparseChainRun)
    close(m.parameters["A"].sum(), 6.0)
    close(m.parameters["B"].sum(axis=1), np.ones(7))
    # Raising all evidence of a step raises the total by as much.
    raised = g["B"].value + np.arange(7)[:, None]
    close(run(g, algebra, values={"B": raised}).total, m.total + 21)


def test_a_table_too_large_to_write_out_says_so(rng):
    g = banded(10_000, 3, 1, rng)
    for schedule in (FixedLag(1), Checkpointed(2)):
        with pytest.raises(UnsupportedError, match="SumProduct or MaxProduct with Sequential or ForwardOnly"):
            run(g, schedule=schedule)
