"""Reactions from text: what is read, and where a text is wrong."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.errors import DataError
from rnn.systems.kinetics import ReactionSyntaxError, parse


@pytest.mark.parametrize(
    "text, names, reactants, products",
    [
        ("A -> B", ["k1"], [{"A": 1}], [{"B": 1}]),
        ("2 A + B -> C", ["k1"], [{"A": 2, "B": 1}], [{"C": 1}]),
        ("2A+B→3*C", ["k1"], [{"A": 2, "B": 1}], [{"C": 3}]),
        ("A + A -> B", ["k1"], [{"A": 2}], [{"B": 1}]),
        ("A <-> B", ["k1", "k2"], [{"A": 1}, {"B": 1}], [{"B": 1}, {"A": 1}]),
        ("kf, kr: A ⇌ B", ["kf", "kr"], [{"A": 1}, {"B": 1}], [{"B": 1}, {"A": 1}]),
        ("k: A <=> B", ["k_f", "k_r"], [{"A": 1}, {"B": 1}], [{"B": 1}, {"A": 1}]),
        ("-> A", ["k1"], [{}], [{"A": 1}]),
        ("0 -> A", ["k1"], [{}], [{"A": 1}]),
        ("in: ∅ -> A", ["in"], [{}], [{"A": 1}]),
        ("A ->", ["k1"], [{"A": 1}], [{}]),
        ("B -> waste  # lost", ["k1"], [{"B": 1}], [{"waste": 1}]),
        ("Fe(2+) -> Fe(3+) + e(-)", ["k1"], [{"Fe(2+)": 1}], [{"Fe(3+)": 1, "e(-)": 1}]),
        ("E + S -> E + P", ["k1"], [{"E": 1, "S": 1}], [{"E": 1, "P": 1}]),
        ("Z -> 0.5 Y", ["k1"], [{"Z": 1}], [{"Y": Fraction(1, 2)}]),
        ("Z -> 1/2 Y", ["k1"], [{"Z": 1}], [{"Y": Fraction(1, 2)}]),
        ("A -> B\n\n x: B -> C", ["k1", "x"], [{"A": 1}, {"B": 1}], [{"B": 1}, {"C": 1}]),
        ("A -> B; A -> C", ["k1", "k2"], [{"A": 1}, {"A": 1}], [{"B": 1}, {"C": 1}]),
    ],
)
def test_what_is_read(text, names, reactants, products):
    found = parse(text)
    assert [r.name for r in found] == names
    assert [r.reactants for r in found] == reactants
    assert [r.products for r in found] == products


@pytest.mark.parametrize(
    "text, position, what",
    [
        ("A + -> B", 4, "species is missing"),
        ("2 Na+ -> Na", 6, r"before the arrow; .* charge in parentheses, Na\(\+\)"),
        ("A( -> B", 1, "expected"),
        ("A -> B +", 8, "species is missing before the end"),
        ("A -> 2", 6, "species is missing"),
        ("A B -> C", 2, "expected '\\+'"),
        ("A - B -> C", 2, "expected '\\+'"),
        ("A, B", 4, "no arrow"),
        ("A -> B -> C", 7, "second arrow"),
        ("1/0 A -> B", 0, "divided by zero"),
        ("0 A -> B", 0, "must be > 0"),
        ("A -> -2 B", 5, "species is missing before '-'"),
        ("2x: A -> B", 0, "'2x' is no name"),
        ("k, : A <-> B", 3, "'' is no name"),
        ("a, b: A -> B", 0, "2 names"),
        ("a, b, c: A <-> B", 0, "3 names"),
        ("A -> A", 2, "both sides are the same"),
    ],
)
def test_errors_point_at_the_place(text, position, what):
    with pytest.raises(ReactionSyntaxError, match=what) as caught:
        parse(["X -> Y", text])
    error = caught.value
    assert (error.text, error.position, error.number) == (text, position, 2)
    *_, line, mark = str(error).split("\n")
    assert line == f"  {text}" and mark.index("^") == position + 2


@pytest.mark.parametrize(
    "reactions, what",
    [
        ("", "no reaction"),
        ([], "no reaction"),
        (3, "texts"),
        ({"k1": "A -> B"}, "got a dict"),
        (["A -> B", 3], "a text"),
        ("k: A -> B; k: B -> C", "two rates are called 'k'"),
        ("k2: A -> B; B -> C", "two rates are called 'k2'"),
    ],
)
def test_what_is_no_text_of_reactions(reactions, what):
    with pytest.raises(DataError, match=what):
        parse(reactions)


names = st.sampled_from(["A", "B2", "Mg", "waste", "x_1", "S'"])
sides = st.dictionaries(names, st.fractions(min_value="1/9", max_value=9, max_denominator=9), max_size=3)


@given(sides, sides)
def test_what_is_written_is_read_again(left, right):
    def written(side):
        return " + ".join(f"{n} {s}" for s, n in side.items())

    if left == right:
        return
    (found,) = parse(f"{written(left)} -> {written(right)}")
    assert (found.reactants, found.products) == (left, right)


@given(st.text(alphabet="AB2+->:,<= /.0", max_size=14))
def test_any_text_is_read_or_refused(text):
    try:
        parse(text)
    except DataError:
        return
