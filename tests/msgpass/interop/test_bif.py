"""BIF files: what is written is read back, and what is wrong is named with its line."""

import numpy as np
import pytest

from msgpass import FactorGraph, Table, run
from msgpass.errors import DataError, UnsupportedError
from msgpass.interop.bif import parse_bif, read_bif, write_bif

HEAD = """network rain { property "made { by ; hand"; }
/* two
   variables */
variable rain { type discrete [ 2 ] { no, yes }; property position = (1, 2); }
variable wet {
  type discrete [3] { "not at all", a bit, very };  // quoted and not
}
"""
ROWS = "probability ( rain ) { table 0.8, 0.2; }\nprobability ( wet | rain ) {\n"
TEXT = HEAD + ROWS + "  (yes) 0.1 0.3 0.6;\n  (no) 0.9, 0.08, 2e-2;\n}\n"


def test_names_tables_and_comments(tmp_path):
    path = tmp_path / "rain.bif"
    path.write_text(TEXT)
    g = read_bif(path)
    assert g.state_names == {"rain": ("no", "yes"), "wet": ("not at all", "a bit", "very")}
    assert list(g.factors) == ["P(rain)", "P(wet | rain)"]
    assert np.exp(g["table of wet"].value) == pytest.approx(np.array([[0.9, 0.08, 0.02], [0.1, 0.3, 0.6]]))
    m = run(g, values={"wet": "very"})
    assert np.exp(m.belief["rain"]) == pytest.approx(np.array([0.8 * 0.02, 0.2 * 0.6]) / 0.136)
    assert m.parameters["table of rain"] == pytest.approx(np.exp(m.belief["rain"]))
    plain = read_bif(path, parameters=False)
    assert list(plain.nodes) == ["rain", "wet"]


@pytest.mark.parametrize(
    "rows",
    [
        "  table 0.9, 0.1, 0.08, 0.3, 0.02, 0.6;\n}",  # the variable slowest
        "  default 0.1, 0.3, 0.6;\n  (no) 0.9, 0.08, 0.02;\n}",
    ],
)
def test_other_forms_of_a_table(rows):
    found = np.exp(parse_bif(HEAD + ROWS + rows)["table of wet"].value)
    assert found == pytest.approx(np.array([[0.9, 0.08, 0.02], [0.1, 0.3, 0.6]]))


def test_variables_may_come_later_in_another_case():
    lines = TEXT.split("\n")
    g = parse_bif("\n".join(lines[7:] + lines[:7]).replace("( wet | rain )", '( "WET"  RAIN )'))
    assert list(g.factors) == ["P(rain)", "P(wet | rain)"]


def test_round_trip(tmp_path):
    path = tmp_path / "again.bif"
    first = parse_bif(TEXT)
    write_bif(first, path)
    again = read_bif(path)
    assert again.state_names == first.state_names and list(again.factors) == list(first.factors)
    for name in ("table of rain", "table of wet"):
        assert again[name].value == pytest.approx(first[name].value, abs=1e-14)


def test_slices_are_variables(tmp_path):
    path, g = tmp_path / "chain.bif", FactorGraph()
    z = g.sequence("z", length=3, states=2)
    a = g.parameter("A", np.log([[0.5, 0.5], [0.5, 0.5]]))
    g.factor(Table.from_probabilities([0.3, 0.7]), z[0])
    g.factor(Table(a), z[:-1], z[1:])
    write_bif(g, path, {"A": np.log([[0.9, 0.1], [0.2, 0.8]])})
    found = read_bif(path)
    assert found.state_names["z[2]"] == ("s0", "s1")
    assert np.exp(found["table of z[2]"].value) == pytest.approx(np.array([[0.9, 0.1], [0.2, 0.8]]))
    g.factor(Table(np.zeros(2)), z[2])
    with pytest.raises(UnsupportedError, match="no distribution"):
        write_bif(g, path)
    g = FactorGraph()
    g.factor(Table(np.log([0.5, 0.5])), g.variable('a"b', states=2))
    with pytest.raises(DataError, match="quotation mark"):
        write_bif(g, path)


