"""One answer a sequence: losses and outputs of estimators that pool."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn.layout import Layout
from rnn.losses import OutputLoss, Pooled
from rnn.losses.pooled import pool


def pooled(estimator: Any, loss: OutputLoss) -> OutputLoss:
    """A loss as the estimator's pooling has it."""
    if estimator.pooling is None:
        return loss
    return Pooled(loss, estimator.pooling, 1 + estimator.bidirectional)


def pooled_rows(estimator: Any, output: np.ndarray, extra: dict) -> np.ndarray:
    """Outputs (n, T, H) as rows (n, H), or as they are."""
    if estimator.pooling is None:
        return output
    n, steps, _ = output.shape
    layout = Layout(steps, n, True, True, extra.get("lengths"))
    return pool(output.swapaxes(0, 1), layout, estimator.pooling, 1 + estimator.bidirectional)
