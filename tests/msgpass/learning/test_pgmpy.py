"""EM against pgmpy's, from the same tables (skipped where it is not installed)."""

import warnings

import numpy as np
import pytest

from msgpass import FactorGraph, JunctionTree, Table
from msgpass.learning import fit

pytestmark = pytest.mark.peers

PARENTS = {"a": "", "h": "a", "b": "h", "d": "ah"}  # h is hidden


@pytest.mark.parametrize("iterations", [1, 4])
def test_iterations_with_a_hidden_variable(rng, iterations):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pgmpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pgmpy.estimators import ExpectationMaximization
        from pgmpy.factors.discrete import TabularCPD
        from pgmpy.models import DiscreteBayesianNetwork

        data = pandas.DataFrame({name: rng.integers(0, 2, 300) for name in "abd"})
        start = {}
        for name, parents in PARENTS.items():
            table = rng.dirichlet([1, 1], 2 ** len(parents)).T
            known = {"evidence": list(parents), "evidence_card": [2] * len(parents)} if parents else {}
            start[name] = TabularCPD(name, 2, table, **known)
        edges = [(parent, name) for name, parents in PARENTS.items() for parent in parents]
        theirs = ExpectationMaximization(DiscreteBayesianNetwork(edges, latents={"h"}), data).get_parameters(
            latent_card={"h": 2}, max_iter=iterations, n_jobs=1, init_cpds=start, show_progress=False
        )
    g = FactorGraph()
    for name in PARENTS:
        g.variable(name, states=2)
    for name, cpd in start.items():
        g.factor(Table(g.parameter(f"p({name})", np.log(cpd.values))), *(g[n] for n in cpd.variables))
    ours = fit(g, data, n_iter=iterations, tol=0, schedule=JunctionTree()).probabilities
    for cpd in theirs:
        order = [cpd.variables.index(n) for n in start[cpd.variable].variables]
        np.testing.assert_allclose(ours[f"p({cpd.variable})"], cpd.values.transpose(order), atol=1e-9)
