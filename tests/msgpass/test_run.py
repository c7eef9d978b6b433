"""The verb: what it takes, what a run leaves alone, `values`, impossible evidence, and depth without
recursion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import (
    Adjoint,
    Checkpointed,
    FactorGraph,
    FixedLag,
    ForwardOnly,
    Gaussian,
    Loss,
    MaxProduct,
    MessagePassingError,
    Quadratic,
    Sequential,
    Step,
    SumProduct,
    Table,
    Tangent,
    Truncated,
    run,
)
from msgpass.errors import (
    DataError,
    GraphError,
    ImpossibleEvidenceError,
    NumericalError,
    ShapeError,
    UnavailableError,
    UnsupportedError,
)
from tests.msgpass import gaussian_models
from tests.msgpass.recurrence_models import recurrence
from tests.msgpass.table_models import chain, chains, seeds, trees
from tests.oracles import Enumeration, Flat

PAIR = np.log([[0.7, 0.3], [0.4, 0.6]])


@pytest.fixture
def hmm():
    """Four steps, two states, three symbols."""
    return chain(np.random.default_rng(3), 2, [4], locals_=("first", "emission"))


@pytest.fixture
def net():
    return recurrence(np.random.default_rng(3), "lag one", 4)


@pytest.fixture
def kalman():
    return gaussian_models.chain(np.random.default_rng(3))


# -- arguments


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda g: run("graph"), GraphError, "takes a FactorGraph, got str"),
        (lambda g: run(g, "sum"), UnsupportedError, "algebra must be"),
        (lambda g: run(g, Tangent), UnsupportedError, "needs a direction"),
        (
            lambda g: run(g, Gaussian()),
            UnsupportedError,
            r"component of discrete variables; use SumProduct\(\) or MaxProduct\(\)",
        ),
        (lambda g: run(g, Adjoint()), UnsupportedError, "fits nothing"),
        (lambda g: run(g, {"z": Gaussian()}), UnsupportedError, "Gaussian does not fit 'z'"),
        (
            lambda g: run(g, {"nobody": SumProduct()}),
            UnavailableError,
            "no latent variable of that name; it has z",
        ),
        (lambda g: run(g, {"x": SumProduct()}), UnavailableError, "no latent variable"),
        (lambda g: run(g, {"z": "max"}), UnsupportedError, "algebra must be"),
        (lambda g: run(g, schedule="sequential"), UnsupportedError, "schedule must be"),
        (lambda g: run(g, schedule=3), UnsupportedError, "schedule must be"),
        (lambda g: run(g, values=[1]), DataError, "dict from names"),
        (
            lambda g: run(g, values={"transitions": PAIR}),
            UnavailableError,
            "'transitions', which the graph does not",
        ),
        (
            lambda g: run(g, values={"transition": np.zeros((3, 3))}),
            ShapeError,
            r"shape \(3, 3\), but the graph was built for \(2, 2\)",
        ),
        (lambda g: run(g, values={"transition": np.full((2, 2), np.nan)}), DataError, "NaN"),
        (lambda g: run(g, values={"transition": np.full((2, 2), np.inf)}), DataError, "∞"),
        (lambda g: run(g, values={"transition": "none"}), DataError, "numbers"),
        (lambda g: run(g, values={"x": [0, 1, 2, 3]}), DataError, "holds the state 3 at index 3"),
        (lambda g: run(g, values={"x": [0, 1, 2]}), ShapeError, r"shape \(3,\)"),
        (lambda g: run(g, values={"z": [0, 1]}), ShapeError, r"shape \(2,\), wanted \(4,\)"),
        (lambda g: run(g, values={"z": [0, 1, 2, 0]}), DataError, "holds the state 2"),
        (lambda g: run(g, Tangent({"nobody": 1.0})), DataError, "no parameter or real observation"),
        (
            lambda g: run(g, Tangent({"transition": np.zeros(2)})),
            DataError,
            "direction of 'transition' has shape",
        ),
        (lambda g: run(g, Tangent({})), GraphError, "directions by name"),
        (
            lambda g: run(g, Tangent({"transition": PAIR}), Checkpointed(2)),
            UnsupportedError,
            "Tangent runs forward only",
        ),
    ],
)
def test_bad_arguments_are_one_typed_error(hmm, call, error, said):
    with pytest.raises(error, match=said) as caught:
        call(hmm)
    assert isinstance(caught.value, MessagePassingError)


@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct(), Gaussian()])
def test_an_algebra_that_fits_nothing_names_what_does(net, algebra):
    with pytest.raises(UnsupportedError, match="use Adjoint"):
        run(net, algebra)


def test_values_of_computed_and_of_gaussian_variables_are_refused(net, kalman):
    for graph, name in ((net, "h"), (kalman, "x")):
        with pytest.raises(UnsupportedError, match="computed or inferred"):
            run(graph, values={name: np.zeros((4, 2))})


def test_classes_do_for_instances(hmm):
    assert run(hmm, MaxProduct, Sequential).total == run(hmm, MaxProduct(), Sequential()).total


def test_a_dict_gives_each_component_its_algebra():
    g = FactorGraph()
    for name in "ab":
        z = g.sequence(name, length=3, states=2)
        g.factor(Table(PAIR), z[:-1], z[1:])
    m = run(g, {"a": MaxProduct(), g["b"]: SumProduct})
    assert m.assignment["a"].tolist() == [0, 0, 0]
    with pytest.raises(UnsupportedError, match="MaxProduct"):
        m.assignment["b"]
    np.testing.assert_allclose(np.exp(m.belief["b"]).sum(axis=1), 1)


# -- what a run leaves alone


def readings(m):
    """Every array of a result."""
    found = [np.asarray(m.total)]
    for kind in (m.forward, m.backward, m.belief, m.parameters, m.gradient):
        for name in kind:
            arrays = kind[name]
            if not isinstance(arrays, np.ndarray):
                arrays = (arrays.h, arrays.precision) if hasattr(arrays, "h") else (arrays.mean, arrays.cov)
            found += [np.asarray(a) for a in (arrays if isinstance(arrays, tuple) else (arrays,))]
    return found


@pytest.mark.parametrize("graph", ["hmm", "net", "kalman"])
@pytest.mark.parametrize("schedule", [Sequential(), Checkpointed(2), FixedLag(1)], ids=repr)
def test_the_same_run_gives_the_same_bits_and_changes_nothing(request, graph, schedule):
    g = request.getfixturevalue(graph)
    before = {n: node.value.tobytes() for n, node in g.nodes.items() if hasattr(node, "value")}
    keep = schedule if schedule.slots is None else Sequential()
    first = [a.copy() for a in readings(run(g, schedule=keep))]
    for array in readings(run(g, schedule=keep)):
        if array.flags.writeable and array.ndim:
            array[...] = 7  # what a caller does with its result is its own affair
    for a, b in zip(first, readings(run(g, schedule=keep)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert run(g, schedule=schedule).total == run(g, schedule=schedule).total
    assert before == {n: node.value.tobytes() for n, node in g.nodes.items() if hasattr(node, "value")}


@given(st.one_of(chains(), trees()), seeds, st.sampled_from([SumProduct(), MaxProduct()]))
def test_values_are_the_graph_built_with_them(graph, seed, algebra):
    rng = np.random.default_rng(seed)
    before = run(graph, algebra).total
    values = {}
    for name, node in graph.nodes.items():
        if hasattr(node, "value") and rng.random() < 0.6:
            values[name] = (
                rng.integers(-1, node.states, node.value.shape)
                if node.discrete
                else rng.normal(size=node.value.shape)
            )
    m = run(graph, algebra, values=values)
    for name, value in values.items():
        graph.nodes[name].value, values[name] = np.asarray(value), graph.nodes[name].value
    graph._touch()
    rebuilt = run(graph, algebra)
    assert m.total == pytest.approx(rebuilt.total, rel=1e-12, abs=1e-12)
    for name in rebuilt.parameters:
        np.testing.assert_allclose(m.parameters[name], rebuilt.parameters[name], rtol=1e-10, atol=1e-12)
    assert run(graph, algebra, values=values).total == pytest.approx(before, rel=1e-12, abs=1e-12)


@given(st.one_of(chains(batched=False), trees()), seeds, st.sampled_from(["sum", "max"]))
def test_states_under_a_variables_name_clamp_it(graph, seed, reduction):
    rng, values = np.random.default_rng(seed), {}
    for name, node in graph.nodes.items():
        if node.discrete and not hasattr(node, "value"):
            if node.shape:
                return
            shape = (node.clock.total,) if hasattr(node, "clock") else ()
            values[name] = np.where(rng.random(shape) < 0.5, -1, rng.integers(0, node.states, shape))
    algebra = SumProduct() if reduction == "sum" else MaxProduct()
    m, oracle = run(graph, algebra, values=values), Enumeration(Flat.of(graph, values), reduction)
    assert m.total == pytest.approx(oracle.total, rel=1e-9, abs=1e-9)
    if np.isfinite(m.total):
        for name in values:
            found = np.atleast_2d(m.belief[name])
            for row, logs in enumerate(found):
                key = (name, row if hasattr(graph[name], "clock") else -1)
                np.testing.assert_allclose(np.exp(logs), np.exp(oracle.marginal(key)), rtol=1e-9, atol=1e-9)


def test_single_precision_is_honoured():
    g = FactorGraph()
    z = g.sequence("z", length=5, states=2)
    g.factor(Table(g.parameter("A", PAIR.astype(np.float32))), z[:-1], z[1:])
    g.factor(Table(np.zeros((5, 2), np.float32)), z[:])
    m = run(g)
    assert m.belief["z"].dtype == m.parameters["A"].dtype == np.float32
    h = recurrence(np.random.default_rng(0), "lag one", 3)
    single = {n: node.value.astype(np.float32) for n, node in h.nodes.items() if hasattr(node, "value")}
    m = run(h, values=single)
    assert m.forward["h"].dtype == m.parameters["W"].dtype == np.float32


# -- impossible evidence


def impossible_chain(lengths, bad):
    """State 0 stays 0 and never shows symbol 1; the sequence starts in 0; symbol 1 comes at row ``bad``."""
    g = FactorGraph()
    z = g.sequence("z", length=lengths, states=2)
    x = np.zeros(int(np.sum(lengths)), int)
    x[bad] = 1
    g.factor(Table(g.parameter("initial", [0.0, -np.inf])), z[0])
    g.factor(Table(g.parameter("A", [[0.0, -np.inf], [-1.0, -1.0]])), z[:-1], z[1:], name="link")
    g.factor(
        Table(g.parameter("B", [[0.0, -np.inf], [-1.0, -1.0]])),
        z[:],
        g.observe("x", x, states=2)[:],
        name="emit",
    )
    return g


READ = [
    lambda m: m.belief["z"],
    lambda m: m.belief["link"],
    lambda m: m.parameters["A"],
    lambda m: m.message(m.graph["link"][0], m.graph["z"][1]),
]


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
@pytest.mark.parametrize("schedule", [Sequential(), Checkpointed(2)], ids=["sequential", "checkpointed"])
@pytest.mark.parametrize(("lengths", "bad", "step"), [(5, 3, 3), (5, 0, 0), ([2, 4], 5, 3)])
def test_impossible_evidence_has_total_minus_infinity_and_names_its_first_step(
    schedule, algebra, lengths, bad, step, read
):
    m = run(impossible_chain(lengths, bad), algebra, schedule)
    assert m.total == -np.inf
    with pytest.raises(
        ImpossibleEvidenceError, match=f"step {step}.*probability|probability zero.*step {step}"
    ) as caught:
        read(m)
    assert caught.value.step == step


def test_an_impossible_path_has_no_assignment():
    m = run(impossible_chain(4, 2), MaxProduct())
    with pytest.raises(ImpossibleEvidenceError):
        m.assignment["z"]


@pytest.mark.parametrize("algebra", [SumProduct(), MaxProduct()], ids=["sum", "max"])
def test_impossible_trees_and_flat_chains(algebra):
    m = run(impossible_chain(4, 2).unroll(), algebra)
    assert m.total == run(m.graph, algebra, ForwardOnly()).total == -np.inf
    for read in (lambda: m.belief["z[1]"], lambda: m.parameters["A"]):
        with pytest.raises(ImpossibleEvidenceError):
            read()


def test_forbidden_labels_are_named():
    g = FactorGraph()
    z, v = g.sequence("z", length=3, states=2), g.parameter("v", np.zeros((3, 2)))
    g.factor(Table(v), z[:])
    g.factor(Table([[0.0, -np.inf], [0.0, 0.0]]), z[:-1], z[1:])
    g.condition(z, [0, 1, 1])
    assert run(g).total == np.inf, "no weight is left to the labels"
    with pytest.raises(ImpossibleEvidenceError, match=r"'z'.*step 1") as caught:
        run(g).parameters["v"]
    assert caught.value.step == 1


def test_free_and_clamped_evidence_both_impossible():
    g = FactorGraph()
    u = g.variable("u", states=2)
    g.factor(Table([-np.inf, -np.inf]), u)
    g.condition(u, 0)
    with pytest.raises(NumericalError, match="probability zero"):
        _ = run(g).total


# -- schedules


def test_what_a_schedule_dropped_is_an_error_that_names_another(hmm, net):
    with pytest.raises(UnavailableError, match="Sequential"):
        run(hmm, schedule=Checkpointed(2)).forward["z"]
    half = run(hmm, schedule=ForwardOnly())
    for read in (lambda: half.belief["z"], lambda: half.parameters["transition"]):
        with pytest.raises(UnavailableError, match="Sequential"):
            read()
    with pytest.raises(UnavailableError, match="Sequential"):
        run(net, schedule=ForwardOnly()).gradient["h"]
    with pytest.raises(UnsupportedError, match="Adjoint"):
        run(net, Tangent({"W": np.ones((2, 2))})).gradient["h"]


def test_forward_only_filters(hmm):
    np.testing.assert_allclose(
        run(hmm, schedule=ForwardOnly()).forward["z"], run(hmm).forward["z"], rtol=1e-12
    )


def test_schedules_are_values():
    assert Truncated(2, 3) == Truncated(2, 3) != Truncated(3, 2)
    assert len({Checkpointed(2), Checkpointed(2), Checkpointed(3)}) == 2
    assert repr(FixedLag(3)) == "FixedLag(3)"


# -- depth

DEEP = 3000


def test_a_deep_flat_chain_of_tables_does_not_recurse():
    g = FactorGraph()
    z = g.sequence("z", length=DEEP, states=2)
    g.factor(Table([0.0, 1.0]), z[0])
    g.factor(Table(g.parameter("A", PAIR)), z[:-1], z[1:])
    flat = g.unroll()
    m = run(flat)
    assert m.total == pytest.approx(run(g).total, rel=1e-11)
    np.testing.assert_allclose(m.belief[f"z[{DEEP - 1}]"], run(g).belief["z"][-1], rtol=1e-9)
    assert run(flat, MaxProduct(), Checkpointed(4)).total == pytest.approx(
        run(g, MaxProduct()).total, rel=1e-11
    )


def test_a_deep_flat_chain_of_gaussians_does_not_recurse():
    g = FactorGraph()
    x = g.sequence("x", length=DEEP, shape=())
    g.factor(Quadratic.prior(0.0, 1.0), x[0])
    g.factor(Quadratic.linear_gaussian(0.9, 1.0), x[:-1], x[1:])
    g.factor(Quadratic.observation(1.0, 1.0), x[:], g.observe("y", np.sin(np.arange(DEEP)))[:])
    assert run(g.unroll()).total == pytest.approx(run(g).total, rel=1e-11)


def test_a_deep_flat_chain_of_steps_does_not_recurse():
    g = FactorGraph()
    h = g.sequence("h", length=DEEP, shape=())
    step = Step(lambda h, w: w * h, vjp=lambda inputs, c: (c * inputs[1], np.asarray(c * inputs[0])))
    g.factor(step, h.after(g.parameter("h0", 1.0)), g.parameter("w", 0.999), out=h[:])
    g.factor(Loss(lambda h: (float(h), (np.ones(()),))), h[-1])
    for graph in (g, g.unroll()):
        m = run(graph)
        assert m.total == pytest.approx(0.999**DEEP, rel=1e-9)
        assert m.parameters["w"] == pytest.approx(DEEP * 0.999 ** (DEEP - 1), rel=1e-9)


def test_a_gradient_that_is_nan_is_named():
    g = FactorGraph()
    h, w = g.sequence("h", length=3, shape=()), g.parameter("w", 0.5)
    g.factor(Step(lambda h, w: w * h), h.after(g.observe("h0", 1.0)), w, out=h[:])
    g.factor(Loss(lambda v: (v, np.nan if v < 0.2 else 1.0)), h[:], name="bad")
    with pytest.raises(NumericalError, match=r"'bad'.*NaN.*row 2"):
        run(g)


@pytest.mark.parametrize("lengths", [[1, 1], [2]])
def test_counts_where_steps_states_and_symbols_are_equally_many(lengths):
    """A (states, symbols) table must not be taken for one table a step."""
    rng = np.random.default_rng(0)
    g = FactorGraph()
    z, x = g.sequence("z", length=lengths, states=2), g.observe("x", [1, 0], states=2)
    emission = g.parameter("emission", rng.normal(size=(2, 2)))
    g.factor(Table(emission), z[:], x[:])
    g.factor(Table(rng.normal(size=2)), z[-1])
    counts, gamma = run(g).parameters["emission"], np.exp(run(g).belief["z"])
    np.testing.assert_allclose(counts, gamma[[1, 0]].T, rtol=1e-12)
