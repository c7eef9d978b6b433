"""A chain over evidence: its graph, with its own densities or to be given some; and what outlives a run."""

import gc
import tracemalloc

import numpy as np
import pytest

import hmm
from msgpass import run

ROWS = 50_000


@pytest.fixture
def model(rng):
    fitted = hmm.GaussianHMM(3, random_state=0, n_iter=3, tol=-1.0)
    return fitted.fit(rng.normal(size=(200, 2)))


@pytest.mark.parametrize("kind", [hmm.GaussianHMM, hmm.CategoricalHMM])
def test_a_graph_that_is_given_values_is_the_one_with_its_own(kind, rng):
    X = rng.integers(0, 4, (90, 1)) if kind is hmm.CategoricalHMM else rng.normal(size=(90, 1))
    fitted = kind(3, random_state=0, n_iter=2, tol=-1.0).fit(X, lengths=[40, 50])
    chain, evidence = fitted._ready(X, [40, 50])
    own, given = run(chain.graph(evidence)), chain.run(evidence)
    assert given.total == own.total == fitted.score(X, lengths=[40, 50])
    assert list(given.parameters) == list(own.parameters)
    for name in own.parameters:
        assert np.array_equal(given.parameters[name], own.parameters[name])


@pytest.mark.parametrize(
    "call",
    ["score", "score_sequences", "score_samples", "filter", "predict", "fit", "predictive_log_density"],
)
def test_densities_are_freed_without_the_collector(model, call, rng):
    """A graph is a cycle of references: what it held would stay."""
    X = rng.normal(size=(ROWS, 2))
    getattr(model, call)(X)  # what is loaded or kept for later calls is no leak
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(2):
            getattr(model, call)(X)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < 8 * ROWS * 3  # one (T, K) array
