"""Evidence that one factor with structure cannot have is told with its name, under every exact schedule."""

import numpy as np
import pytest

import msgpass.sweeps.structured_chain as chain
from msgpass import AtMostOne, FactorGraph, Flooding, JunctionTree, NoisyOr, Parity, Sequential, Table, run
from msgpass.errors import ImpossibleEvidenceError

HARD = np.where(np.eye(2) == 1, 0.0, -np.inf)


def check(rows, evidence):
    """Three parity checks of two bits, and what is known of each bit."""
    g = FactorGraph()
    x = g.sequence("x", length=6, states=2)
    g.factor(Table(evidence), x[:])
    g.factor(Parity(), x[rows], x[[1, 3, 5]], name="check")
    return g


@pytest.mark.parametrize("whole", [True, False], ids=["tables", "chains"])
def test_the_instance_is_named(whole, monkeypatch):
    monkeypatch.setattr(chain, "WHOLE", 1 << 8 if whole else 1)
    evidence = np.zeros((6, 2))
    evidence[[2, 3]] = HARD[[1, 0]]
    with pytest.raises(ImpossibleEvidenceError, match=r"factor check\[1\], a Parity"):
        _ = run(check([0, 2, 4], evidence)).belief["x"]


def test_clamped_states_are_evidence():
    with pytest.raises(ImpossibleEvidenceError, match=r"factor check\[2\], a Parity"):
        _ = run(check([0, 2, 4], np.zeros((6, 2))), values={"x": [-1, -1, -1, -1, 0, 1]}).belief["x"]


@pytest.mark.parametrize("schedule", [Sequential(), JunctionTree(), Flooding()], ids=lambda s: s.name)
def test_a_long_factor_is_named(schedule):
    g = FactorGraph()
    x = g.sequence("x", length=40, states=2)
    g.factor(AtMostOne(), *(x[k] for k in range(40)), name="choice")
    with pytest.raises(ImpossibleEvidenceError, match=r"factor choice, an AtMostOne"):
        _ = run(g, schedule=schedule, values={"x": [1, 1, *[-1] * 38]}).belief["x"]


def test_observed_members_are_evidence():
    g = FactorGraph()
    x, y = g.variable("x", states=2), g.observe("y", 1, states=2)
    g.factor(Table(HARD[0]), x)
    g.factor(NoisyOr([0.5]), x, y, name="finding")
    with pytest.raises(ImpossibleEvidenceError, match="factor finding, a NoisyOr"):
        _ = run(g).belief["x"]


def test_what_several_factors_contradict_together_names_no_hidden_variable(monkeypatch):
    monkeypatch.setattr(chain, "WHOLE", 1)
    g = FactorGraph()
    x = g.sequence("x", length=3, states=2)
    g.factor(Table(HARD[[0, 0]]), x[[0, 2]])
    g.factor(Parity([0, 1]), x[[0, 1]], x[[1, 2]])
    with pytest.raises(ImpossibleEvidenceError, match="the evidence on x has probability zero"):
        _ = run(g).belief["x"]
    with pytest.raises(ImpossibleEvidenceError, match="the tables over x have no possible assignment"):
        _ = run(g, schedule=JunctionTree()).belief["x"]
