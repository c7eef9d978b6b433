"""Hessians against what is known of them: covariances of counts, quadratic losses, moments of Gaussians."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import (
    Adjoint,
    Checkpointed,
    FactorGraph,
    FixedLag,
    ForwardOnly,
    Loss,
    MaxProduct,
    Quadratic,
    Step,
    SumProduct,
    Table,
    Tangent,
    Truncated,
    compare,
    run,
)
from msgpass.errors import (
    DataError,
    ImpossibleEvidenceError,
    NumericalError,
    UnavailableError,
    UnsupportedError,
)
from msgpass.second_order import (
    Basis,
    Covariance,
    Curvature,
    LogRows,
    Positive,
    hessian,
    hessian_operator,
    hessian_vector_product,
    newton_direction,
)
from tests.msgpass import table_models
from tests.msgpass.table_models import seeds
from tests.oracles import Flat, finite_difference, places_of

CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def covariance_of_counts(graph):
    """Cov of all tables' one-hot counts under the posterior, by enumerating assignments."""
    flat = Flat.of(graph)
    keys = list(flat.sizes)
    parameters = [n for n, v in graph.nodes.items() if type(v).__name__ == "Parameter"]
    first = np.cumsum([0, *(graph[n].value.size for n in parameters)])
    weights, counts = [], []
    for states in np.ndindex(*(flat.sizes[k] for k in keys)):
        assignment = dict(zip(keys, states, strict=True))
        weights.append(sum(table[tuple(assignment[k] for k in scope)] for scope, table in flat.tables))
        counts.append(np.zeros(first[-1]))
        for factor in graph.factors.values():
            name = factor.potential.source.name
            places = places_of(factor)
            for j in range(len(factor)):
                index = [
                    assignment[s.node.name, p[j]]
                    if (s.node.name, p[j]) in assignment
                    else int(s.node.value[p[j]])
                    for s, p in zip(factor.args, places, strict=True)
                ]
                at = np.ravel_multi_index(index, graph[name].value.shape)
                counts[-1][first[parameters.index(name)] + at] += 1
    p = np.exp(np.array(weights) - np.max(weights))
    p /= p.sum()
    counts = np.array(counts)
    middle = p @ counts
    return (counts - middle).T @ (p[:, None] * (counts - middle)), parameters


@settings(max_examples=25)
@given(table_models.seeds)
def test_the_hessian_of_log_z_is_the_covariance_of_counts(seed):
    """Louis (1982): ∂²log Z/∂η∂ηᵀ = Cov[counts | evidence]."""
    rng = np.random.default_rng(seed)
    graph = table_models.chain(rng, 2, [3, 2], (), "shared", ("first", "emission", "constant"))
    wanted, names = covariance_of_counts(graph)
    np.testing.assert_allclose(hessian(graph, names).matrix, wanted, **CLOSE)
    operator = hessian_operator(graph, names)
    np.testing.assert_allclose(operator @ np.eye(len(wanted)), wanted, **CLOSE)


def test_blocks_of_a_hessian(rng):
    graph = table_models.chain(rng, 2, [4], (), "shared", ("first", "emission"))
    h = hessian(graph)
    d = np.zeros((2, 2))
    d[0, 1] = 1
    product = hessian_vector_product(graph, {"transition": d})
    np.testing.assert_allclose(h.block("emission", "transition")[:, 1], product["emission"].ravel(), **CLOSE)
    assert h.labels[h.slices["transition"]][1] == "transition[0, 1]"
    assert "transition 4" in repr(h)
    np.testing.assert_array_equal(np.asarray(h), h.matrix)


def quadratic(A, w0):
    g = FactorGraph()
    w = g.parameter("w", w0)
    g.factor(Loss(lambda w: (0.5 * w @ A @ w, (A @ w,))), w)
    return g


