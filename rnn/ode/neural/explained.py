"""A run that broke, told with the time of the solver step that did it."""

from __future__ import annotations

import numpy as np

from msgpass.errors import NumericalError
from rnn.ode.errors import BlowUpError


def blown_up(problem: NumericalError, t: np.ndarray, h: np.ndarray) -> NumericalError:
    """``t`` and ``h`` are the starts and sizes of the steps, rows as the graph has them."""
    if problem.step is None or problem.step >= len(t):
        return problem
    start, size = (float(a[problem.step].min()) for a in (t, h))
    return BlowUpError(
        f"the state becomes NaN or infinite in the solver step from t = {start:g} to {start + size:g}: the "
        "solution blows up, or the step is too long; take more steps=, a smaller learning rate, or smaller "
        "weights to start from",
        start,
    )
