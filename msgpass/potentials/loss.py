"""``Loss``: a factor exp(−loss), given as a function that returns its value and gradients."""

from __future__ import annotations

from collections.abc import Callable

from msgpass.errors import GraphError
from msgpass.potentials.base import Potential, forbid_out, real_inputs


class Loss(Potential):
    """``value_and_grad(*values)`` → ``(value, (gradient or None, …))``, one gradient an input.

    Parameters
    ----------
    value_and_grad : callable
    vectorized : bool
        Also takes a leading axis of instances on stepped inputs and returns the summed value with stacked
        gradients (summed for shared inputs).
    task : str, optional
        Losses of one task share a cotangent; :attr:`Messages.tasks` holds each task's messages.
    hvp : callable, optional
        ``hvp(values, tangents)`` → how the gradients move when the values move by ``tangents``: one array an
        input, or None. Second derivatives ask for it; without it autograd differentiates the gradients.

    Notes
    -----
    An instance one of whose observations is missing (all NaN, or −1) contributes nothing.

    Examples
    --------
    >>> half_square = Loss(lambda h: (0.5 * (h**2).sum(), (h,)))
    >>> half_square.task is None
    True
    """

    def __init__(
        self,
        value_and_grad: Callable,
        vectorized: bool = False,
        task: str | None = None,
        hvp: Callable | None = None,
    ):
        if not callable(value_and_grad):
            raise GraphError(
                "Loss takes a function of arrays that returns (value, gradients), got "
                f"{type(value_and_grad).__name__}"
            )
        if hvp is not None and not callable(hvp):
            raise GraphError(f"Loss: hvp must be a function of arrays, got {type(hvp).__name__}")
        if task is not None and not isinstance(task, str):
            raise GraphError(f"Loss: task is a name, got {task!r}")
        self.value_and_grad, self.vectorized, self.task = value_and_grad, bool(vectorized), task
        self.hvp = hvp
        self.parts = {}

    @property
    def default_name(self) -> str:
        """After the task."""
        return f"{self.task} loss" if self.task else "loss"

    def check(self, factor) -> None:
        """A loss reads at least one value."""
        forbid_out(factor)
        real_inputs(factor)
        if not factor.args:
            raise GraphError(f"factor {factor.name!r}: a Loss needs at least one variable")
        if any(s.edge is not None for s in factor.args):
            raise GraphError(
                f"factor {factor.name!r}: after and before are for steps; give the loss the rows themselves"
            )