def test_a_quadratic_loss(rng):
    A = rng.normal(size=(4, 4))
    A = A @ A.T
    g = quadratic(A, rng.normal(size=4))
    np.testing.assert_allclose(hessian(g).matrix, A, **CLOSE)
    p = newton_direction(g, tol=1e-13)
    np.testing.assert_allclose(p.values()["w"], 0, atol=1e-9)
    assert not p.negative_curvature and p.slope < 0
    np.testing.assert_allclose(p.curvature, -p.slope, rtol=1e-8)  # pᵀHp = −gᵀp at the solution
    damped = newton_direction(g, damping=2.0, tol=1e-13)
    np.testing.assert_allclose(
        damped.vector, -np.linalg.solve(A + 2 * np.eye(4), A @ g["w"].value), rtol=1e-8
    )


def test_negative_curvature_stops_conjugate_gradients():
    g = quadratic(np.diag([1.0, -1.0]), np.array([1.0, 1.0]))
    p = newton_direction(g)
    assert p.negative_curvature
    assert p.slope == -2
    assert "negative curvature" in repr(p)


def test_newton_reaches_the_maximum_likelihood(rng):
    """From near by, in coordinates of probabilities, a few steps bring the gradient to rounding."""
    T = 400
    g = FactorGraph()
    z, x = g.sequence("z", length=T, states=2), g.observe("x", rng.integers(0, 3, T), states=3)
    state = 0
    data = np.empty(T, np.int64)
    for t in range(T):
        state = state if rng.random() < 0.9 else 1 - state
        data[t] = rng.choice(3, p=[[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]][state])
    g.factor(Table(np.log([0.5, 0.5])), z[0])
    g.factor(Table(g.parameter("A", np.log([[0.85, 0.15], [0.2, 0.8]]))), z[:-1], z[1:])
    g.factor(Table(g.parameter("B", np.log([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]]))), z[:], x[:])
    values = {"x": data}
    rows = {"A": LogRows(), "B": LogRows()}
    totals = []
    for _ in range(12):
        p = newton_direction(g, values=values, coordinates=rows, tol=1e-10)
        totals.append(p.of.total)
        values |= p.values()
    assert np.abs(Curvature(g, values=values, coordinates=rows).gradient).max() < 1e-8
    assert totals[-1] >= totals[0]
    np.testing.assert_allclose(np.exp(values["A"]).sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("kind", ["rows", "positive", "covariance", "basis"])
def test_hessians_in_coordinates_are_differences_of_gradients_in_them(kind, rng):
    g = FactorGraph()
    if kind == "rows":
        z, x = g.sequence("z", length=5, states=3), g.observe("x", [0, 1, 1, 0, 1], states=2)
        p = rng.dirichlet(np.ones(3), 3)
        p[0] = [0.4, 0.6, 0.0]
        with np.errstate(divide="ignore"):
            g.factor(Table(g.parameter("A", np.log(p))), z[:-1], z[1:])
        g.factor(Table(g.parameter("B", np.log(rng.dirichlet(np.ones(2), 3)))), z[:], x[:])
        coordinates = {"A": LogRows(), "B": LogRows(edge=0.0)}
    elif kind == "positive":
        w = g.parameter("w", [0.5, 2.0])
        g.factor(Loss(lambda w: ((w**3).sum(), (3 * w**2,))), w)
        coordinates = {"w": Positive()}
    elif kind == "covariance":
        x, y = g.sequence("x", length=4, shape=(2,)), g.observe("y", rng.normal(size=(4, 2)))
        g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x[0])
        Q = g.parameter("Q", [[1.0, 0.3], [0.3, 0.5]])
        g.factor(Quadratic.linear_gaussian(0.9 * np.eye(2), Q), x[:-1], x[1:])
        g.factor(Quadratic.observation(np.eye(2), g.parameter("R", np.eye(2))), x[:], y[:])
        coordinates = {"Q": Covariance(), "R": Covariance()}
    else:
        w = g.parameter("w", [0.5, 2.0, 1.0])
        g.factor(Loss(lambda w: ((w**4).sum(), (4 * w**3,))), w)
        coordinates = {"w": Basis([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])}
    here, step = Curvature(g, coordinates=coordinates), 1e-5
    u, columns = np.zeros(here.size), []
    for k in range(here.size):
        ends = []
        for sign in (1, -1):
            u[k] = sign * step
            there = Curvature(g, values=here.moved(u), coordinates=coordinates)
            ends.append(there.gradient)
            u[k] = 0
        columns.append((ends[0] - ends[1]) / (2 * step))
    np.testing.assert_allclose(here.dense(), np.array(columns).T, rtol=1e-6, atol=1e-7)
    for name, value in here.moved(u).items():
        np.testing.assert_allclose(value, g[name].value, rtol=1e-12)


