"""Evidence files in both forms."""

import numpy as np
import pytest

from msgpass import FactorGraph, Table
from msgpass.errors import DataError
from msgpass.interop.uai_evidence import read_evid, write_evid

READ = {
    "1 0 1": [{"x0": 1}],
    "2\n 0 1\n 3 2 # in pairs": [{"x0": 1, "x3": 2}],
    "2\n1 0 1\n1 1 1": [{"x0": 1}, {"x1": 1}],
    "1\n2 0 1 3 2": [{"x0": 1, "x3": 2}],
    "2 1 0 1 1 0 0": [{"x0": 1}, {"x0": 0}],
    "2\n1 0 1\n0": [{"x0": 1}, {}],  # adds up as one sample, too, but not line by line
    "2 1 0 2 0": [{"x1": 0, "x2": 0}],
    "1\n0": [{}],
    "0": [{}],
    "": [{}],
}


@pytest.mark.parametrize("text", READ)
def test_read(tmp_path, text):
    path = tmp_path / "model.evid"
    path.write_text(text)
    assert read_evid(path) == READ[text]


WRONG = {
    "1 0 x": "line 1: wanted a number, got 'x'",
    "1\n0 -1": "line 2: wanted the state of variable 0, a whole number ≥ 0, got -1",
    "2\n0 1\n0 1": "line 3: variable 0 is observed twice",
    "2\n0 1": "line 2: wanted an observed variable, but the file ends here",
    "1\n0 1\n7 7 7": "line 3: 3 numbers follow after the 1 pairs",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text):
    path = tmp_path / "model.evid"
    path.write_text(text)
    with pytest.raises(DataError) as problem:
        read_evid(path)
    assert str(problem.value).startswith(f"{path}, {WRONG[text]}")


def test_numbered_by_a_graph(tmp_path):
    path = tmp_path / "model.evid"
    g = FactorGraph()
    z, w = g.sequence("z", length=3, states=2), g.variable("w", states=["a", "b", "c"])
    y = g.observe("y", [1, -1, 0], states=2)
    g.factor(Table(np.zeros((2, 2))), z[:], y[:])
    g.factor(Table(np.zeros((2, 3))), z[0], w)
    write_evid(path, {"w": "c", "z": [0, -1, -1]}, g)
    assert path.read_text() == "4 0 0 3 2 4 1 6 0\n"
    (found,) = read_evid(path, g)
    assert found["w"] == 2
    assert found["z"].tolist() == [0, -1, -1] and found["y"].tolist() == [1, -1, 0]
    write_evid(path, [{}, {"w": 1}], g)
    assert path.read_text().split("\n") == ["2", "2 4 1 6 0", "3 3 1 4 1 6 0", ""]
    assert len(read_evid(path, g)) == 2
    for text, problem in (
        ("1 9 0", "line 1: variable 9.*has 7 variables"),
        ("1 3 3", "line 1: variable 3 is in state 3"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=problem):
            read_evid(path, g)
