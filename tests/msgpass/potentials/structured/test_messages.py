"""Messages, partitions and gradients of factors with structure, against their definition by enumeration."""

import itertools

import numpy as np
import pytest
from hypothesis import given

from msgpass import Cardinality, NoisyOr, Parity, Potts
from msgpass.errors import DataError, ProbabilityError, UnsupportedError
from msgpass.kernels.structured_reference import link_messages, link_partition
from tests.msgpass.structured_models import KINDS, PARAMETRIC, factors, make

REDUCE = {False: np.logaddexp.reduce, True: np.max}


def enumerated(potential, incoming, maximise):
    """(messages, partition) by going through all configurations."""
    n, arity, states = incoming.shape
    places = np.array(list(itertools.product(range(states), repeat=arity)))
    found = potential.log_weight(places[None], potential.arrays())
    value = np.broadcast_to(found, (n, len(places)))
    single = np.stack([incoming[:, k, places[:, k]] for k in range(arity)])
    out = np.empty_like(incoming)
    for i in range(arity):
        rest = value + np.delete(single, i, axis=0).sum(axis=0)
        for x in range(states):
            out[:, i, x] = REDUCE[maximise](rest[:, places[:, i] == x], axis=1)
    return out, REDUCE[maximise](value + single.sum(axis=0), axis=1)