def test_the_hessian_of_a_gaussian_in_h_is_the_posterior_covariance(rng):
    g = FactorGraph()
    x = g.sequence("x", length=3, shape=(2,))
    g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x[0])
    g.factor(Quadratic.linear_gaussian(0.5 * np.eye(2), 0.3 * np.eye(2)), x[:-1], x[1:])
    g.factor(Quadratic(g.parameter("h", rng.normal(size=2)), np.eye(2)), x[1], name="local")
    np.testing.assert_allclose(hessian(g).matrix, run(g).belief["x"].cov[1], **CLOSE)


def test_asymmetric_directions_of_a_covariance_move_its_symmetric_part(rng):
    g = FactorGraph()
    x, y = g.variable("x", shape=(2,)), g.observe("y", rng.normal(size=2))
    g.factor(Quadratic.prior(np.zeros(2), g.parameter("P", [[2.0, 0.4], [0.4, 1.0]])), x)
    g.factor(Quadratic.observation(np.eye(2), np.eye(2)), x, y)
    d = rng.normal(size=(2, 2))
    one, other = (hessian_vector_product(g, {"P": v})["P"] for v in (d, (d + d.T) / 2))
    np.testing.assert_allclose(one, other, **CLOSE)


# -- what cannot be -----------------------------------------------------------------------------------------


def step_graph(**how):
    g = FactorGraph()
    h = g.sequence("h", length=3, shape=(2,))
    g.factor(
        Step(lambda h, W: np.tanh(W @ h), **how),
        h.after(g.observe("h0", [1.0, 0.5])),
        g.parameter("W", np.eye(2)),
        out=h[:],
    )
    g.factor(Loss(lambda h: (0.5 * h @ h, (h,))), h[-1])
    return g


@pytest.mark.parametrize("schedule", [Truncated(1, 2), FixedLag(1), Checkpointed(2), ForwardOnly()], ids=repr)
def test_schedules_that_leave_messages_out_are_refused(schedule):
    with pytest.raises(UnsupportedError, match=r"both directions.*use Sequential"):
        run(step_graph(), Tangent({"W": np.eye(2)}, over=Adjoint()), schedule)


def test_a_vjp_that_cannot_be_traced_is_refused_and_an_hvp_helps():
    def vjp(inputs, c):
        h, W = inputs
        z = np.empty(2)
        z[:] = c * (1 - np.tanh(W @ h) ** 2)
        return W.T @ z, np.outer(z, h)

    def jvp(inputs, tangents):
        h, W = inputs
        return (1 - np.tanh(W @ h) ** 2) * (tangents[1] @ h + W @ tangents[0])

    def hvp(inputs, c, tangents):
        (h, W), (dh, dW) = inputs, tangents
        y = np.tanh(W @ h)
        z = c * (1 - y**2)
        dz = -2 * y * z * (dW @ h + W @ dh)
        return W.T @ dz + dW.T @ z, np.outer(dz, h) + np.outer(z, dh)

    d = {"W": np.array([[0.3, -1.0], [0.2, 0.7]])}
    with pytest.raises(UnsupportedError, match=r"vjp of step.*hvp="):
        run(step_graph(vjp=vjp, jvp=jvp), Tangent(d, over=Adjoint()))
    wanted = run(step_graph(), Tangent(d, over=Adjoint())).parameters["W"]
    found = run(step_graph(vjp=vjp, jvp=jvp, hvp=hvp), Tangent(d, over=Adjoint())).parameters["W"]
    np.testing.assert_allclose(found.tangent, wanted.tangent, **CLOSE)
    flat = run(step_graph(vjp=vjp, jvp=jvp, hvp=hvp).unroll(), Tangent(d, over=Adjoint()))
    np.testing.assert_allclose(flat.parameters["W"].tangent, wanted.tangent, **CLOSE)


