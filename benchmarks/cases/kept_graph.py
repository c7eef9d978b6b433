"""A run on a kept graph: microseconds on a short chain, linear time and memory on long ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.cases import Effort, estep
from benchmarks.harness import Contender, Problem
from benchmarks.memory import peak_megabytes

TITLE = "A kept graph"
ABOUT = (
    "E-step of a categorical HMM with 4 states on a graph that is built and planned once. The short chain "
    "shows what the engine adds to the kernel; the long ones that time and memory grow with T and not "
    "faster. Peak memory is what the process needs during one run beyond what it holds before."
)
STATES = 4


def problems(effort: Effort) -> Iterator[Problem]:
    """A chain of 100 steps against hmmlearn's E-step, then longer and longer chains, alone."""
    lengths = {
        "quick": (1_000,),
        "normal": (10_000, 100_000, 1_000_000),
        "full": (10_000, 100_000, 10**6, 10**7),
    }
    data = estep.Data.random(STATES, 1, 100)
    yield Problem(
        label="T=100, K=4",
        contenders={
            "msgpass": partial(estep.msgpass_estep, data),
            "hmmlearn scaling": partial(estep.hmmlearn_estep, data, "scaling"),
        },
        tolerance=estep.TOLERANCE,
        unit="µs",
        per=1e6,
    )
    for length in lengths[effort]:
        yield Problem(
            label=f"T={length}, K={STATES}",
            contenders={"msgpass": partial(_long, length)},
            tolerance=0.0,
            unit="ns/step",
            per=1e9 / length,
            extra={"peak MB": peak_megabytes},
        )


def _long(length: int) -> Contender:
    return estep.msgpass_estep(estep.Data.random(STATES, 1, length))
