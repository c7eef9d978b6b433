"""Two-slice networks there and back, and what pgmpy answers right: one query, leaves seen."""

import warnings

import numpy as np
import pytest

from hmm import DynamicBayesianNetwork
from hmm.interop import from_pgmpy, to_pgmpy
from msgpass.errors import DataError, UnsupportedError
from tests.hmm.dynamic.test_reference import pgmpys_docstring, umbrella

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def pgmpy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        pytest.importorskip("pgmpy")
        from pgmpy import factors, inference, models
    return factors, inference, models


def random_network(seed):
    rng = np.random.default_rng(seed)
    parents = {
        "a": [("a", -1)],
        "b": [("a", -1), "a", ("b", -1)],
        "seen": ["b", "a"],
    }
    model = DynamicBayesianNetwork({"a": 2, "b": 3, "seen": 4}, parents, columns=["seen"])
    tables = {
        (n, first): rng.dirichlet(np.ones(model.states[n]), model._shape(n, first)[:-1])
        for _, n, first in model.tables()
    }
    model.cpds_ = {n: p for (n, first), p in tables.items() if not first}
    model.initial_cpds_ = {n: p for (n, first), p in tables.items() if first}
    return model


@pytest.mark.parametrize("model", [umbrella(), pgmpys_docstring(), random_network(0), random_network(1)])
def test_there_and_back(pgmpy, model):
    back = from_pgmpy(to_pgmpy(model))
    assert {n: set(map(str, own)) for n, own in back.parents.items() if own} == {
        n: set(map(str, own)) for n, own in model.parents.items() if own
    }
    X = model.sample(30, random_state=0)
    back.set_params(columns=model.columns)
    assert back.score(X) == pytest.approx(model.score(X), abs=1e-10)
    for name, own in model.predict_proba(X).items():
        np.testing.assert_allclose(back.predict_proba(X)[name], own, atol=1e-10)


@pytest.mark.parametrize("model", [umbrella(), pgmpys_docstring()])
def test_one_query_is_answered_alike(pgmpy, model):
    _, inference, _ = pgmpy
    X = model.sample(12, random_state=1).ravel()
    leaf, hidden = model.columns[0], next(iter(model.states))
    evidence = {(leaf, t): int(v) for t, v in enumerate(X)}
    theirs = to_pgmpy(model)
    theirs.initialize_initial_state()
    smooth, causal = model.predict_proba(X)[hidden], model.filter(X)[hidden]
    for t in (0, 5, 11):
        found = inference.DBNInference(theirs).backward_inference([(hidden, t)], evidence)[hidden, t].values
        np.testing.assert_allclose(found, smooth[t], atol=1e-9)
    found = inference.DBNInference(theirs).forward_inference([(hidden, 11)], evidence)[hidden, 11].values
    np.testing.assert_allclose(found, causal[11], atol=1e-9)


def test_what_does_not_fit_is_told(pgmpy):
    factors, _, models = pgmpy
    bare = models.DynamicBayesianNetwork([(("a", 0), ("a", 1))])
    with pytest.raises(DataError, match="no CPD of"):
        from_pgmpy(bare)
    bare.add_cpds(factors.discrete.TabularCPD(("a", 0), 2, [[0.5], [0.5]]))
    with pytest.raises(DataError, match=r"no CPD of .'a', 1."):
        from_pgmpy(bare)
    driven = DynamicBayesianNetwork.from_tables(
        {"u": 2, "a": 2}, {"a": ["u"]}, {"a": np.full((2, 2), 0.5)}, {}, inputs=["u"]
    )
    with pytest.raises(UnsupportedError, match="inputs"):
        to_pgmpy(driven)
