"""Initial states: observations (B, H), or one learned row for the whole batch."""

from __future__ import annotations

from functools import cache

import numpy as np

from msgpass import FactorGraph, Step


@cache
def repeat(batch: int) -> Step:
    """A row (H,) as (B, H), once a graph."""

    def repeated(row: np.ndarray) -> np.ndarray:
        return np.broadcast_to(row, (batch, *row.shape)).copy()

    return Step(
        repeated,
        vjp=lambda inputs, cotangent: (cotangent.sum(axis=0),),
        jvp=lambda inputs, tangents: repeated(tangents[0]),
        hvp=lambda *_: (None,),
    )


def learned_start(graph: FactorGraph, parameter, batch: int):
    """The variable ``{name}.rows`` (B, H) of a learned initial state."""
    rows = graph.variable(f"{parameter.name}.rows", shape=(batch, *parameter.shape))
    graph.factor(repeat(batch), parameter, out=rows, name=f"repeat {parameter.name}")
    return rows
