"""One training step of a tanh recurrent network: loss and the gradients of all weights."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cases import Effort, recurrent
from benchmarks.harness import Problem

TITLE = "Training step of a recurrent network"
ABOUT = recurrent.about("tanh", gates=1, numbers=2)


def problems(effort: Effort) -> Iterator[Problem]:
    """The shapes of a toy, of small and of middling nets; one in double precision."""
    yield from recurrent.problems("RNN", 1, effort)
