"""The gradient of an end state through a thousand solver steps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.cases import Effort
from benchmarks.cases.ode_fields import diffrax_gradient, msgpass_gradient, torchdiffeq_gradient
from benchmarks.harness import Problem

TITLE = "Gradient through the steps of a differential equation"
ABOUT = (
    "Loss ½Σ y(T)² and its gradient with respect to y(0) and all parameters, through 1000 fixed steps. "
    "Lotka-Volterra is two numbers and four parameters; mlp is y @ W1 → tanh → @ W2 with 64 units on a batch "
    "of 128 states of two numbers. msgpass runs rnn.ode.odeint_gradient on functions in plain NumPy, traced "
    "and compiled at the first call; mlp also goes through Step.from_jax; "
    "torchdiffeq odeint and autograd; diffrax diffeqsolve with its default adjoint and StepTo, compiled by "
    "jax.jit before it is timed: the first call is compilation. rk4 is what torchdiffeq means by "
    "it, Kutta's 3/8 rule; msgpass and diffrax are given its tableau."
)
STEPS = 1000
TOLERANCE = {"float32": 2e-3, "float64": 1e-6}


def problems(effort: Effort) -> Iterator[Problem]:
    """A toy and a net, two methods, two precisions."""
    for field in ("lotka-volterra", "mlp"):
        for method in ("rk4", "dopri5"):
            for dtype in ("float64",) if effort == "quick" else ("float64", "float32"):
                steps = STEPS // 10 if effort == "quick" else STEPS
                arguments = field, method, steps, dtype
                yield Problem(
                    label=f"{field}, {method}, {steps} steps, {dtype}",
                    contenders={
                        "msgpass": partial(msgpass_gradient, *arguments),
                        "torchdiffeq": partial(torchdiffeq_gradient, *arguments),
                        "diffrax": partial(diffrax_gradient, *arguments),
                    }
                    | (
                        {"msgpass, JAX": partial(msgpass_gradient, *arguments, through_jax=True)}
                        if field == "mlp"
                        else {}
                    ),
                    tolerance=TOLERANCE[dtype],
                    unit="ms",
                    per=1e3,
                    dtype=dtype,
                )
