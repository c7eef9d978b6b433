"""What to say where quadratics have no posterior."""

from __future__ import annotations

import numpy as np

from msgpass.errors import NumericalError
from msgpass.kernels.symmetric_system import NotPositive

NAMED = 4
"""Variables that a message names."""


def improper(problem: NotPositive, equations) -> NumericalError:
    """The error for a system that is not positive."""
    size = np.abs(problem.direction)
    cells = np.argsort(-size, kind="stable")[:64]
    named = list(dict.fromkeys(equations.label(int(c)) for c in cells if size[c] > 0.1 * size.max()))
    text = ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")
    if problem.reason == "equations":
        return NumericalError(
            f"no posterior exists: the noise of {text} is singular, and what it says exactly repeats or "
            "contradicts other exact relations; leave one of them out, or give it a little noise"
        )
    if problem.reason == "flat":
        return NumericalError(
            f"no posterior exists: nothing determines {text} (the density is flat along a direction of "
            "them); add a prior (Quadratic.prior) or evidence about it"
        )
    return NumericalError(
        f"no posterior exists: along a direction of {text} the density rises without end, for the "
        "precisions add up to a matrix that is not positive; check the precision of each Quadratic"
    )
