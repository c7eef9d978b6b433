"""Checkpoints over a long chain: the memory they save, and the time they cost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.cases import Effort, estep
from benchmarks.harness import Contender, Problem
from benchmarks.memory import peak_megabytes

TITLE = "Checkpoints over a long chain"
ABOUT = (
    "E-step of a categorical HMM on one long chain, first under Checkpointed(10) and then under Sequential, "
    "on graphs that are kept. Peak memory is what the process needs during one run beyond what it holds "
    "before. With float32 tables the counts are float32, and the messages float64 all the same."
)
SLOTS = 10
STATES = (8, 32)
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


def problems(effort: Effort) -> Iterator[Problem]:
    """Chains of 10⁶ steps with few states and many; with ``full`` also 10⁷ with few. Both dtypes."""
    lengths = {"quick": (200_000,), "normal": (10**6,), "full": (10**6, 10**7)}
    for length in lengths[effort]:
        for states in STATES if length <= 10**6 else STATES[:1]:
            for dtype in TOLERANCE:
                few = partial(_contender, length, states, dtype, SLOTS)
                all_kept = partial(_contender, length, states, dtype, None)
                yield Problem(
                    label=f"T={length}, K={states}, {dtype}",
                    contenders={"msgpass": few, "msgpass Sequential": all_kept},
                    tolerance=TOLERANCE[dtype],
                    unit="ns/step",
                    per=1e9 / length,
                    extra={
                        "peak MB": peak_megabytes,
                        "peak MB of Sequential": lambda _, prepare=all_kept: peak_megabytes(prepare()),
                    },
                )


def _contender(length: int, states: int, dtype: str, slots: int | None) -> Contender:
    from msgpass import Checkpointed

    data = estep.Data.random(states, 1, length)
    tables = (table.astype(dtype) for table in (data.initial, data.transition, data.emission))
    schedule = None if slots is None else Checkpointed(slots)
    return estep.msgpass_estep(estep.Data(*tables, data.symbols), schedule)
