"""What goes wrong on the way; each error has the time ``t`` at which it happened."""

from __future__ import annotations

from msgpass.errors import NumericalError


class IntegrationError(NumericalError):
    """An integration stopped before its end. ``t`` is the last time that was reached."""

    def __init__(self, message: str, t: float):
        super().__init__(message)
        self.t = float(t)


class BlowUpError(IntegrationError):
    """The state became NaN or infinite."""


class StepSizeError(IntegrationError):
    """The step that the tolerance asks for is too small for floating point, or below ``min_step``."""


class MaxStepsError(IntegrationError):
    """More steps than ``max_steps``."""


class ImplicitStageError(IntegrationError):
    """Newton's method did not solve an implicit stage; a smaller step may."""