def test_a_loss_that_cannot_be_traced_is_refused_and_an_hvp_helps():
    def loss(w):
        g = np.zeros(2)
        g[:] = w**3
        return float((w**4).sum()) / 4, (g,)

    def graph(**how):
        g = FactorGraph()
        g.factor(Loss(loss, **how), g.parameter("w", [1.0, 2.0]))
        return g

    with pytest.raises(UnsupportedError, match=r"gradients of loss.*hvp="):
        hessian(graph())
    found = hessian(graph(hvp=lambda values, tangents: (3 * values[0] ** 2 * tangents[0],)))
    np.testing.assert_allclose(found.matrix, np.diag([3.0, 12.0]))


def test_gradients_in_arrays_of_objects_are_named():
    g = FactorGraph()
    g.factor(Loss(lambda w: (w[0] * w[1], (np.array([w[1], w[0]]),))), g.parameter("w", [1.0, 2.0]))
    with pytest.raises(UnsupportedError, match=r"gradients of loss 'loss'.*use np\.stack"):
        hessian(g)


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_linear_step_has_no_curvature_and_no_warning(vectorized):
    g = FactorGraph()
    w, s = g.parameter("w", [1.0, 2.0]), g.sequence("s", length=1, shape=(2,))
    g.factor(Step(lambda w: w), w, out=s[0])
    g.factor(Loss(lambda s: (0.25 * (s**4).sum(), (s**3,)), vectorized=vectorized), s[:])
    np.testing.assert_allclose(hessian(g).matrix, np.diag([3.0, 12.0]))


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_target_without_a_gradient_may_move(vectorized, rng):
    """What is said to an input moves with every other, though nothing is said to some."""
    g = FactorGraph()
    x, y = g.observe("x", rng.normal(size=(3, 2))), g.observe("y", rng.normal(size=(3, 2)))
    w, s = g.parameter("w", rng.normal(size=2)), g.sequence("s", length=3, shape=(2,))
    g.factor(Step(lambda x, w: x * w, vectorized=vectorized), x[:], w, out=s[:])

    def loss(s, y):
        return (np.tanh(s * y)).sum(), ((1 - np.tanh(s * y) ** 2) * y, None)

    g.factor(Loss(loss, vectorized=vectorized), s[:], y[:])
    d, step = {"y": rng.normal(size=(3, 2)), "w": rng.normal(size=2)}, 1e-5
    for names in (["y"], ["w"], ["y", "w"]):
        m = run(g, Tangent({n: d[n] for n in names}, over=Adjoint()))
        ends = [run(g, values={n: g[n].value + e * d[n] for n in names}) for e in (step, -step)]
        for name in ("w", "x", "y", "s"):
            difference = (ends[0].gradient[name] - ends[1].gradient[name]) / (2 * step)
            np.testing.assert_allclose(m.gradient[name].tangent, difference, atol=1e-8, err_msg=name)


