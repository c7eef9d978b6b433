"""A network's matrices, law of mass action, and what it conserves."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.errors import DataError, ShapeError
from rnn.systems.kinetics import EXAMPLES, ReactionNetwork, Reactor, UnknownSpeciesError, example
from rnn.systems.kinetics.conservation import conservation_laws


def written_out(network, c, k):
    """dc/dt reaction by reaction."""
    found = np.zeros(len(c))
    for r, reaction in enumerate(network.reactions):
        rate = k[r]
        for s, n in reaction.reactants.items():
            rate *= c[network.index(s)] ** float(n)
        for s, n in reaction.reactants.items():
            found[network.index(s)] -= float(n) * rate
        for s, n in reaction.products.items():
            found[network.index(s)] += float(n) * rate
    return found


def place(network, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 2, (*batch, len(network.species))), rng.uniform(0.1, 2, len(network.reactions))


@pytest.mark.parametrize("name", EXAMPLES)
def test_right_hand_side(name):
    network = example(name).network
    c, k = place(network)
    wanted = written_out(network, c, k)
    np.testing.assert_allclose(network.rhs(0.0, c, k), wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(network.stoichiometry @ network.rates(c, k), wanted, rtol=1e-12, atol=1e-14)
    many, _ = place(network, 1, (4,))
    rows = np.stack([written_out(network, row, k) for row in many])
    np.testing.assert_allclose(network.rhs(0.0, many, k), rows, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EXAMPLES)
def test_jacobians_are_those_of_differences(name):
    network = example(name).network
    c, k = place(network)
    J, K = network.jacobian(c, k), network.jacobian_rates(c)
    for j in range(len(c)):
        d = 1e-6 * np.eye(len(c))[j]
        slope = (network.rhs(0.0, c + d, k) - network.rhs(0.0, c - d, k)) / 2e-6
        np.testing.assert_allclose(J[:, j], slope, rtol=1e-7, atol=1e-8)
    for r in range(len(k)):
        np.testing.assert_allclose(K[:, r], network.rhs(0.0, c, np.eye(len(k))[r]), rtol=1e-12, atol=1e-14)


def test_slopes_where_a_species_is_gone():
    network = ReactionNetwork("k1: 2 A + B -> C; k2: A -> B; k3: -> A")
    J = network.jacobian([0.0, 2.0, 0.0], [1.0, 3.0, 1.0])
    np.testing.assert_array_equal(J, [[-3, 0, 0], [3, 0, 0], [0, 0, 0]])


def test_orders_of_ones_own():
    network = ReactionNetwork("k1: A + B -> C", orders={"k1": {"A": 0.5, "B": 0, "C": 1}})
    assert network.rates([4.0, 7.0, 3.0], [2.0]) == 2 * 2 * 3
    J = network.jacobian([4.0, 7.0, 3.0], [2.0])
    np.testing.assert_allclose(J[2], [2 * 0.5 / 2 * 3, 0, 2 * 2])


def test_order_of_species():
    network = ReactionNetwork("A -> B", species=["B", "inert", "A"])
    assert network.rhs(0.0, [0.0, 5.0, 2.0], [3.0]).tolist() == [6, 0, -6]
    assert network.concentrations({"A": 1.0}).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "name, laws",
    [
        ("consecutive", ("A + B + C",)),
        ("waste", ("A + B + C + waste",)),
        ("enzyme", ("E + ES", "S + ES + P")),
        ("robertson", ("A + B + C",)),
        ("brusselator", ()),
        ("lotka", ()),
    ],
)
def test_conservation_laws(name, laws):
    assert example(name).network.conserved_names() == laws


@pytest.mark.parametrize(
    "reactions, wanted",
    [
        ("2 H2 + O2 -> 2 H2O", {("H2 + H2O"), ("2 O2 + H2O")}),
        ("A -> 3 B", {"3 A + B"}),
        ("A + B <-> C; C + B <-> D", {"A + C + D", "B + C + 2 D"}),
        ("-> A + B; A + B ->", {"A − B"}),
        ("A -> 1/2 B", {"A + 2 B"}),
    ],
)
def test_laws_are_small_whole_numbers(reactions, wanted):
    assert set(ReactionNetwork(reactions).conserved_names()) == wanted


matrices = st.integers(1, 5).flatmap(
    lambda S: st.lists(st.lists(st.integers(-2, 2), min_size=S, max_size=S), min_size=1, max_size=4)
)


@given(matrices)
def test_laws_span_the_left_null_space(columns):
    N = np.array(columns).T
    laws = conservation_laws([[Fraction(int(x)) for x in row] for row in N])
    assert laws.shape == (len(N) - np.linalg.matrix_rank(N), len(N))
    assert not (laws @ N).any()
    if len(laws):
        assert np.linalg.matrix_rank(laws) == len(laws)
        assert (np.gcd.reduce(laws, axis=1) == 1).all()


def test_detailed_balance_at_equilibrium():
    e = example("reversible_chain")
    c = Reactor(e.network, e.rates, e.start, 200.0).simulate().c[-1]
    v = e.network.rates(c, e.rates)
    np.testing.assert_allclose(v[0::2], v[1::2], rtol=1e-6)
    np.testing.assert_allclose(c[1] / c[0], 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    "make, error, what",
    [
        (lambda n: n.index("X"), UnknownSpeciesError, "no species 'X'; there are A, B"),
        (lambda n: n.rate_vector({"k9": 1.0}), DataError, "no rate 'k9'; there are k1, k2"),
        (lambda n: n.rate_vector({"k1": 1.0}), DataError, "lacks k2"),
        (lambda n: n.rate_vector([1.0]), ShapeError, "wanted 2 numbers: k1, k2"),
        (lambda n: n.rate_vector([1.0, -2.0]), DataError, "k2 is negative, -2"),
        (lambda n: n.rate_vector({"k1": [1.0], "k2": 1.0}), ShapeError, "must be a number"),
        (lambda n: n.concentrations({"A": -1.0}), DataError, "A is negative, -1"),
        (lambda n: n.concentrations({"B": np.nan}), DataError, "B is NaN"),
        (lambda n: n.concentrations({"Q": 1.0}), UnknownSpeciesError, "'Q'"),
        (lambda n: n.concentrations([1.0]), ShapeError, "last axis of 2: A, B"),
        (lambda n: n.concentrations({"A": [1.0, 2.0], "B": [1.0, 2.0, 3.0]}), ShapeError, "samples"),
        (lambda n: ReactionNetwork("A -> B", ["A"]), UnknownSpeciesError, "name B"),
        (lambda n: ReactionNetwork("A -> B", ["A", "B", "A"]), DataError, "twice"),
        (lambda n: ReactionNetwork("A -> B", orders={"k1": {"A": -1}}), DataError, "≥ 0"),
        (lambda n: ReactionNetwork("A -> B", orders={"x": {"A": 1}}), DataError, "no rate 'x'"),
        (lambda n: ReactionNetwork("A -> B", orders={"k1": 2}), DataError, "dict by rate.*2 for k1"),
        (lambda n: ReactionNetwork("A -> B", orders=2), DataError, "dict by rate"),
        (lambda n: ReactionNetwork("A -> B", species="A B"), DataError, "sequence of names"),
        (lambda n: example("water"), DataError, "consecutive"),
    ],
)
def test_what_does_not_fit(make, error, what):
    with pytest.raises(error, match=what):
        make(ReactionNetwork("A <-> B"))
