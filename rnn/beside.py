"""Several vectors as one, side by side on the last axis: [a; b; …]. Its VJP cuts them apart again."""

from __future__ import annotations

import numpy as np

from msgpass import Step


def side_by_side(*vectors: np.ndarray) -> np.ndarray:
    """[a; b; …] on the last axis."""
    return np.concatenate(vectors, axis=-1)


def cut(x: np.ndarray, vectors) -> list[np.ndarray]:
    """What stands side by side, each its own, as wide as ``vectors``."""
    return np.split(x, np.cumsum([v.shape[-1] for v in vectors[:-1]]).tolist(), axis=-1)


SIDE_BY_SIDE = Step(
    side_by_side,
    vjp=lambda inputs, cotangent: tuple(cut(cotangent, inputs)),
    jvp=lambda inputs, tangents: side_by_side(*tangents),
    vectorized=True,
    hvp=lambda inputs, *_: tuple(None for _ in inputs),
)
