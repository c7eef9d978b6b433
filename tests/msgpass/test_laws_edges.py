"""Laws of rules on edges, over recurrences of every shape."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Adjoint, Checkpointed, OnEdges, ParallelScan, TimeEdge, Truncated, run
from msgpass.algebra.rules import Scale, Stop, Truncate
from msgpass.nodes import Observation, Parameter, Sequence
from tests.msgpass.edge_models import LINEAR, lags, passed_back, places_of, rules_for
from tests.msgpass.mixed_models import mixed_graphs
from tests.msgpass.recurrence_models import KINDS, recurrences
from tests.oracles import cells_of, values_of

EXACT = {"rtol": 1e-9, "atol": 1e-11}
ONE_LENGTH = st.one_of(st.integers(1, 5), st.lists(st.just(3), min_size=2, max_size=2))
ANY = recurrences(lengths=ONE_LENGTH)


def agree(left, right, graph):
    for name in graph.nodes:
        if name in left.gradient:
            np.testing.assert_allclose(left.gradient[name], right.gradient[name], **EXACT, err_msg=name)


@settings(max_examples=150)
@given(ANY, st.data())
def test_every_message_is_that_of_the_slow_pass(graph, data):
    rules = data.draw(rules_for(graph))
    m = run(graph, OnEdges(Adjoint(), rules))
    wanted = passed_back(graph, values_of(m), rules)
    for name in wanted:
        np.testing.assert_allclose(m.gradient[name], wanted[name], **EXACT, err_msg=name)
    assert m.total == run(graph).total


@given(recurrences())
def test_identities_change_nothing(graph):
    agree(run(graph, OnEdges(Adjoint(), dict.fromkeys(places_of(graph), Scale(1.0)))), run(graph), graph)


@given(ANY, st.data())
def test_checkpointed_and_scanned_are_sequential(graph, data):
    algebra = OnEdges(Adjoint(), data.draw(rules_for(graph)))
    m = run(graph, algebra)
    for schedule in (Checkpointed(2), ParallelScan()):
        agree(run(graph, algebra, schedule), m, graph)


CAUSAL = [k for k in KINDS if k not in ("reverse", "bidirectional", "attention", "encoder edge", "lag two")]


@given(st.data(), st.integers(1, 3), st.integers(1, 2))
def test_truncated_time_edges_are_the_schedule(data, k, windows):
    """Where k divides the length: the schedule's last window reaches back k steps, even if it is shorter."""
    lengths = st.sampled_from([windows * k, [windows * k, k]])
    graph = data.draw(recurrences(kinds=CAUSAL, lengths=lengths))
    edges = {TimeEdge(n): Truncate(k) for n, v in graph.nodes.items() if any(lags(graph, n))}
    if edges:
        agree(run(graph, OnEdges(Adjoint(), edges)), run(graph, Adjoint(), Truncated(k, k)), graph)


@given(recurrences())
def test_a_stopped_variable_is_a_constant(graph):
    """∂total/∂θ with h held: nothing reaches what computes h, and all else hears what it heard."""
    m, stopped = run(graph), run(graph, OnEdges(Adjoint(), {"h": Stop()}))
    assert not np.any(stopped.gradient["h"])
    last = graph["last loss"]
    for s in last.args[:1]:
        for j, (place, row) in enumerate(cells_of(s, last)):
            said = m.message(last[j], place.node[row])
            np.testing.assert_array_equal(stopped.message(last[j], place.node[row]), said)
    assert not np.any(stopped.gradient["e_h"])


@given(ANY, st.sampled_from(LINEAR), st.data())
def test_linear_rules_give_messages_that_are_linear_in_the_losses(graph, rule, data):
    """Twice the loss, twice every message: scaling all losses' edges commutes with linear rules elsewhere."""
    place = data.draw(
        st.sampled_from([p for p in places_of(graph) if not (isinstance(p, tuple) and "loss" in p[0])])
    )
    losses = {
        (f.name, s.node.name): Scale(2.0)
        for f in graph.factors.values()
        if not f.out
        for s in f.args
        if not s.node.discrete
    }
    if place in losses:
        return
    once = run(graph, OnEdges(Adjoint(), {place: rule}))
    twice = run(graph, OnEdges(Adjoint(), {**losses, place: rule}))
    for name in once.gradient:
        np.testing.assert_allclose(twice.gradient[name], 2 * once.gradient[name], **EXACT)


@given(recurrences(kinds=[k for k in KINDS if k != "attention"], lengths=ONE_LENGTH), st.data())
def test_single_messages_add_up_to_what_a_variable_is_told(graph, data):
    """Rules on edges act on single messages; sums of them are what arrives where no variable has a rule."""
    rules = {k: r for k, r in data.draw(rules_for(graph)).items() if isinstance(k, tuple)}
    m = run(graph, OnEdges(Adjoint(), rules)) if rules else run(graph)
    told = {n.name: np.zeros(np.shape(m.gradient[n.name])) for n in graph.nodes.values() if not n.discrete}
    for factor in graph.factors.values():
        for s in factor.args:
            for j, (read, row) in enumerate(cells_of(s, factor)):
                node = read.node
                if row < 0:
                    told[node.name] += m.message(factor[j], node)
                elif isinstance(node, Sequence | Observation):
                    told[node.name][row] += m.message(factor[j], node[row])
    for node in graph.nodes.values():
        own_starts = isinstance(node, Parameter) and node.name[-1] in "0T" and len(node.shape) == 2
        if isinstance(node, Sequence | Parameter) and not own_starts:
            np.testing.assert_allclose(m.gradient[node.name], told[node.name], **EXACT, err_msg=node.name)


@settings(max_examples=25)
@given(mixed_graphs())
def test_scores_of_tables_have_rules_as_variables(graph):
    """Half of what the tables say to a score, half of what arrives at the weights that make it."""
    name = "s" if "s" in graph.nodes else "a"
    weight = "V" if name == "s" else "V2"
    m, half = run(graph), run(graph, OnEdges(Adjoint(), {name: Scale(0.5)}))
    np.testing.assert_allclose(half.parameters[weight], 0.5 * m.parameters[weight], **EXACT)
    np.testing.assert_allclose(half.gradient[name], 0.5 * m.gradient[name], **EXACT)
