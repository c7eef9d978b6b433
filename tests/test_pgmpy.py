"""Marginals of a Bayesian network without loops, against pgmpy's variable elimination (skipped where it is
not installed)."""

import warnings

import numpy as np
import pytest

from msgpass import FactorGraph, MaxProduct, Table, run

pytestmark = pytest.mark.peers

# A student's grade depends on the course's difficulty and on intelligence, which shows in a test; a letter
# follows the grade
# (Koller & Friedman 2009, figure 3.4). Last axis: the child.
NETWORK = {
    ("difficulty",): [0.6, 0.4],
    ("intelligence",): [0.7, 0.3],
    ("intelligence", "test"): [[0.95, 0.05], [0.2, 0.8]],
    ("intelligence", "difficulty", "grade"): [
        [[0.3, 0.4, 0.3], [0.05, 0.25, 0.7]],
        [[0.9, 0.08, 0.02], [0.5, 0.3, 0.2]],
    ],
    ("grade", "letter"): [[0.1, 0.9], [0.4, 0.6], [0.99, 0.01]],
}
STATES = {"difficulty": 2, "intelligence": 2, "test": 2, "grade": 3, "letter": 2}


@pytest.fixture(scope="module")
def inference():
    pytest.importorskip("pgmpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from pgmpy.factors.discrete import TabularCPD
        from pgmpy.inference import VariableElimination
        from pgmpy.models import DiscreteBayesianNetwork
    network = DiscreteBayesianNetwork([(a, names[-1]) for names in NETWORK for a in names[:-1]])
    for (*parents, child), table in NETWORK.items():
        columns = np.asarray(table).reshape(-1, STATES[child]).T
        cards = [STATES[p] for p in parents]
        network.add_cpds(TabularCPD(child, STATES[child], columns, parents or None, cards or None))
    return VariableElimination(network)


def graph() -> FactorGraph:
    g = FactorGraph()
    variables = {name: g.variable(name, states=k) for name, k in STATES.items()}
    for names, table in NETWORK.items():
        g.factor(Table.from_probabilities(table), *(variables[n] for n in names))
    return g


@pytest.mark.parametrize(
    "evidence", [{}, {"letter": 1}, {"letter": 0, "test": 1}, {"grade": 2, "difficulty": 0}]
)
def test_marginals_and_best_assignment(inference, evidence):
    m = run(graph(), values=evidence)
    for name in STATES.keys() - evidence.keys():
        theirs = inference.query([name], evidence=evidence, show_progress=False).values
        assert np.exp(m.belief[name]) == pytest.approx(theirs, abs=1e-12)
    best = run(graph(), MaxProduct(), values=evidence).assignment
    free = sorted(STATES.keys() - evidence.keys())
    theirs = inference.map_query(free, evidence=evidence, show_progress=False)
    assert {name: int(best[name]) for name in free} == {name: int(theirs[name]) for name in free}
