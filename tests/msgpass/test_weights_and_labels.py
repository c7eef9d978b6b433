"""Components that contribute with a weight and to a task, labels that a run may replace, tables that a step
computes once or with hard zeros."""

import numpy as np
import pytest
from hypothesis import given

from msgpass import Checkpointed, FactorGraph, Loss, MaxProduct, Step, SumProduct, Table, check_gradients, run
from msgpass.errors import DataError, GraphError, ImpossibleEvidenceError
from tests.msgpass.mixed_models import mixed_graphs
from tests.msgpass.table_models import seeds
from tests.oracles import Enumeration, Flat, enumerate_chain

T, B, K = 5, 2, 3


def crf(rng, labels=None, batch=(), weight=None, task=None):
    """Scores by a linear step, a transition computed from two parameters, all steps sharing it."""
    g = FactorGraph()
    w = g.parameter("w", rng.normal(size=(*batch, K)))
    s = g.sequence("s", length=T, shape=(*batch, K))
    g.factor(Step(lambda x, w: x * w), g.observe("x", rng.normal(size=(T, *batch, K)))[:], w, out=s[:])
    a = g.variable("a", shape=(K, K))
    g.factor(
        Step(lambda u, v: u[:, None] * v[None, :]), *(g.parameter(n, rng.normal(size=K)) for n in "uv"), out=a
    )
    z = g.sequence("z", length=T, states=K, shape=batch)
    g.factor(Table(s[:]), z[:])
    g.factor(Table(a), z[:-1], z[1:], name="link")
    if labels is not None:
        g.condition(z, g.observe("labels", labels, states=K))
    if weight is not None:
        g.weigh(z, g.observe("weight", weight), task)
    return g


@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
@pytest.mark.parametrize("batch", [(), (B,)])
def test_one_variable_is_the_table_of_all_steps(algebra, batch, rng):
    labels = rng.integers(0, K, (T, *batch))
    m = run(crf(rng, labels, batch), algebra)
    scores, link = m.forward["s"].reshape(T, -1, K), np.outer(m.graph["u"].value, m.graph["v"].value)
    reduction = "sum" if isinstance(algebra, SumProduct) else "max"
    wanted = 0.0
    for b in range(scores.shape[1]):
        every = enumerate_chain(np.zeros(K), link, scores[:, b], reduction)
        wanted += every.total - every.score(dict(enumerate(labels.reshape(T, -1)[:, b].tolist())))
    assert m.total == pytest.approx(wanted, rel=1e-12)
    check_gradients(m.graph, algebra=algebra)


@pytest.mark.parametrize("labels", ["all", "some"])
def test_second_derivatives_and_schedules_know_weights(labels, rng):
    given = rng.integers(0, K, T)
    if labels == "some":
        given[[1, 3]] = -1
    g = crf(rng, given, weight=0.3, task="tags")
    g.factor(Loss(lambda w: (0.5 * w @ w, (w,))), g["w"])
    check_gradients(g, hvp=True)
    m, half = run(g), run(g, values={"weight": 0.15})
    assert set(m.tasks) == {"tags"}
    assert half.tasks["tags"].total == pytest.approx(m.tasks["tags"].total / 2, rel=1e-13)
    np.testing.assert_allclose(half.tasks["tags"].parameters["u"], m.tasks["tags"].parameters["u"] / 2)
    assert m.total == pytest.approx(m.tasks["tags"].total + 0.5 * (g["w"].value ** 2).sum(), rel=1e-13)
    for other in (run(g, schedule=Checkpointed(2)), run(g.unroll())):
        assert other.total == pytest.approx(m.total, rel=1e-12)
        for name in m.parameters:
            np.testing.assert_allclose(other.parameters[name], m.parameters[name], rtol=1e-10, atol=1e-12)


def test_log_z_has_a_weight_too(rng):
    g = FactorGraph()
    z = g.sequence("z", length=4, states=3)
    g.factor(Table(g.parameter("A", rng.normal(size=(3, 3)))), z[:-1], z[1:])
    plain = run(g)
    total, counts, belief = plain.total, plain.parameters["A"], plain.belief["z"]
    g.weigh(z, 0.25)
    m = run(g)
    assert m.total == pytest.approx(total / 4, rel=1e-14)
    np.testing.assert_allclose(m.parameters["A"], counts / 4, rtol=1e-14)
    np.testing.assert_array_equal(m.belief["z"], belief)
    check_gradients(g, hvp=True)


