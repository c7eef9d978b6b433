"""UAI files: what is written is read back, and what is wrong is named with its line."""

import numpy as np
import pytest
from hypothesis import assume, given

from msgpass import FactorGraph, JunctionTree, Table, run
from msgpass.errors import DataError, UnsupportedError
from msgpass.interop.tables import written_out
from msgpass.interop.uai import read_uai, write_uai
from tests.msgpass.interop.gaps import shared_gaps
from tests.msgpass.loopy_models import loopy_models

# The example of the competition's pages, with comments and uneven white space.
MARKOV = """  markov  # a comment
3
 2 2 3
2
2 0 1
2   1 2
// tables

4
 4.000 2.400
 1.000 0.000

6
 2.2500 3.2500 3.7500
 0.0000 0.0000 10.0000
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.uai"


def test_example(path):
    path.write_text(MARKOV)
    g = read_uai(path)
    assert [(n.name, n.states) for n in g.nodes.values()] == [("x0", 2), ("x1", 2), ("x2", 3)]
    pair, triple = np.array([[4, 2.4], [1, 0]]), np.array([[2.25, 3.25, 3.75], [0, 0, 10]])
    joint = pair[:, :, None] * triple
    m = run(g)
    assert m.total == pytest.approx(np.log(joint.sum()))
    assert np.exp(m.belief["x2"]) == pytest.approx(joint.sum((0, 1)) / joint.sum())


@given(model=loopy_models(batched=False, clamp=False))
def test_round_trip(model, tmp_path_factory):
    assume(not shared_gaps(model.graph))
    path = tmp_path_factory.mktemp("uai") / "model.uai"
    names = write_uai(model.graph, path)
    found = read_uai(path)
    evidence = {f"x{k}": written_out(model.graph).evidence.get(n, -1) for k, n in enumerate(names)}
    assert list(found.nodes) == [f"x{k}" for k in range(len(names))]
    total = run(model.graph, schedule=JunctionTree()).total  # some are float32
    assert run(found, schedule=JunctionTree(), values=evidence).total == pytest.approx(total, abs=2e-6)
    again = path.with_name("again.uai")
    write_uai(found, again)
    head = lambda p: p.read_text().split("\n")[:3]  # noqa: E731
    assert head(path) == head(again)


def test_directed(path):
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    g.factor(Table.from_probabilities([0.25, 0.75]), z[0])
    g.factor(Table.from_probabilities([[0.7, 0.3], [0.4, 0.6]]), z[:-1], z[1:])
    assert write_uai(g, path, "BAYES") == ["z[0]", "z[1]", "z[2]"]
    assert path.read_text().startswith("BAYES\n3\n2 2 2\n3\n1 0\n2 0 1\n2 1 2\n")
    assert np.exp(run(read_uai(path)).belief["x2"]) == pytest.approx(np.exp(run(g).belief["z"][2]))
    g.factor(Table(np.zeros(2)), z[2], name="more")
    with pytest.raises(UnsupportedError, match=r"'more\[0\]'.*no distribution.*sums to 2"):
        write_uai(g, path, "BAYES")
    write_uai(g, path)


def test_bayes_wants_one_table_a_variable(path):
    g = FactorGraph()
    a, b = g.variable("a", states=2), g.variable("b", states=2)
    half = Table.from_probabilities([0.5, 0.5])
    g.factor(half, a, name="one")
    g.factor(Table(np.log(np.full((2, 2), 0.5))), b, a, name="two")
    with pytest.raises(UnsupportedError, match="last variable of two tables, 'one' and 'two'"):
        write_uai(g, path, "BAYES")
    g = FactorGraph()
    a, b = g.variable("a", states=2), g.variable("b", states=2)
    g.factor(Table(np.log(np.full((2, 2), 0.5))), b, a, name="two")
    with pytest.raises(UnsupportedError, match="no table has 'b'"):
        write_uai(g, path, "BAYES")


def test_one_sequence_for_large_files(path):
    rng = np.random.default_rng(0)
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0)]
    lines = ["MARKOV", "5", "2 2 2 2 2", "7", *(f"2 {a} {b}" for a, b in pairs), "1 2", "3 0 1 3", "0"]
    for size in (4, 4, 4, 4, 2, 8, 1):
        lines += [str(size), " ".join(map(repr, rng.random(size).tolist()))]
    path.write_text("\n".join(lines))
    flat, one = (run(read_uai(path, layout), schedule=JunctionTree()) for layout in ("variables", "sequence"))
    assert one.total == pytest.approx(flat.total)
    assert len(one.graph.factors) == 5  # four kinds, and what binds the variable that no factor has
    for k in range(5):
        assert one.belief["x"][k] == pytest.approx(flat.belief[f"x{k}"])
    path.write_text(MARKOV)
    with pytest.raises(UnsupportedError, match="2 to 3 states"):
        read_uai(path, "sequence")


HEAD = "MARKOV\n2\n2 2\n1\n2 0 1\n"
WRONG = {
    "": "line 1: is empty",
    "TREE\n1": "line 1: wanted MARKOV or BAYES, got 'TREE'",
    "MARKOV\n2\n2": "line 3: wanted the states of a variable, but the file ends here",
    "MARKOV\n1\n2.5": "line 3: wanted the states of a variable, a whole number from 1 to 16777216, got 2.5",
    "MARKOV\n2\n2 2\n1\n2 0 5": "line 5: wanted a variable of factor 0, a whole number from 0 to 1, got 5",
    "MARKOV\n2\n2 2\n1\n2 1 1\n4 1 1 1 1": "line 5: factor 0 names a variable twice: 1 1",
    "MARKOV\n2\n2 2\n1\n3 0 1 0": "line 5: wanted how many variables factor 0 has",
    HEAD + "3\n1 2 3": "line 6: factor 0 has 3 values, wanted 4: its variables 0 1 have 2 × 2 states",
    HEAD + "4\n1 2\n\n3": "line 9: wanted 4 values of factor 0, but the file ends here",
    HEAD + "4\n1 2\n\n3 x": "line 9: wanted a number, got 'x'",
    HEAD + "4\n1 2\n# nan\n3 nan": "line 9: wanted a number, got 'nan'",
    HEAD + "4\n1 2\n3 inf": "line 8: wanted a number, got 'inf'",
    "MARKOV\n1e30\n2": "line 2: wanted the number of variables, a whole number from 0 to",
    "MARKOV\n1\n1e15\n0": "line 3: wanted the states of a variable, a whole number from 1 to 16777216",
    HEAD + "4\n1 2\n3 1_0": "line 8: wanted a number, got '1_0'",
    HEAD + "4\n1 2\n3 -4": "line 8: factor 0 has the negative value -4",
    HEAD + "4\n1 2\n3 4\n\n5": "line 10: 1 numbers follow after the last table, from 5 on",
    "BAYES\n1\n2\n1\n1 0\n2\n.5\n.6": "line 7: factor 0: a row of the table of variable 0 sums to 1.1",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_its_line(path, text):
    path.write_text(text)
    with pytest.raises(DataError) as problem:
        read_uai(path)
    assert str(problem.value).startswith(f"{path}, {WRONG[text]}")


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_uai(tmp_path / "none.uai")
    (tmp_path / "binary.uai").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file"):
        read_uai(tmp_path / "binary.uai")
    with pytest.raises(DataError, match="layout must be"):
        read_uai(tmp_path / "none.uai", "rows")
    with pytest.raises(DataError, match="kind must be"):
        write_uai(FactorGraph(), tmp_path / "none.uai", "TREE")
