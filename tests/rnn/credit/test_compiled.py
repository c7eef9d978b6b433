"""Long episodes run compiled, with the numbers of the reference."""

import numpy as np
import pytest

from msgpass import Loss, Truncated, run
from msgpass.sweeps import traced_recurrence
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.traced_recurrence import TracedSweep
from rnn.credit import (
    eligibility_traces,
    error_curves,
    gae,
    lambda_returns,
    n_step_returns,
    semi_gradient,
    td_graph,
    td_lambda,
)

rng = np.random.default_rng(0)
LENGTHS = (5, 1, 7)
STATES = [rng.integers(0, 3, size=n) for n in LENGTHS]
REWARDS = [rng.normal(size=n) for n in LENGTHS]
VALUES = [rng.normal(size=n + 1) for n in LENGTHS]
BATCH = rng.normal(size=(6, 5))


def gradients():
    """Of a loss of the last weights of TD(λ)."""
    g = td_graph(STATES, REWARDS, 0.9, 0.7, 0.1, n_states=3)
    g.factor(Loss(lambda w: (float(w @ w), (2 * w,))), g["w"][-1])
    m = run(g)
    return np.concatenate([m.parameters[name].ravel() for name in ("lambda", "step_size", "w0")])


def td(trace, update="online", lambda_=0.7):
    """Weights, traces and errors of all steps."""
    found = td_lambda(STATES, REWARDS, 0.9, lambda_, 0.1, n_states=3, trace=trace, update=update)
    return np.column_stack([found.path, found.trace_path, found.error_path])


def semi(schedule=None):
    """Direction and advantages."""
    found = semi_gradient(STATES, REWARDS, np.ones(3), 0.9, 0.7, n_states=3, schedule=schedule)
    return np.concatenate([found.direction, *found.advantages])


CASES = {
    "λ-returns": lambda: lambda_returns(REWARDS, VALUES, 0.9, 0.7),
    "advantages": lambda: gae(BATCH, BATCH, 0.9, 0.7),
    "n-step returns": lambda: n_step_returns(REWARDS, VALUES, 3, 0.9),
    **{k: lambda k=k: eligibility_traces(STATES, kind=k, n_states=3) for k in ("accumulating", "replacing")},
    "dutch": lambda: eligibility_traces(STATES, kind="dutch", step_size=0.1, n_states=3),
    **{f"TD, {trace}": lambda trace=trace: td(trace) for trace in ("accumulating", "replacing", "dutch")},
    "TD, λ of states": lambda: td("accumulating", lambda_=lambda s: 0.3 * np.asarray(s)),
    "TD by episode": lambda: td("accumulating", "episode"),
    "TD by batch": lambda: td("replacing", "batch"),
    "semi-gradient": semi,
    "semi-gradient, truncated": lambda: semi(Truncated(1, 2)),
    "gradients of a course": gradients,
    "curves": lambda: (
        error_curves([(STATES, REWARDS)] * 5, np.ones(3), [0.0, 0.9], [0.1], n_states=3).by_episode
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_compiled_sweeps_agree(case, monkeypatch):
    made = []
    whole = TracedSweep.forward
    monkeypatch.setattr(TracedSweep, "forward", lambda self: made.append(self) or whole(self))
    wanted = case()
    assert not made
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 0.0)
    found = case()
    assert made
    wanted, found = (np.concatenate(a) if isinstance(a, list) else a for a in (wanted, found))
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


def test_length_decides_who_runs():
    graphs = [td_graph(np.zeros(n, int), np.ones(n), n_states=1) for n in (100, 100_000)]
    assert [type(s) for g in graphs for s in run(g)._x.sweeps.values()] == [Sweep, TracedSweep]
