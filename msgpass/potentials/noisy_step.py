"""What is asked of a step with additive Gaussian noise: y = f(inputs) + e, e ~ N(0, noise).

Its output is a Gaussian variable, or an observation of one. It may read one Gaussian variable, and any
number of observations, parameters and variables that deterministic steps compute.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import GraphError, ShapeError, UnsupportedError
from msgpass.nodes import Parameter, Sequence, Slice, Variable
from msgpass.potentials.base import as_part, real_inputs
from msgpass.potentials.quadratic import check_covariance


def as_noise(noise):
    """The noise as an array or parameter; the array is a covariance."""
    part = as_part("Step: noise", noise)
    if isinstance(part, Slice):
        raise GraphError(
            f"Step: noise is an array or a parameter, got the slice {part.name}; a covariance that changes "
            "with time has a step axis in front"
        )
    if isinstance(part, np.ndarray):
        check_covariance("Step: noise", part)
    return part


def check_noisy(factor) -> None:
    """One real output with one row an instance, and a noise that fits it."""
    name, potential = factor.name, factor.potential
    real_inputs(factor)
    if potential.kernel not in (None, "auto"):
        raise UnsupportedError(
            f"factor {name!r}: a compiled sweep runs deterministic recurrences; leave kernel= or noise= out"
        )
    if len(factor.out) != 1:
        raise GraphError(
            f"factor {name!r}: a step with noise has one output, got {len(factor.out)}; join them into one "
            "vector, out=x[1:]"
        )
    (out,) = factor.out
    if isinstance(out.node, Parameter) or out.node.discrete:
        raise GraphError(
            f"factor {name!r}: the output of a step with noise is a real variable or a real observation, got "
            f"{out.node.describe()}"
        )
    if out.kind in ("after", "before", "all"):
        raise GraphError(f"factor {name!r}: out={out.name}; a step has rows as output: {out.node.name}[:]")
    for s in (
        out,
        *(a for a in factor.args if isinstance(a.node, Variable | Sequence) and a.node is out.node),
    ):
        if len(s.shape) > 1:
            raise ShapeError(
                f"factor {name!r}: Gaussian variables are vectors, but {s.name} has shape {s.shape}"
            )
    if factor.stepped and not out.stepped:
        raise GraphError(f"factor {name!r} has {factor.n} instances, and all have the output {out.name}")
    m = int(np.prod(out.shape))
    got = potential.parts["noise"].shape
    if got not in ((m, m), (factor.n, m, m)) and not (m == 1 and got in ((), (1,), (factor.n,))):
        raise ShapeError(
            f"factor {name!r}: noise has shape {got}, but {out.name} wants the covariance ({m}, {m}), with a "
            f"step axis ({factor.n}, {m}, {m})"
        )
    for parameter in potential.parameters.values():
        check_covariance(f"factor {name!r}: noise", parameter.value)