def test_a_vjp_that_takes_something_for_constant_is_refused():
    """The gradient is right, for the weights are what was kept of them; its derivative would not be."""
    kept = np.eye(2)

    def vjp(inputs, c):
        h, W = inputs
        z = c * (1 - np.tanh(kept @ h) ** 2)
        return W.T @ z, z[:, None] * h[None, :]

    def jvp(inputs, tangents):
        h, W = inputs
        return (1 - np.tanh(W @ h) ** 2) * (tangents[1] @ h + W @ tangents[0])

    with pytest.raises(NumericalError, match=r"vjp of step.*not symmetric.*hvp="):
        run(step_graph(vjp=vjp, jvp=jvp), Tangent({"W": np.eye(2)}, over=Adjoint()))
    with pytest.raises(NumericalError, match="gradients of loss"):
        g = FactorGraph()
        c = np.ones(2)
        g.factor(Loss(lambda w: (w[0] * w[1] + 0.0, (np.stack([c[1], w[0]]),))), g.parameter("w", c))
        run(g, Tangent({"w": [1.0, 0.0]}, over=Adjoint()))


def test_a_wrong_hvp_shows_as_asymmetry():
    g = FactorGraph()
    A = np.array([[1.0, 2.0], [0.0, 1.0]])
    g.factor(Loss(lambda w: (0.0, (w,)), hvp=lambda v, t: (A @ t[0],)), g.parameter("w", [1.0, 2.0]))
    with pytest.raises(NumericalError, match=r"not symmetric between w\[\d\] and w\[\d\]"):
        hessian(g)


def test_single_messages_and_other_readings_without_tangents(rng):
    g = table_models.chain(rng, 2, [4], (), "shared", ("first", "emission"))
    m = run(g, Tangent({"transition": np.eye(2)}, over=SumProduct()))
    for read in (
        lambda: m.message(g["z"][1], g["link"][0]),
        lambda: m.lent("transition"),
        lambda: m.belief["link"],
    ):
        with pytest.raises(UnsupportedError, match="without"):
            read()
    assert m.sample("z", 0).shape == (4,)
    with pytest.raises(UnsupportedError, match="no figure"):
        m.plot()
    kinds = set(m.to_frame().kind)
    assert {"belief tangent", "parameter value", "parameter tangent", "backward value"} <= kinds
    other = run(g, Tangent({"transition": np.ones((2, 2))}, over=SumProduct()))
    parts = {part.name: part for part in compare(m, other).parts if part.kind == "parameters"}
    np.testing.assert_array_equal(parts["emission.value"].left, parts["emission.value"].right)
    assert not np.allclose(parts["emission.tangent"].left, parts["emission.tangent"].right)


def test_wrong_arguments():
    g = quadratic(np.eye(2), np.ones(2))
    with pytest.raises(UnsupportedError, match="no third"):
        run(g, Tangent({"w": np.ones(2)}, over=Tangent({"w": np.ones(2)})))
    with pytest.raises(DataError, match="shape"):
        run(g, Tangent({"w": np.ones(3)}, over=Adjoint()))
    with pytest.raises(DataError, match="NaN or an infinite"):
        run(g, Tangent({"w": np.array([0.0, np.nan])}, over=Adjoint()))
    for bad in ({"tol": -1.0}, {"max_iter": -1}):
        with pytest.raises(DataError, match="at least 0"):
            newton_direction(g, **bad)
    with pytest.raises(DataError, match="no parameter"):
        run(g, Tangent({"v": np.ones(3)}, over=Adjoint()))
    with pytest.raises(DataError, match="no array of numbers"):
        Tangent({"w": "up"})
    computed = step_graph()
    for over in (None, Adjoint()):
        with pytest.raises(DataError, match="'h', which is no parameter"):
            run(computed, Tangent({"h": np.ones(computed["h"].shape)}, over=over))
    with pytest.raises(UnavailableError, match="the parameters are w"):
        hessian(g, ["v"])
    with pytest.raises(DataError, match="a list"):
        hessian(g, "w")
    with pytest.raises(DataError, match="LogRows: the rows"):
        hessian(g, coordinates={"w": LogRows()})
    with pytest.raises(UnavailableError, match="does not move"):
        hessian(g, coordinates={"v": Positive()})
    with pytest.raises(DataError, match="must be Free"):
        hessian(g, coordinates={"w": "positive"})
    with pytest.raises(DataError, match="linearly dependent"):
        hessian(g, coordinates={"w": Basis([[1.0, 1.0], [2.0, 2.0]])})
    with pytest.raises(DataError, match="damping"):
        newton_direction(g, damping=-1)
    with pytest.raises(UnsupportedError, match="would be over"):
        hessian(g, algebra=Tangent({"w": np.ones(2)}))
    with pytest.raises(DataError, match="vector of shape"):
        Curvature(g) @ np.ones(3)
    with pytest.raises(UnsupportedError, match="moves the whole graph"):
        run(step_graph(), {"h": Tangent({"W": np.eye(2)}, over=Adjoint())})