@pytest.mark.parametrize("maximise", [False, True], ids=["sum", "max"])
@given(drawn=factors())
def test_messages_and_partition_are_those_of_the_definition(maximise, drawn):
    potential, incoming = drawn
    out, total = enumerated(potential, incoming, maximise)
    found = potential.log_messages(incoming, maximise)
    np.testing.assert_allclose(found, out, rtol=1e-9, atol=1e-9)  # −∞ meets −∞ only
    np.testing.assert_allclose(potential.log_partition(incoming, maximise), total, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("maximise", [False, True], ids=["sum", "max"])
@given(drawn=factors())
def test_the_chain_of_links_is_the_factor(maximise, drawn):
    potential, incoming = drawn
    if maximise and not potential.deterministic:
        return
    arity, states = incoming.shape[1:]
    links = potential.links(arity, potential.arrays(), states)
    assert links[0].shape[1] == links[-1].shape[3] == 1
    out, total = enumerated(potential, incoming, maximise)
    np.testing.assert_allclose(link_messages(incoming, links, maximise), out, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(link_partition(incoming, links, maximise), total, rtol=1e-9, atol=1e-9)


@given(drawn=factors(zeros=False))
def test_the_table_is_the_definition(drawn):
    potential, incoming = drawn
    arity, states = incoming.shape[1:]
    table = potential.as_table(arity, states)
    for place in itertools.product(range(states), repeat=arity):
        value = potential.log_weight(np.array(place)[None, None], potential.arrays())[:, 0]
        np.testing.assert_array_equal(table[(slice(None), *place)], value)


DEFINITIONS = {
    "parity": lambda x: sum(x) % 2 == 0,
    "odd": lambda x: sum(x) % 2 == 1,
    "or": lambda x: max(x[:-1]) == x[-1],
    "and": lambda x: min(x[:-1]) == x[-1],
    "one": lambda x: sum(x) == 1,
    "most": lambda x: sum(x) <= 1,
    "pool": lambda x: sum(x[:-1]) == x[-1],
    "equal": lambda x: len(set(x)) == 1,
}


@pytest.mark.parametrize("kind", DEFINITIONS)
@pytest.mark.parametrize("arity", [2, 3, 5])
def test_what_each_allows(kind, arity, rng):
    potential, states = make(kind, rng, 1, arity)
    table = potential.as_table(arity, states)[0]
    for x in itertools.product(range(states), repeat=arity):
        assert table[x] == (0 if DEFINITIONS[kind](x) else -np.inf)


def test_noisy_or_is_one_minus_what_fails():
    table = np.exp(NoisyOr([0.8, 0.5], leak=0.1).as_table(3)[0])
    np.testing.assert_allclose(table[:, :, 0], 0.9 * np.outer([1, 0.2], [1, 0.5]))
    np.testing.assert_allclose(table.sum(axis=-1), 1)


@given(drawn=factors(PARAMETRIC, zeros=False, inside=True))
def test_gradients_are_differences_of_the_partition(drawn):
    potential, incoming = drawn
    parts = potential.arrays()
    found = potential.gradients(incoming, parts)
    assert found.keys() == parts.keys()
    for role, part in parts.items():
        wanted = np.zeros_like(found[role])
        for k in np.ndindex(part.shape[1:]):
            if not np.isfinite(part[(0, *k)]):
                continue
            moved = [{**parts, role: part.copy()} for _ in range(2)]
            for sign, m in zip((1, -1), moved, strict=True):
                m[role][(slice(None), *k)] += sign * 1e-5
            up, down = (potential.log_partition(incoming, False, m) for m in moved)
            wanted[(slice(None), *k)] = (up - down) / 2e-5
        np.testing.assert_allclose(found[role], wanted, rtol=1e-6, atol=1e-8)


@given(drawn=factors(PARAMETRIC, zeros=False, inside=True))
def test_gradients_at_configurations_average_to_those_of_the_partition(drawn):
    potential, incoming = drawn
    arity, states = incoming.shape[1:]
    parts, table = potential.arrays(), potential.as_table(arity, states)
    grid = np.indices((states,) * arity).reshape(arity, -1).T[None]
    joint = table.reshape(len(table), -1) + sum(incoming[:, k][:, grid[0, :, k]] for k in range(arity))
    weights = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
    for role, wanted in potential.gradients(incoming, parts).items():
        each = potential.gradients_at(grid, parts)[role]
        spread = weights.reshape(*weights.shape, *(1,) * (each.ndim - 2))
        np.testing.assert_allclose((spread * each).sum(axis=1), wanted, rtol=1e-9, atol=1e-12)


def test_a_probability_of_zero_has_a_gradient_from_messages_and_none_from_a_table():
    certain, incoming = NoisyOr([0.0, 0.5]), np.log([[[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]])
    found = certain.gradients(incoming, certain.arrays())
    up = NoisyOr([1e-6, 0.5]).log_partition(incoming) - certain.log_partition(incoming)
    np.testing.assert_allclose(found["links"][0, 0], up[0] / 1e-6, rtol=1e-5)
    with pytest.raises(UnsupportedError, match="no gradient through a table"):
        certain.gradients_at(np.array([[[1, 0, 1]]]), certain.arrays())


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"potts"}))
def test_long_factors(kind, rng):
    """A table of 200 variables has more entries than there are atoms."""
    potential, states = make(kind, rng, 1, 200, inside=True)
    incoming = rng.normal(size=(1, 200, states))
    out = potential.log_messages(incoming)
    total = np.logaddexp.reduce(incoming + out, axis=-1)
    np.testing.assert_allclose(
        total, np.broadcast_to(potential.log_partition(incoming)[:, None], total.shape)
    )


def test_a_table_that_would_be_too_large_says_what_runs():
    with pytest.raises(UnsupportedError, match=r"2\^30 entries.*Flooding.*JunctionTree"):
        Parity().as_table(30)
    with pytest.raises(UnsupportedError, match="knapsack"):
        NoisyOr(0.5).log_messages(np.zeros((1, 30, 2)), maximise=True)


@pytest.mark.parametrize(
    ("make_it", "error", "said"),
    [
        (lambda: NoisyOr([0.5, 1.5]), ProbabilityError, "links are probabilities between 0 and 1, got 1.5"),
        (lambda: NoisyOr([0.5], leak=-0.1), ProbabilityError, "leak"),
        (lambda: Parity(2), DataError, "0 .even. or 1"),
        (lambda: Cardinality([0.0, np.nan]), DataError, "NaN"),
        (lambda: Cardinality([0.0, np.inf]), DataError, "infinite"),
        (lambda: Potts("x"), DataError, "numbers"),
    ],
)
def test_bad_numbers_are_refused(make_it, error, said):
    with pytest.raises(error, match=said):
        make_it()
