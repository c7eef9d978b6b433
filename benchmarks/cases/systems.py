"""Long recurrences of a few numbers: a stock, a queue, a reactor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.cases import Effort, system_loops
from benchmarks.harness import Problem

TITLE = "Value and gradient of long systems"
ABOUT = (
    "Inventory: cost of a shop under a base-stock rule with a capacity and a lead time of two periods, and "
    "its slope in the level. Queue: waiting in h ← max(0, h + a − σ), and its slope in σ. Kinetics: B at the "
    "end of A → B → C by Euler's method, and its slopes in both rates. msgpass runs the gradient of "
    "rnn.systems' inventory, queueing and kinetics, functions in plain NumPy that are traced and compiled "
    "(the first call); torch a loop over the steps with one backward pass."
)
SYSTEMS = {
    "inventory": (system_loops.inventory, system_loops.torch_inventory),
    "queue": (system_loops.queue, system_loops.torch_queue),
    "kinetics": (system_loops.kinetics, system_loops.torch_kinetics),
}


def problems(effort: Effort) -> Iterator[Problem]:
    """Each system over as many steps."""
    steps = 1000 if effort == "quick" else 100_000
    for name, (ours, theirs) in SYSTEMS.items():
        yield Problem(
            label=f"{name}, {steps} steps",
            contenders={"msgpass": partial(ours, steps), "torch": partial(theirs, steps)},
            tolerance=1e-8,
            unit="ns/step",
            per=1e9 / steps,
        )