def test_impossible_evidence_is_said():
    g = FactorGraph()
    z = g.sequence("z", length=2, states=2)
    g.factor(Table(g.parameter("A", [[0.0, -np.inf], [-np.inf, 0.0]])), z[:-1], z[1:])
    g.factor(Table(np.array([[0.0, -np.inf], [-np.inf, 0.0]])), z[:])
    m = run(g, Tangent({"A": np.ones((2, 2))}, over=SumProduct()))
    with pytest.raises(ImpossibleEvidenceError, match="probability zero"):
        _ = m.parameters["A"]


def test_labels_of_a_run_clamp_its_second_order(rng):
    g = table_models.chain(rng, 2, [4], (), "shared", ("first", "emission"))
    labels = np.array([-1, 1, -1, 0])
    d, step = {"transition": rng.normal(size=(2, 2))}, 1e-5
    m = run(g, Tangent(d, over=SumProduct()), values={"z": labels})
    ends = [
        run(g, values={"z": labels, "transition": g["transition"].value + s * d["transition"]})
        for s in (step, -step)
    ]
    for name in m.parameters:
        difference = (ends[0].parameters[name] - ends[1].parameters[name]) / (2 * step)
        np.testing.assert_allclose(m.parameters[name].tangent, difference, atol=1e-8)


def test_a_switching_chain_has_no_exact_gradient_to_differentiate(rng):
    g = FactorGraph()
    z, x = g.sequence("z", length=4, states=2), g.sequence("x", length=4)
    g.factor(Table.from_probabilities([0.5, 0.5]), z[0])
    g.factor(Table(g.parameter("A", np.log([[0.9, 0.1], [0.1, 0.9]]))), z[:-1], z[1:])
    g.factor(Quadratic.prior(0.0, 1.0), x[0])
    g.factor(
        Quadratic.linear_gaussian([[[1.0]], [[1.0]]], [[[0.1]], [[0.1]]], [[0.0], [3.0]]),
        z[1:],
        x[:-1],
        x[1:],
    )
    g.factor(Quadratic.observation(1.0, 0.1), x[:], g.observe("y", rng.normal(size=4))[:])
    m = run(g, Tangent({"A": np.ones((2, 2))}, over={}))
    with pytest.raises(UnsupportedError, match="approximate"):
        _ = m.parameters["A"]


def test_the_best_score_is_flat(rng):
    g = table_models.chain(rng, 2, [4], (), "shared", ("first", "emission"))
    assert not hessian(g, algebra=MaxProduct()).matrix.any()


@settings(max_examples=10)
@given(seeds)
def test_a_dense_hessian_is_the_difference_of_gradients(seed):
    graph = table_models.chain(np.random.default_rng(seed), 2, [3], (), "shared", ("first", "missing"))
    h, step = hessian(graph), 1e-4
    value = graph["transition"].value
    for k, place in enumerate(np.ndindex(2, 2)):
        moved = [value.copy(), value.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        ends = [finite_difference(graph, "gappy", values={"transition": v}) for v in moved]
        np.testing.assert_allclose(
            h.block("gappy", "transition")[:, k], ((ends[0] - ends[1]) / (2 * step)).ravel(), atol=1e-5
        )
