"""Every message of a network is at hand, and can be changed where it crosses an edge."""

import numpy as np
import pytest

from msgpass import Checkpointed, TimeEdge, Truncated
from msgpass.algebra.rules import ClipNorm, ClipValue, Normalise, Replace, Scale, Stop, Truncate
from msgpass.errors import UnsupportedError
from msgpass.sweeps import compiled_recurrence
from rnn import GRU, LSTM, RNN, CrossEntropy, Linear, SquaredError, bptt

T, B, I, H = 6, 3, 2, 4
EXACT = {"rtol": 1e-9, "atol": 1e-11}
CELLS = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "peepholes": lambda *a, **k: LSTM(*a, peepholes=True, **k),
    "projection": lambda *a, **k: LSTM(*a, proj_size=3, **k),
}


@pytest.fixture(params=list(CELLS))
def cell(request):
    return CELLS[request.param]


@pytest.fixture(params=["reference", "compiled"])
def sweep(request, monkeypatch):
    monkeypatch.setattr(compiled_recurrence, "PATIENCE", -1.0 if request.param == "compiled" else np.inf)


def problem(cell, layers=2, bidirectional=True, **options):
    rng = np.random.default_rng(0)
    net = cell(I, H, num_layers=layers, bidirectional=bidirectional, random_state=0, **options)
    target = rng.normal(size=(T, B, net.output_size))
    return net, rng.normal(size=(T, B, I)), SquaredError(target)


def shifted(net, x, loss, name, place, step, lengths=None):
    """Loss with one number of one row of a computed variable moved: it and what follows, by hand."""
    from msgpass import FactorGraph, Loss, Step, run

    graph = net.graph(x, loss, gates=True, lengths=lengths)
    # The same graph with one more input at the factor that computes the variable.
    moved = FactorGraph()
    same = {}
    for node in graph.nodes.values():
        kind = type(node).__name__
        if kind == "Parameter":
            same[node.name] = moved.parameter(node.name, node.value)
        elif kind == "Observation":
            same[node.name] = moved.observe(node.name, node.value, states=node.states)
        elif kind == "Sequence":
            same[node.name] = moved.sequence(node.name, node.clock.lengths[0], shape=node.shape)
        else:
            same[node.name] = moved.variable(node.name, shape=node.shape)
    bump = np.zeros((T, *graph[name].shape))
    bump[place] = step
    extra = moved.observe("bump", bump)

    def again(s):
        node = same[s.node.name]
        if s.kind in ("after", "before"):
            return getattr(node, s.kind)(same[s.edge.node.name])
        return node if s.kind == "single" else node[s.start : s.stop] if s.kind == "range" else node[s.start]

    for factor in graph.factors.values():
        args = [again(s) for s in factor.args]
        if not factor.out:
            p = factor.potential
            moved.factor(Loss(p.value_and_grad, vectorized=p.vectorized), *args, name=factor.name)
            continue
        outs = tuple(again(s) for s in factor.out)
        which = next((k for k, s in enumerate(factor.out) if s.node.name == name), None)
        f = factor.potential.f
        if which is not None:
            args.append(extra[:])

            def f(*inputs, own=factor.potential.f, which=which):
                found = own(*inputs[:-1])
                found = list(found) if isinstance(found, tuple) else [found]
                found[which] = found[which] + inputs[-1]
                return tuple(found) if len(found) > 1 else found[0]

        moved.factor(
            Step(f, vectorized=factor.potential.vectorized),
            *args,
            out=outs if len(outs) > 1 else outs[0],
            name=factor.name,
        )
    from msgpass import ForwardOnly

    return run(moved, schedule=ForwardOnly()).total


@pytest.mark.parametrize("lengths", [None, [6, 2, 4]], ids=["whole", "ragged"])
def test_messages_at_states_gates_and_inputs_are_derivatives(cell, lengths):
    """∂L/∂h_t, ∂L/∂c_t, ∂L/∂gates_t and ∂L/∂x_t by central differences, two layers in two directions."""
    net, x, loss = problem(cell)
    m = bptt(net, x, loss, gates=True, lengths=lengths)
    rng = np.random.default_rng(1)
    sequences = [n for n in m.graph.nodes if n.startswith(("h_", "c_", "gates_"))]
    assert len(sequences) == 4 * (2 + ("c_l0" in m.graph.nodes))
    for name in sequences:
        shape = m.gradient[name].shape
        place = tuple(int(rng.integers(0, n)) for n in shape)
        sides = [shifted(net, x, loss, name, place, sign * 1e-5, lengths) for sign in (1, -1)]
        np.testing.assert_allclose(
            m.gradient[name][place], (sides[0] - sides[1]) / 2e-5, rtol=1e-5, atol=1e-8, err_msg=name
        )
    place = (1, 2, 0)
    step = np.zeros_like(x)
    step[place] = 1e-5
    sides = [bptt(net, x + sign * step, loss, lengths=lengths).total for sign in (1, -1)]
    np.testing.assert_allclose(m.gradient["x"][place], (sides[0] - sides[1]) / 2e-5, rtol=1e-5, atol=1e-8)


