"""Every error and warning of the library, under one root.

Each message says what came, what was wanted and the way out. The classes also derive from the built-in error
that a
caller would expect (``ValueError`` for bad values), so that generic handlers keep working.
"""


class MessagePassingError(Exception):
    """Root of all errors raised by ``msgpass``, ``hmm`` and ``rnn``."""


class GraphError(MessagePassingError, ValueError):
    """The graph is not well formed: names, slices, orientation, cycles, loose variables."""


class ShapeError(GraphError):
    """An array's shape does not fit the variables, the slice or the data it goes with."""


class DataError(MessagePassingError, ValueError):
    """Values that cannot be used: not finite, out of range, of the wrong dtype, an unknown column or file."""


class ProbabilityError(DataError):
    """Numbers given as probabilities are negative or do not sum to one."""


class UnsupportedError(MessagePassingError, ValueError):
    """An algebra, a schedule and a variable that do not go together; the message names what does."""


class TracingError(UnsupportedError):
    """A function that cannot be traced into a straight-line program; the message names what it met and the
    way round it.
    """


class UnavailableError(UnsupportedError, KeyError):
    """A result that was asked for is not there: an unknown name, or something that the schedule dropped."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class TreewidthError(MessagePassingError, ValueError):
    """Exact inference would need a table beyond the bound. ``width`` and ``size`` are those of the clique at
    which the elimination stopped, ``clique`` its variables.
    """

    def __init__(self, message: str, width: int = 0, size: int = 0, clique=()):
        super().__init__(message)
        self.width, self.size, self.clique = width, size, tuple(clique)


class ImpossibleEvidenceError(MessagePassingError, ValueError):
    """The evidence has probability zero, so that no posterior exists. ``step`` is the first impossible time
    step.
    """

    def __init__(self, message: str, step: int | None = None):
        super().__init__(message)
        self.step = step


class NumericalError(MessagePassingError, ArithmeticError):
    """A value became NaN or infinite where a finite one is needed. ``step`` is the time step, where there is
    one.
    """

    def __init__(self, message: str, step: int | None = None):
        super().__init__(message)
        self.step = step


class GradientError(MessagePassingError, AssertionError):
    """A gradient differs from what differences of the total say."""


class MissingDependencyError(MessagePassingError, ImportError):
    """An optional package is needed for this call; the message says how to install it."""


class NotFittedError(MessagePassingError, ValueError, AttributeError):
    """A model is used before it has been fitted or given parameters."""


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it met its tolerance."""
