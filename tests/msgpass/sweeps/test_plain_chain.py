"""A recipe changes what a run costs and nothing that it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import FactorGraph, ForwardOnly, MaxProduct, Table, run
from msgpass.sweeps.plain_chain import PlainTables


def log_simplex(rng, *shape):
    p = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    p[rng.random(p.shape) < 0.1] = 0
    p[..., 0] += p.sum(axis=-1) == 0
    with np.errstate(divide="ignore"):
        return np.log(p / p.sum(axis=-1, keepdims=True))


def graph(kind, K, lengths, rng, flipped, turned):
    """A plain chain, its transition written (later, earlier), its symbols first, or neither."""
    T, M = sum(lengths), 3
    g = FactorGraph()
    z = g.sequence("z", length=lengths if len(lengths) > 1 else lengths[0], states=K)
    g.factor(Table(g.parameter("initial", log_simplex(rng, K))), z[0])
    transition = g.parameter("transition", log_simplex(rng, K, K))
    g.factor(Table(transition), *((z[1:], z[:-1]) if flipped else (z[:-1], z[1:])))
    if kind == "symbols":
        x = g.observe("x", rng.integers(0, M, T), states=M)
        emission = g.parameter("emission", log_simplex(rng, *((M, K) if turned else (K, M))))
        g.factor(Table(emission), *((x[:], z[:]) if turned else (z[:], x[:])))
    else:
        g.factor(Table(g.parameter("log_density", rng.normal(size=(T, K)))), z[:])
    return g


def readings(m):
    found = {f"parameter {name}": m.parameters[name] for name in m.parameters}
    return found | {
        "total": m.total,
        "totals": m.totals("z"),
        "belief": m.belief["z"],
        "forward": m.forward["z"],
    }


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["symbols", "densities"]),
    st.integers(1, 5),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_the_same_bits(seed, kind, K, lengths, flipped, turned):
    rng = np.random.default_rng(seed)
    g = graph(kind, K, lengths, rng, flipped, turned)
    values = {
        name: log_simplex(rng, *g.nodes[name].shape)
        if name != "log_density"
        else rng.normal(size=(sum(lengths), K))
        for name in run(g).parameters
    }
    runs = [run(g, values=values) for _ in range(2)]  # the first one makes the recipe
    if runs[0].total == -np.inf:
        assert runs[1].total == -np.inf
        return
    tables = next(iter(runs[1]._x.runs.values())).tables
    assert isinstance(tables, PlainTables)
    for (name, first), second in zip(readings(runs[0]).items(), readings(runs[1]).values(), strict=True):
        np.testing.assert_array_equal(first, second, err_msg=name)
    best = [run(g, MaxProduct(), values=values) for _ in range(2)]
    np.testing.assert_array_equal(best[0].assignment["z"], best[1].assignment["z"])
    assert run(g, schedule=ForwardOnly(), values=values).total == pytest.approx(runs[0].total, rel=1e-12)


def test_other_data_clamps_and_dtypes_take_the_general_way(rng):
    g = graph("symbols", 3, [6, 4], rng, False, False)
    values = {"transition": log_simplex(rng, 3, 3)}
    for _ in range(2):
        whole = run(g, values=values)
    for other in (
        {"x": np.array([0, 1, 2, -1, 0, 1, 2, 0, 1, 2])},
        {"z": np.array([0, -1, -1, -1, -1, -1, -1, -1, -1, -1])},
        {"emission": np.asarray(g.nodes["emission"].value, np.float32)},
    ):
        m = run(g, values=values | other)
        assert not isinstance(next(iter(m._x.runs.values())).tables, PlainTables)
        assert np.isfinite(m.total) and (m.total != whole.total or "emission" in other)
    assert run(g, values=values).total == whole.total
