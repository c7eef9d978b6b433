"""Result files: what a run found is written, and read back."""

import numpy as np
import pytest

from msgpass import FactorGraph, MaxProduct, Table, run
from msgpass.errors import DataError, GraphError
from msgpass.interop.uai_results import read_result, write_result


def graph(observed=True) -> FactorGraph:
    g = FactorGraph()
    z, y = g.sequence("z", length=2, states=2), g.observe("y", 1, states=3)
    g.factor(Table.from_probabilities([0.25, 0.75]), z[0])
    g.factor(Table.from_probabilities([[0.5, 0.5], [0.2, 0.8]]), z[:-1], z[1:])
    if observed:
        g.factor(Table.from_probabilities([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]]), z[1], y)
    return g


def test_partition_and_marginals(tmp_path):
    path, m = tmp_path / "model.PR", run(graph())
    write_result(path, "PR", m)
    assert read_result(path) == ("PR", [pytest.approx(np.log10(np.exp(m.total)))])
    write_result(path, "MAR", [m, m])
    assert path.read_text().startswith("MAR\n2\n3 2 ")
    task, (found, again) = read_result(path)
    assert task == "MAR" and all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert np.stack(found[:2]) == pytest.approx(np.exp(m.belief["z"]))
    assert found[2].tolist() == [0, 1, 0]  # observed


def test_best_states(tmp_path):
    path, m = tmp_path / "model.MPE", run(graph(), MaxProduct())
    write_result(path, "MPE", m)
    assert path.read_text() == "MPE\n3 1 1 1\n"
    assert read_result(path)[1][0].tolist() == [1, 1, 1]
    write_result(path, "MMAP", m, query=["z[1]"])
    assert path.read_text() == "MMAP\n1 1 1\n" and read_result(path) == ("MMAP", [{1: 1}])
    with pytest.raises(GraphError, match="query="):
        write_result(path, "MMAP", m, query=["w"])
    with pytest.raises(DataError, match="task must be one of"):
        write_result(path, "BEL", m)


def test_impossible_evidence(tmp_path):
    path, g = tmp_path / "model.PR", graph(observed=False)
    g.factor(Table([-np.inf, -np.inf]), g["z"][1], name="never")
    write_result(path, "PR", run(g))
    assert read_result(path) == ("PR", [-np.inf])


READ = {
    "PR\n-3.5": ("PR", [-3.5]),
    "PR\n2\n-3.5\n-4": ("PR", [-3.5, -4.0]),
    "PR\n-BEGIN-\n-9\n-BEGIN-\n-3.5": ("PR", [-3.5]),
    "PR\n1\n-9\n-BEGIN-\n1\n-3.5": ("PR", [-3.5]),
    "mmap\n2 0 1 3 0": ("MMAP", [{0: 1, 3: 0}]),
    "MMAP\n1\n2 0 1 3 0": ("MMAP", [{0: 1, 3: 0}]),
}


@pytest.mark.parametrize("text", READ)
def test_read(tmp_path, text):
    path = tmp_path / "result"
    path.write_text(text)
    assert read_result(path) == READ[text]


WRONG = {
    "ABC 1": "line 1: wanted PR or MAR or MPE or MAP or MMAP, got 'ABC'",
    "PR": "line 1: wanted log₁₀ Z, but the file ends here",
    "MAR\n1\n2 .5": "line 3: wanted the marginal of variable 0, but the file ends here",
    "MAR\n1 2 1.5\n-.5": "line 3: the marginal of variable 0 has the negative number -0.5",
    "MPE\n3 0\n1\n1 1": "line 4: 1 numbers follow after the result",
    "PR\n-BEGIN-\n1\n-BEGIN-\nx": "line 5: wanted a number, got 'x'",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text):
    path = tmp_path / "result"
    path.write_text(text)
    with pytest.raises(DataError) as problem:
        read_result(path)
    assert str(problem.value).startswith(f"{path}, {WRONG[text]}")
