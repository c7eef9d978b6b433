"""ParallelScan: every reading is Sequential's within rounding, and what does not scan runs as under
Sequential."""

import numpy as np
import pytest

from msgpass import FactorGraph, MaxProduct, ParallelScan, Quadratic, SumProduct, Table, run
from msgpass.errors import ImpossibleEvidenceError
from tests.msgpass.table_models import chain, sliced_tree

TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


def both(graph, algebra=None, values=None):
    return run(graph, algebra, values=values), run(graph, algebra, ParallelScan(), values)


def check_readings(one, other, graph):
    names = list(graph.plan().owner)
    np.testing.assert_allclose(other.total, one.total, **TOLERANCE)
    for name in names:
        np.testing.assert_allclose(other.forward[name], one.forward[name], **TOLERANCE)
        np.testing.assert_allclose(other.backward[name], one.backward[name], **TOLERANCE)
    for name in [*names, *graph.factors]:
        np.testing.assert_allclose(np.exp(other.belief[name]), np.exp(one.belief[name]), **TOLERANCE)
    for name in one.parameters:
        np.testing.assert_allclose(other.parameters[name], one.parameters[name], **TOLERANCE)


LOCALS = ("first", "emission", "missing", "by step", "inner")


@pytest.fixture(params=["shared", "by step", "driven", "flipped"])
def long_chain(request):
    """Above the size from which compiled blocks run; ragged, with missing observations."""
    return chain(np.random.default_rng(0), 3, [1500, 1, 700], (), request.param, LOCALS)


@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
def test_every_reading_of_a_long_chain(long_chain, algebra):
    check_readings(*both(long_chain, algebra), long_chain)


@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
def test_single_messages_of_a_long_chain(long_chain, algebra):
    one, other = both(long_chain, algebra)
    link, z = long_chain.factors["link"], long_chain["z"]
    for t in (0, 400, 1498):
        for source, target in (
            (link[t], z[t + 1]),
            (link[t], z[t]),
            (z[t + 1], link[t]),
            (link[t], long_chain["transition"]),
        ):
            found, wanted = other.message(source, target), one.message(source, target)
            np.testing.assert_allclose(found, wanted, **TOLERANCE)


@pytest.mark.parametrize("kind", ["shared", "by step"])
def test_an_aligned_batch(kind):
    graph = chain(np.random.default_rng(1), 3, [500, 400], (2,), kind, ("first", "emission", "by step"))
    for algebra in (SumProduct(), MaxProduct()):
        check_readings(*both(graph, algebra), graph)


def test_readings_of_whole_assignments(long_chain):
    one, other = both(long_chain)
    np.testing.assert_allclose(other.totals("z"), one.totals("z"), **TOLERANCE)
    np.testing.assert_allclose(other.entropy("z"), one.entropy("z"), rtol=1e-8)
    np.testing.assert_array_equal(other.sample("z", 3, n=2), one.sample("z", 3, n=2))
    one, other = both(long_chain, MaxProduct())
    np.testing.assert_array_equal(other.assignment["z"], one.assignment["z"])
    for found, wanted in zip(other.k_best("z", 3), one.k_best("z", 3), strict=True):
        np.testing.assert_allclose(found, wanted, **TOLERANCE)


def test_labels_and_values_of_a_run(long_chain):
    rng = np.random.default_rng(2)
    labels = np.where(rng.random(2201) < 0.1, run(long_chain, MaxProduct()).assignment["z"], -1)
    check_readings(*both(long_chain, values={"z": labels}), long_chain)


@pytest.mark.parametrize("by_step", [False, True])
@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
def test_hard_zeros_and_evidence_hundreds_of_nats_apart(algebra, by_step):
    """States that are never left, and evidence that contradicts them by turns: scales vanish."""
    rng = np.random.default_rng(3)
    T, K = 1200, 3
    g = FactorGraph()
    z = g.sequence("z", length=T, states=K)
    ladder = np.where(np.triu(np.ones((K, K))) > 0, rng.normal(size=(K, K)), -np.inf)
    table = np.broadcast_to(ladder, (T - 1, K, K)) if by_step else ladder
    g.factor(Table(g.parameter("initial", np.zeros(K))), z[0])
    g.factor(Table(g.parameter("transition", table)), z[:-1], z[1:], name="link")
    g.factor(Table(g.parameter("evidence", rng.normal(size=(T, K)) * 400)), z[:], name="seen")
    check_readings(*both(g, algebra), g)