def test_a_cycle_is_named(tmp_path):
    g = FactorGraph()
    a, b = g.variable("a", states=2), g.variable("b", states=2)
    half = Table(np.log(np.full((2, 2), 0.5)))
    g.factor(half, a, b)
    g.factor(half, b, a)
    with pytest.raises(UnsupportedError, match="a → b → a is a directed cycle"):
        write_bif(g, tmp_path / "cycle.bif")


WET, RAIN = HEAD + ROWS, HEAD + "probability ( rain ) {\n"
RING = """variable a { type discrete [2] { n, y }; }
variable b { type discrete [2] { n, y }; }
probability ( a | b ) { table .5 .5 .5 .5; }
probability ( b | a ) { table .5 .5 .5 .5; }
"""
WRONG = {
    "": "line 1: holds no variable",
    "network x { }\nnode a { }": "line 2: wanted network, variable or probability with a block in braces, g",
    "variable a { type real; }": "line 1: wanted type discrete",
    "variable a {\n type discrete [2] { x, y, z };\n}": "line 2: wanted 2 states of variable 'a'",
    "variable a {\n type discrete [2] { x, x };\n}": "line 2: wanted 2 states of variable 'a'",
    "variable a {\n type discrete [1] { x };\n states;}": "line 3: wanted a property or } in the variable b",
    HEAD + "variable wet { type discrete [1] { x }; }": "line 8: variable 'wet' is declared twice",
    RAIN + " table 0.8, 0.2;\n}": "line 10: no probability block of 'wet'",
    HEAD + "probability ( rain | snow ) {\n table 1;\n}": "line 8: probability of 'snow', which is no varia",
    HEAD + "probability rain {\n table 1;\n}": "line 8: wanted probability ( x | parents ), got 'rain'",
    RAIN + " table 0.8, x;\n}": "line 9: wanted numbers of 'rain', got 'x'",
    RAIN + " table 0.8;\n}": "line 9: wanted 2 numbers of 'rain', got 1",
    RAIN + " table 0.8, 0.3;\n}": "line 9: probabilities of 'rain' are ≥ 0 and sum to 1, got a",
    RAIN + " table 1.2, -0.2;\n}": "line 9: probabilities of 'rain' are ≥ 0 and sum to 1, got a neg",
    RAIN + " table 0.8, 0.2\n}": "line 9: wanted ; after 'table 0.8, 0.2'",
    RAIN + " tabel 0.8, 0.2;\n}": "line 9: wanted table, default or a row (states) of 'rain'",
    RAIN + " table 0.8, 0.2;\n": "line 8: the probability block is not closed by }",
    WET + " (yes) .1 .3 .6;\n}": "line 9: the table of 'wet' has no row (no)",
    WET + " (yes) .1 .3 .6;\n (maybe) 1 0 0;\n}": "line 11: 'rain' has no state 'maybe'; its states are no,",
    WET + " (yes, no) .1 .3 .6;\n}": "line 10: the row (yes, no) names 2 states, wanted one of each of rain",
    WET + " (yes) .1 .3 .6;\n (yes) 1 0 0;\n}": "line 11: the row (yes) of 'wet' is given twice",
    RING: "line 3: the network has the cycle",
    TEXT + "probability ( rain ) { table .5, .5; }": "line 13: probability: 'rain' has two blocks",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text):
    path = tmp_path / "wrong.bif"
    path.write_text(text)
    with pytest.raises(DataError) as problem:
        read_bif(path)
    assert str(problem.value).startswith(f"{path}, {WRONG[text]}")


def test_states_that_are_one_as_text_are_refused(tmp_path):
    g = FactorGraph()
    g.factor(Table(np.log([0.5, 0.5])), g.variable("a", states=[1, "1"]))
    with pytest.raises(DataError, match="cannot hold the states of 'a', 1, '1'"):
        write_bif(g, tmp_path / "a.bif")


def test_names_that_look_like_comments_come_back(tmp_path):
    g = FactorGraph()
    g.factor(Table(np.log([0.5, 0.5])), g.variable("a//b", states=["x", "/*y"]))
    write_bif(g, tmp_path / "a.bif")
    assert read_bif(tmp_path / "a.bif").state_names == {"a//b": ("x", "/*y")}