def test_gates_change_no_other_message(cell, sweep):
    net, x, loss = problem(cell)
    with_gates, plain = bptt(net, x, loss, gates=True), bptt(net, x, loss)
    for name in plain.gradient:
        np.testing.assert_allclose(with_gates.gradient[name], plain.gradient[name], **EXACT, err_msg=name)


def test_an_identity_changes_nothing(cell, sweep):
    net, x, loss = problem(cell)
    plain = bptt(net, x, loss)
    every = [*plain.gradient, *(TimeEdge(n) for n in plain.backward if n.startswith(("h_", "c_")))]
    same = bptt(net, x, loss, edges=dict.fromkeys(every, Scale(1.0)))
    assert same.total == plain.total
    for name in plain.gradient:
        np.testing.assert_allclose(same.gradient[name], plain.gradient[name], **EXACT, err_msg=name)


def test_truncation_of_all_time_edges_is_the_schedule(cell, sweep):
    net, x, loss = problem(cell, bidirectional=False)
    states = [n for n in bptt(net, x, loss).backward if n.startswith(("h_", "c_"))]
    rules = bptt(net, x, loss, edges={TimeEdge(n): Truncate(2) for n in states})
    schedule = bptt(net, x, loss, Truncated(2, 2))
    for name in rules.gradient:
        np.testing.assert_allclose(rules.gradient[name], schedule.gradient[name], **EXACT, err_msg=name)


def test_messages_are_clipped_sample_by_sample(cell, sweep):
    """At the top layer, λ_t = clip(local_t + J λ_{t+1}): each sample's norm is below the bound, and the last
    row is its local cotangent, clipped."""
    net, x, loss = problem(cell, layers=1, bidirectional=False)
    plain, m = bptt(net, x, loss), bptt(net, x, loss, edges={"h_l0": ClipNorm(0.5)})
    norms = np.linalg.norm(m.gradient["h_l0"], axis=-1)
    assert norms.max() <= 0.5 + 1e-12
    last = plain.gradient["h_l0"][-1]
    wanted = last * np.minimum(1, 0.5 / np.linalg.norm(last, axis=-1, keepdims=True))
    np.testing.assert_allclose(m.gradient["h_l0"][-1], wanted, **EXACT)
    np.testing.assert_allclose(
        bptt(net, x, loss, Checkpointed(2), edges={"h_l0": ClipNorm(0.5)}).parameters["weight_ih_l0"],
        m.parameters["weight_ih_l0"],
        **EXACT,
    )


def test_a_layer_can_be_cut_from_the_one_above():
    """("cell_l1", "h_l0") stopped: the lower layer hears nothing, the upper one what it heard."""
    net, x, loss = problem(LSTM, bidirectional=False)
    plain, cut = bptt(net, x, loss), bptt(net, x, loss, edges={("cell_l1", "h_l0"): Stop()})
    assert not cut.parameters["weight_hh_l0"].any()
    np.testing.assert_allclose(cut.parameters["weight_hh_l1"], plain.parameters["weight_hh_l1"], **EXACT)


def test_the_two_paths_of_an_lstm():
    """Messages along c alone, along h alone, and along both: a path that is stopped carries nothing."""
    net, x, loss = problem(LSTM, layers=1, bidirectional=False)
    both = bptt(net, x, loss, edges={TimeEdge("h_l0"): Stop(), TimeEdge("c_l0"): Stop()})
    local = SquaredError(loss.target).function(net(x)[0], loss.target)[1][0]
    np.testing.assert_allclose(both.gradient["h_l0"], local, **EXACT)
    assert not both.backward["c_l0"].any()
    only = bptt(net, x, loss, edges={TimeEdge("h_l0"): Stop()})
    assert only.backward["c_l0"].any()
    assert not only.backward["h_l0"].any()


def test_synthetic_gradients():
    """With the true message as the guess at every cut, the windows give the whole gradient."""
    net, x, loss = problem(GRU, layers=1, bidirectional=False)
    plain = bptt(net, x, loss)
    true = plain.backward["h_l0"]
    seen = []

    def guess(t, h, message):
        seen.append(t)
        return true[t] if t == 2 else message

    m = bptt(net, x, loss, edges={TimeEdge("h_l0"): [Truncate(3), Replace(guess)]})
    for name in plain.gradient:
        np.testing.assert_allclose(m.gradient[name], plain.gradient[name], **EXACT)
    assert set(seen) == {-1, 0, 1, 2, 3, 4}


