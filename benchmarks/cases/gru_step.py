"""One training step of a GRU: loss and the gradients of all weights."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cases import Effort, recurrent
from benchmarks.harness import Problem

TITLE = "Training step of a GRU"
ABOUT = recurrent.about("GRU", gates=3, numbers=6)


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of a toy, of small and of middling nets; one in double precision."""
    yield from recurrent.problems("GRU", 3, effort)
