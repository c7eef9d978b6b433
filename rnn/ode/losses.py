"""What is to be differentiated: a function of the saved states, or what to multiply them with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.ode.differentiation import quiet_vjp


class SavedLoss:
    """``value_and_grad(saved)`` of a user's loss.

    Parameters
    ----------
    loss : callable or array
        ``loss(y)`` → number, in NumPy, differentiated by autograd; or → (number, gradient like y). An array
        like y stands for Σ array · y.
    """

    def __init__(self, loss: Callable | np.ndarray):
        self.seeds: np.ndarray | None = None
        if callable(loss):
            self.function: Callable = loss
        else:
            self.seeds = np.asarray(loss, float)

    def __call__(self, saved: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at saved states (S, *shape)."""
        if self.seeds is not None:
            if self.seeds.shape != saved.shape:
                raise ShapeError(
                    f"loss is an array of shape {self.seeds.shape}, which stands for Σ loss · y, but the "
                    f"saved states have shape {saved.shape}"
                )
            return float((self.seeds * saved).sum()), self.seeds.astype(saved.dtype)
        result = self.function(saved)
        if isinstance(result, tuple):
            value, gradient = result
            gradient = np.asarray(gradient)
        else:
            value, pull = quiet_vjp(self.function, [saved], [0])
            if np.shape(value) != ():
                raise ShapeError(f"loss(y) must return one number, got shape {np.shape(value)}; sum it")
            gradient = np.asarray(pull(np.ones_like(value))[0])
        if np.shape(gradient) != saved.shape:
            raise ShapeError(f"loss gave a gradient of shape {np.shape(gradient)}, y has {saved.shape}")
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            raise DataError("the loss, or its gradient, is NaN or infinite at the saved states")
        return float(value), gradient.astype(saved.dtype)
