"""One training step of an LSTM: loss and the gradients of all weights."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cases import Effort, recurrent
from benchmarks.harness import Problem

TITLE = "Training step of an LSTM"
ABOUT = recurrent.about("LSTM", gates=4, numbers=8)


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of a toy, of small and of middling nets; one in double precision."""
    yield from recurrent.problems("LSTM", 4, effort)
