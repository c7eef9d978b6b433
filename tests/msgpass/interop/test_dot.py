"""Text for Graphviz: well formed, every name quoted, slices in clusters."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from msgpass import FactorGraph, Table
from msgpass.interop.dot import to_dot
from tests.msgpass.interop.test_views import hidden_markov


def nodes(text: str) -> set[str]:
    return {m[1] for m in re.finditer(r'^ +"((?:[^"\\]|\\.)*)" \[', text, re.M)}


@pytest.mark.parametrize("view", ["factors", "slices", "unrolled", "moral"])
def test_well_formed(view, tmp_path):
    path = tmp_path / "graph.dot"
    text = hidden_markov().to_dot(view, path)
    assert path.read_text() == text + "\n"
    assert text.startswith("digraph {") and text.count("{") == text.count("}")
    declared = nodes(text)
    for a, b in re.findall(r'"([^"]*)" -> "([^"]*)"', text):
        assert {a, b} <= declared
    if dot := shutil.which("dot"):
        subprocess.run([dot, "-Tsvg", path, "-o", tmp_path / "graph.svg"], check=True)


def test_plates_and_slices():
    g = hidden_markov()
    plate = to_dot(g).split("subgraph")[1].split("}")[0]
    assert 'label="4 steps"' in plate and nodes(plate) == {"z", "move", "emit"}
    slices = to_dot(g, "slices").split("subgraph")[1:]
    assert len(slices) == 2
    assert 'label="t = 1"' in slices[1] and nodes(slices[1].split("}")[0]) >= {"z[1]", "y[1]"}


def test_names_are_escaped():
    g = FactorGraph()
    name = 'a "quoted\\" {name};\nbelow'
    g.factor(Table(np.zeros(2)), g.variable(name, states=2), name="<f>")
    text = to_dot(g)
    assert r'"a \"quoted\\\" {name};\nbelow"' in text
    assert '"<f>"' in text and text.count("\n\n") == 0