def test_a_run_may_replace_labels(rng):
    first, second = rng.integers(0, K, (2, T))
    second[2] = -1
    g = crf(rng, first)
    wanted = crf(np.random.default_rng(20_240_229), None)
    values = {n: g[n].value for n in ("w", "x", "u", "v")}
    wanted.condition(wanted["z"], second)
    assert run(g, values={"labels": second}).total == pytest.approx(
        run(wanted, values=values).total, rel=1e-13
    )
    with pytest.raises(DataError, match="state 3"):
        run(g, values={"labels": [0, 3, 0, 0, 0]})


@given(mixed_graphs(labels=["all"]), seeds)
def test_a_known_path_is_the_clamped_chain(graph, seed):
    """Its score, counts and messages are those of the sweep that a missing label would need."""
    m = run(graph)
    (k,) = m._x.clamped
    found, wanted = m._x.clamped[k], m._x.component(k, m._x.plan.blocks[k], m._x.labels(m._x.plan.blocks[k]))
    assert found.total == pytest.approx(wanted.total, rel=1e-10, abs=1e-10)
    if type(found).__name__ != "KnownPath":
        return
    np.testing.assert_allclose(found.gamma, wanted.gamma, atol=1e-12)
    np.testing.assert_allclose(found.xi, wanted.xi, atol=1e-12)
    np.testing.assert_allclose(found.log_alpha_beta[0], wanted.log_alpha_beta[0])
    np.testing.assert_array_equal(found.log_belief(), wanted.log_belief())


def test_labels_of_probability_zero_are_named(rng):
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    g.factor(Table(g.parameter("A", np.array([[0.0, -np.inf], [0.0, 0.0]]))), z[:-1], z[1:])
    g.condition(z, [0, 0, 1])
    m = run(g)
    assert m.total == np.inf
    with pytest.raises(ImpossibleEvidenceError, match=r"the labels.*step 2"):
        _ = m.parameters["A"]


@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
def test_log_values_that_only_tables_read_may_be_minus_infinity(algebra, rng):
    g, open_ = FactorGraph(), rng.random((T, K)) < 0.7
    open_[:, 0] = True
    w, s = g.parameter("w", rng.normal(size=(T, K))), g.sequence("s", length=T, shape=(K,))
    masked = Step(
        lambda w, m: np.where(m != 0, w, -np.inf),
        vjp=lambda inputs, c: (np.where(inputs[1] != 0, c, 0.0), None),
        vectorized=True,
    )
    seen = g.observe("x", rng.normal(size=(T, K)))
    low = g.sequence("low", length=T, shape=(K,))
    g.factor(Step(lambda x, w: x + w.sum(0), vectorized=False), seen[:], w, out=low[:])
    g.factor(masked, low[:], g.observe("open", open_.astype(float))[:], out=s[:])
    z = g.sequence("z", length=T, states=K)
    g.factor(Table(s[:]), z[:])
    g.factor(Table(g.parameter("A", rng.normal(size=(K, K)))), z[:-1], z[1:])
    m = run(g, algebra)
    reduction = "sum" if isinstance(algebra, SumProduct) else "max"
    every = Enumeration(Flat.of(g, {"s": m.forward["s"]}), reduction)
    assert m.total == pytest.approx(-every.total, rel=1e-12)
    assert (m.gradient["s"][~open_] == 0).all()
    check_gradients(g, algebra=algebra)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda g: g.weigh(g["w"]), GraphError, "weigh takes a discrete variable"),
        (lambda g: g.weigh(g["z"], np.nan), DataError, "finite number"),
        (lambda g: g.weigh(g["z"], [1.0, 2.0]), DataError, "finite number"),
        (lambda g: g.weigh(g["z"], g["x"]), GraphError, "observation of one number"),
        (lambda g: g.weigh(g["z"], 1.0, 3), GraphError, "task is a name"),
        (lambda g: (g.weigh(g["z"]), g.weigh(g["z"])), GraphError, "has a weight already"),
        (
            lambda g: g.condition(g["z"], g.observe("l", np.zeros(T, int), states=K + 1)),
            GraphError,
            "states=3",
        ),
        (lambda g: g.condition(g["z"], g.observe("l", np.zeros(T))), GraphError, "states=3"),
    ],
)
def test_wrong_weights_and_labels(call, error, words, rng):
    with pytest.raises(error, match=words):
        call(crf(rng))