@pytest.mark.parametrize("length", [12, 3000])
@pytest.mark.parametrize("by_step", [False, True])
def test_impossible_evidence_names_the_first_impossible_step(length, by_step):
    rng = np.random.default_rng(4)
    table = rng.normal(size=(length - 1, 3, 3) if by_step else (3, 3))
    evidence = rng.normal(size=(length, 3))
    evidence[length // 3] = -np.inf
    g = FactorGraph()
    z = g.sequence("z", length=length, states=3)
    g.factor(Table(table), z[:-1], z[1:])
    g.factor(Table(evidence), z[:])
    m = run(g, schedule=ParallelScan)
    assert m.total == -np.inf
    with pytest.raises(ImpossibleEvidenceError, match=f"step {length // 3} is the first") as caught:
        m.belief["z"]
    assert caught.value.step == length // 3


@pytest.mark.parametrize("shape", ["comb", "second order", "joined"])
def test_other_components_run_as_under_sequential(shape):
    graph = sliced_tree(np.random.default_rng(5), shape, 4)
    for algebra in (SumProduct(), MaxProduct()):
        one, other = both(graph, algebra)
        for name in graph.plan().owner:
            np.testing.assert_array_equal(other.belief[name], one.belief[name])
        assert other.total == one.total


def test_the_same_bits_again(long_chain):
    first, again = (run(long_chain, schedule=ParallelScan()) for _ in range(2))
    np.testing.assert_array_equal(first.forward["z"], again.forward["z"])
    np.testing.assert_array_equal(first.belief["link"], again.belief["link"])
    assert first.total == again.total


def test_more_processors_change_rounding_alone(long_chain, monkeypatch):
    wanted = run(long_chain)
    monkeypatch.setattr("msgpass.kernels.runtime.processors", lambda: 7)
    check_readings(wanted, run(long_chain, schedule=ParallelScan()), long_chain)
    best, found = both(long_chain, MaxProduct())
    np.testing.assert_array_equal(found.assignment["z"], best.assignment["z"])


def test_schedules_are_equal_by_kind():
    assert ParallelScan() == ParallelScan() and repr(ParallelScan()) == "ParallelScan()"


def local_trend(lengths=(40, 1, 25), flat=False):
    """A level with a slope, two outputs, missing cells, everything a parameter."""
    rng = np.random.default_rng(6)
    g, total = FactorGraph(), sum(lengths)
    x = g.sequence("x", length=list(lengths), shape=(2,))
    F, Q = g.parameter("F", [[1.0, 1.0], [0.0, 0.9]]), g.parameter("Q", [[0.3, 0.1], [0.1, 0.2]])
    y = rng.normal(size=(total, 2)).cumsum(axis=0)
    y[rng.random(y.shape) < 0.2] = np.nan
    cov = np.diag([np.inf, 1.0]) if flat else g.parameter("cov", np.eye(2) * 4)
    g.factor(Quadratic.prior(g.parameter("mean", np.zeros(2)), cov), x[0], name="start")
    g.factor(Quadratic.linear_gaussian(F, Q, g.parameter("b", [0.1, 0.0])), x[:-1], x[1:], name="link")
    H, R = g.parameter("H", [[1.0, 0.0], [1.0, -1.0]]), g.parameter("R", np.eye(2))
    g.factor(Quadratic.observation(H, R), x[:], g.observe("y", y)[:], name="seen")
    return g


def test_every_reading_of_a_gaussian_chain():
    g = local_trend()
    one, other = both(g)
    close = {"rtol": 1e-8, "atol": 1e-8}
    np.testing.assert_allclose(other.total, one.total, **close)
    np.testing.assert_allclose(other.totals("x"), one.totals("x"), **close)
    for found, wanted in (
        (other.forward["x"].mean, one.forward["x"].mean),
        (other.forward["x"].cov, one.forward["x"].cov),
        (other.backward["x"].h, one.backward["x"].h),
        (other.backward["x"].precision, one.backward["x"].precision),
        (
            other.message(g.factors["link"][3], g["x"][4]).mean,
            one.message(g.factors["link"][3], g["x"][4]).mean,
        ),
        (other.sample("x", 1, n=3), one.sample("x", 1, n=3)),
        *(
            (getattr(other.belief[n], p), getattr(one.belief[n], p))
            for n in ("x", "link")
            for p in ("mean", "cov")
        ),
        *((other.parameters[n], one.parameters[n]) for n in one.parameters),
        (other.gradient["y"], one.gradient["y"]),
    ):
        np.testing.assert_allclose(found, wanted, **close)


def test_a_flat_start_scans():
    one, other = both(local_trend((40, 30), flat=True))
    np.testing.assert_allclose(other.total, one.total, rtol=1e-9)
    np.testing.assert_allclose(other.belief["x"].cov, one.belief["x"].cov, rtol=1e-8, atol=1e-8)


def test_exact_observations_run_as_under_sequential():
    """R = 0 and no noise in what is seen: a step alone has no density, though the chain has."""
    g = FactorGraph()
    x = g.sequence("x", length=4, shape=(2,))
    g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x[0])
    g.factor(
        Quadratic.linear_gaussian(np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([0.0, 1.0])), x[:-1], x[1:]
    )
    y = np.array([[1.0], [2.0], [2.5], [np.nan]])
    g.factor(Quadratic.observation(np.array([[1.0, 0.0]]), np.zeros((1, 1))), x[:], g.observe("y", y)[:])
    one, other = both(g)
    np.testing.assert_allclose(other.belief["x"].mean, one.belief["x"].mean, atol=1e-9)
    np.testing.assert_allclose(other.belief["x"].mean[:3, 0], [1.0, 2.0, 2.5], atol=1e-9)
