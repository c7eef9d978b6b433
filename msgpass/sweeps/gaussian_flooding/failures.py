"""Errors of Gaussian loopy belief propagation: what happened, when, what it means, the ways out."""

from __future__ import annotations

from msgpass.errors import NumericalError
from msgpass.kernels.gaussian_flooding_types import Progress
from msgpass.sweeps.gaussian_flooding.layout import Layout


def failed(layout: Layout, progress: Progress, schedule) -> NumericalError:
    """Messages that cannot go on."""
    failure = progress.failure
    assert failure is not None
    when = f"in iteration {len(progress.history) + (failure.what != 'diverged' or failure.variable >= 0)}"
    damped = 0.5 if schedule.damping < 0.5 else 0.9
    if failure.what == "diverged":
        last = f" ({progress.history[-1]:.3g} standard deviations)" if len(progress.history) else ""
        return NumericalError(
            f"Flooding diverges: {when} messages change by a million times what they did at first{last}. The "
            "loops feed back more than they lose (the graph is not walk-summable). The means may settle with "
            f"Flooding(damping={damped}); JunctionTree() is exact whatever the loops"
        )
    return NumericalError(
        f"Flooding has no answer: {when} no message to {layout.flat.label(failure.variable)} can be made, "
        "for what it is made from has a precision that is not positive. Either no posterior exists, or the "
        "loops feed back more than they lose (the graph is not walk-summable), and then loopy propagation "
        "has no variances though the posterior may. JunctionTree() is exact, and tells the two apart; "
        f"stronger priors or evidence help, and Flooding(damping={damped}) where an early message went too "
        "far"
    )


def undetermined(layout: Layout, variable: int, progress: Progress | None) -> NumericalError:
    """A belief without a mean, before the first sweep or behind the last."""
    name = layout.flat.label(variable)
    if progress is None:
        return NumericalError(
            f"no posterior exists: with all others known, the precision of {name} is singular or not "
            "positive; add a prior (Quadratic.prior) or evidence about it"
        )
    return NumericalError(
        f"after {len(progress.history)} iterations the belief of {name} has no mean: its precision is "
        "singular or not positive. Either nothing determines it (add Quadratic.prior or evidence), or the "
        "graph is not walk-summable; JunctionTree() is exact, and tells the two apart"
    )
