"""From dx/dt = rate(x, u) to x_{t+1} = f(x_t, u_t), the control held over the step; what else the rate takes,
such as parameters, is handed on."""

from __future__ import annotations

from collections.abc import Callable


def euler(rate: Callable, dt: float, substeps: int = 1) -> Callable:
    """x + dt·rate(x, u), ``substeps`` times with dt / substeps."""
    h = dt / substeps

    def step(x, u, *rest):
        for _ in range(substeps):
            x = x + h * rate(x, u, *rest)
        return x

    return step


def rk4(rate: Callable, dt: float, substeps: int = 1) -> Callable:
    """The classical Runge-Kutta method of order 4."""
    h = dt / substeps

    def step(x, u, *rest):
        for _ in range(substeps):
            a = rate(x, u, *rest)
            b = rate(x + h / 2 * a, u, *rest)
            c = rate(x + h / 2 * b, u, *rest)
            d = rate(x + h * c, u, *rest)
            x = x + h / 6 * (a + 2 * b + 2 * c + d)
        return x

    return step