def test_a_gradient_is_clipped_at_a_weight():
    net, x, loss = problem(RNN, layers=1, bidirectional=False)
    plain = bptt(net, x, loss).parameters["weight_hh_l0"]
    m = bptt(net, x, loss, edges={"weight_hh_l0": Normalise(2.0)})
    np.testing.assert_allclose(m.parameters["weight_hh_l0"], 2 * plain / np.linalg.norm(plain), **EXACT)


def test_terms_by_step_and_sample(cell, sweep):
    net, x, loss = problem(cell)
    m = bptt(net, x, loss)
    for key in ("weight_hh_l0", "weight_ih_l1_reverse", "bias_ih_l1"):
        c = m.contributions(key)
        assert c.by_step.shape == (T, *net.weights[key].shape)
        np.testing.assert_allclose(c.by_step.sum(0), m.parameters[key], **EXACT)
        np.testing.assert_allclose(c.by_sample.sum(0), m.parameters[key], **EXACT)
        np.testing.assert_allclose(c.by_step_and_sample.sum(1), c.by_step, **EXACT)
        np.testing.assert_allclose(c.by_step_and_sample.sum(0), c.by_sample, **EXACT)


def test_terms_of_a_sample_are_the_gradients_of_its_own_loss():
    net, x, loss = problem(LSTM)
    found = bptt(net, x, loss).contributions("weight_hh_l0").by_sample
    for b in range(B):
        alone = bptt(net, x[:, [b]], SquaredError(loss.target[:, [b]]))
        np.testing.assert_allclose(found[b], alone.parameters["weight_hh_l0"], **EXACT)


@pytest.mark.parametrize("gates", [False, True])
def test_transported_jacobians(cell, sweep, gates):
    """∂h_t/∂x_s of one sample by central differences, and ∂h_t/∂h_s of neighbours composed."""
    net, x, loss = problem(cell, layers=1, bidirectional=False)
    m = bptt(net, x, loss, gates=gates)
    J = m.jacobian(("h_l0", 4), "x")
    assert J.shape == (T, B, net.output_size, I)
    for s in range(T):
        for i in range(I):
            step = np.zeros_like(x)
            step[s, 1, i] = 1e-6
            sides = [net(x + sign * step)[0][4] for sign in (1, -1)]
            np.testing.assert_allclose(J[s, 1, :, i], ((sides[0] - sides[1]) / 2e-6)[1], rtol=1e-5, atol=1e-8)
    states = [n for n in ("h_l0", "c_l0") if n in m.graph.nodes]

    def joint(t, s):
        return np.block([[m.jacobian((a, t), (b, s), sample=2) for b in states] for a in states])

    np.testing.assert_allclose(joint(4, 2), joint(4, 3) @ joint(3, 2), **EXACT)


def test_the_adjoint_is_the_local_cotangents_transported():
    """λ_s = Σ_t (∂h_t/∂h_s)ᵀ local_t."""
    net, x, loss = problem(RNN, layers=1, bidirectional=False)
    m = bptt(net, x, loss)
    local = net(x)[0] - loss.target
    wanted = sum(np.einsum("sbij,bi->sbj", m.jacobian(("h_l0", t), "h_l0"), local[t]) for t in range(T))
    np.testing.assert_allclose(m.gradient["h_l0"], wanted, **EXACT)


def test_single_precision_stays():
    net, x, loss = problem(LSTM, layers=1, bidirectional=False, dtype="float32")
    edges = {TimeEdge("c_l0"): [ClipNorm(1.0), Scale(0.9)], "h_l0": ClipValue(0.5)}
    m = bptt(net, x, loss, edges=edges)
    assert all(m.gradient[n].dtype == np.float32 for n in ("h_l0", "c_l0", "weight_hh_l0"))
    assert m.jacobian(("h_l0", 3), "c_l0").dtype == np.float32
    terms = m.contributions("weight_hh_l0")
    assert terms.by_step.dtype == terms.by_sample.dtype == terms[0].dtype == np.float32


def test_labels_and_readouts():
    net, x, _ = problem(GRU, bidirectional=False)
    rng = np.random.default_rng(0)
    loss = CrossEntropy(rng.integers(0, 5, (T, B)), readout=Linear(H, 5, random_state=0))
    m = bptt(net, x, loss)
    c = m.contributions("readout.weight")
    np.testing.assert_allclose(c.by_step_and_sample.sum((0, 1)), m.parameters["readout.weight"], **EXACT)
    assert m.jacobian(("output", 3), ("h_l0", 1)).shape == (B, 5, H)


def test_rules_and_directions_do_not_go_together():
    net, x, loss = problem(RNN, layers=1, bidirectional=False)
    with pytest.raises(UnsupportedError, match="no second derivatives"):
        bptt(net, x, loss, direction={"x": np.ones_like(x)}, edges={"h_l0": Stop()})
