"""The README is true: its Python runs and gives the numbers beside it, its first screen holds commands."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def ran(word):
    """The names that the one block holding `word` defines."""
    (code,) = (block for block in blocks("python") if word in block)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_hidden_markov_model():
    model = ran("PoissonHMM")["model"]
    np.testing.assert_allclose(np.sort(np.ravel(model.lambdas_)), [15.42, 26.02], atol=0.02)


def test_recurrent_network():
    m = ran("bptt")["m"]
    assert m.parameters["weight_hh_l0"].shape == (64, 16)
    assert m.gradient["c_l0"].shape == (100, 4, 16)


def test_factor_graph():
    m = ran("umbrella")["m"]
    assert m.total == pytest.approx(-3.372502044332175)
    rain = [0.8673388896, 0.8204190536, 0.3074835760, 0.8204190536, 0.8673388896]
    np.testing.assert_allclose(np.exp(m.belief["rain"])[:, 0], rain)


def test_loops():
    names = ran("Parity")
    exact = np.exp(names["run"](names["g"], schedule=names["JunctionTree"]()).belief["x"][:, 1])
    bits = np.array(np.meshgrid(*[[0, 1]] * 6, indexing="ij")).reshape(6, -1).T
    even = np.all([bits[:, rows].sum(axis=1) % 2 == 0 for rows in ([0, 1, 2], [2, 3, 4], [1, 4, 5])], axis=0)
    weights = even * 0.2 ** bits.sum(axis=1) * 0.8 ** (6 - bits.sum(axis=1))
    np.testing.assert_allclose(exact, weights @ bits / weights.sum())
    assert names["m"].convergence


def test_the_first_screen_holds_the_two_commands():
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 2
    assert all(command in "\n".join(TEXT.splitlines()[:24]) for command in commands)
    assert "msgpass compare" in commands[0] and "pytest" in commands[1]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target
