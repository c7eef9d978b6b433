"""The compiled sweeps against the reference, and the two ways in which sum-product is compiled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import JunctionTree, MaxProduct, SumProduct, run
from msgpass.kernels.interface_compiled import InterfaceCompiled
from msgpass.kernels.interface_reference import InterfaceReference
from msgpass.sweeps.interface.tables import exponentials
from tests.msgpass.sliced_models import sliced_models
from tests.msgpass.sweeps.interface.test_interface import interface_runs

CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def both(made, algebra, logs):
    """(reference, compiled) sweep of a run."""
    layout, tables = made.layout, made.tables
    common = layout.programs, layout.slices, tables, layout.batch
    compiled = InterfaceCompiled(
        *common, isinstance(algebra, MaxProduct), lambda given: exponentials(given, layout)
    )
    if logs and not compiled.maximise:
        compiled.collect_logs()
    return InterfaceReference(*common, algebra.reduce), compiled


@settings(max_examples=60)
@given(sliced_models(), st.sampled_from([(SumProduct(), False), (SumProduct(), True), (MaxProduct(), True)]))
def test_the_compiled_sweeps_are_the_reference(model, which):
    algebra, logs = which
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    for made in interface_runs(m):
        reference, compiled = both(made, algebra, logs)
        assert compiled.in_logs == logs
        np.testing.assert_allclose(
            np.cumsum(compiled.scale, axis=1), np.cumsum(reference.scale, axis=1), **CLOSE
        )
        flat, nodes = made.layout.flat, made.layout.sliced.nodes
        first = len(made.layout.sliced.scopes)
        counts = {first + k: flat.rows[name] for k, name in enumerate(nodes)}
        counts |= {k: len(owner) for k, owner in enumerate(made.layout.sliced.owner)}
        for sink, count in counts.items():
            for local in (False, True):
                found = compiled.read(sink, count, local)
                np.testing.assert_allclose(found, reference.read(sink, count, local), **CLOSE)
        if not logs:
            for sink, shared in compiled.numbers(counts, shared=frozenset(counts)).items():
                own = np.exp(reference.read(sink, counts[sink])).sum(axis=1, keepdims=True)
                np.testing.assert_allclose(shared, own, **CLOSE)


@settings(max_examples=30)
@given(sliced_models(), st.booleans())
def test_assignments_and_draws_are_the_reference_s(model, maximise):
    algebra = MaxProduct() if maximise else SumProduct()
    m = run(model.graph, algebra, JunctionTree(), values=model.values)
    for made in interface_runs(m):
        reference, compiled = both(made, algebra, maximise)
        layout = made.layout
        uniforms = np.random.default_rng(0).random((layout.batch, 5, int(layout.slices.number[-1])))
        found = []
        for sweep in (reference, compiled):
            states = np.zeros((layout.batch, 5, len(layout.flat)), np.int64)
            sweep.decide(states, layout.firsts, None if maximise else uniforms)
            found.append(states)
        if maximise:  # the best may be several: scores are compared elsewhere
            assert found[0].shape == found[1].shape
        else:
            assert np.mean(found[0] == found[1]) == pytest.approx(1.0)
